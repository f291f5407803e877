//! Lists and maps: messages in a span that are read as far as somebody asks, or what a condition made.

use std::borrow::Cow;

use forebay_otlp::attribute::{AnyValue, Attribute, attribute_messages};

use crate::value::{Text, Value};

/// A list of values.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// An `ArrayValue` message.
    Wire(&'a [u8]),
    /// Values that lie elsewhere.
    Borrowed(&'a [Value<'a>]),
    /// Values of its own.
    Owned(Vec<Value<'a>>),
}

/// A list of keys with values. Of equal keys, the first counts.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    /// A message, and the number of the field that its `KeyValue`s are.
    Wire(&'a [u8], u32),
    /// Entries that lie elsewhere.
    Borrowed(&'a [(Text<'a>, Value<'a>)]),
    /// Entries of its own.
    Owned(Vec<(Text<'a>, Value<'a>)>),
}

/// Field number of an `ArrayValue`'s values, and of a `KeyValueList`'s.
const VALUES: u32 = 1;

impl<'a> List<'a> {
    pub(crate) fn borrow(&self) -> List<'_> {
        match self {
            Self::Wire(message) => List::Wire(message),
            Self::Borrowed(values) => List::Borrowed(values),
            Self::Owned(values) => List::Borrowed(values),
        }
    }

    pub(crate) fn into_owned<'b>(self) -> List<'b> {
        List::Owned(self.iter().map(|value| value.into_owned()).collect())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Wire(message) => attribute_messages(message, VALUES).count(),
            Self::Borrowed(values) => values.len(),
            Self::Owned(values) => values.len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'_>> {
        let (wire, values): (&[u8], &[Value<'_>]) = match self {
            Self::Wire(message) => (message, &[]),
            Self::Borrowed(values) => (&[], values),
            Self::Owned(values) => (&[], values),
        };
        attribute_messages(wire, VALUES).map(any_value).chain(values.iter().map(Value::borrow))
    }

    /// One value.
    pub(crate) fn take(self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Wire(message) => attribute_messages(message, VALUES).nth(index).map(any_value),
            Self::Borrowed(values) => values.get(index).map(Value::borrow),
            Self::Owned(values) => values.into_iter().nth(index),
        }
    }
}

impl<'a> Map<'a> {
    /// A map without entries.
    pub(crate) const EMPTY: Self = Self::Borrowed(&[]);

    /// The map that a `KeyValueList` message is.
    pub(crate) const fn key_value_list(message: &'a [u8]) -> Self {
        Self::Wire(message, VALUES)
    }

    pub(crate) fn borrow(&self) -> Map<'_> {
        match self {
            Self::Wire(message, number) => Map::Wire(message, *number),
            Self::Borrowed(entries) => Map::Borrowed(entries),
            Self::Owned(entries) => Map::Borrowed(entries),
        }
    }

    pub(crate) fn into_owned<'b>(self) -> Map<'b> {
        let entries = self.iter();
        Map::Owned(entries.map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned())).collect())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Wire(message, number) => attribute_messages(message, *number).count(),
            Self::Borrowed(entries) => entries.len(),
            Self::Owned(entries) => entries.len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Text<'_>, Value<'_>)> {
        let (wire, number, entries): (&[u8], u32, &[(Text<'_>, Value<'_>)]) = match self {
            Self::Wire(message, number) => (message, *number, &[]),
            Self::Borrowed(entries) => (&[], VALUES, entries),
            Self::Owned(entries) => (&[], VALUES, entries),
        };
        let borrowed = entries.iter().map(|(key, value)| (Cow::Borrowed(&**key), value.borrow()));
        attribute_messages(wire, number).map(entry).chain(borrowed)
    }

    /// All entries.
    pub(crate) fn into_entries(self) -> Vec<(Text<'a>, Value<'a>)> {
        match self {
            Self::Wire(message, number) => attribute_messages(message, number).map(entry).collect(),
            Self::Borrowed(entries) => {
                entries.iter().map(|(key, value)| (Cow::Borrowed(&**key), value.borrow())).collect()
            }
            Self::Owned(entries) => entries,
        }
    }

    /// The value of a key.
    pub(crate) fn take(self, key: &[u8]) -> Option<Value<'a>> {
        match self {
            Self::Wire(message, number) => attribute_messages(message, number).find_map(|message| {
                Attribute::parse_if(message, |name| name == key)
                    .ok()
                    .flatten()
                    .map(|found| found.value.into())
            }),
            Self::Borrowed(entries) => {
                entries.iter().find(|(name, _)| **name == *key).map(|(_, value)| value.borrow())
            }
            Self::Owned(entries) => {
                entries.into_iter().find(|(name, _)| **name == *key).map(|(_, value)| value)
            }
        }
    }
}

/// What does not parse is as good as missing: admission has let it pass because nobody looks at it.
fn any_value(message: &[u8]) -> Value<'_> {
    AnyValue::parse(message).unwrap_or_default().into()
}

fn entry(message: &[u8]) -> (Text<'_>, Value<'_>) {
    let attribute = Attribute::parse(message).unwrap_or_default();
    (Cow::Borrowed(attribute.key), attribute.value.into())
}
