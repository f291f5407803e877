//! Finding what conditions name.
//!
//! Each distinct thing is a slot. A walk over a message notes for each slot where in the message it lies, or
//! its number; what that is worth is read when a condition asks. A span's attributes are compared by their
//! keys' lengths first, so those that nobody names cost next to nothing.

use std::collections::HashMap;

use forebay_otlp::attribute::Attribute;
use forebay_otlp::wire::{Field, Fields, Value};

/// Something in a message that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) level: Level,
    pub(crate) what: What,
}

/// The message that something lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Span,
    Event,
    Resource,
    /// What stands around a resource: its schema URL.
    ResourceSpans,
    Scope,
    ScopeSpans,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The last field of that number.
    Field(u32),
    /// How many fields of that number there are.
    Count(u32),
    /// The first attribute of that key.
    Attribute(Box<str>),
    /// All attributes.
    Attributes,
}

/// Where a slot was found in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nowhere.
    #[default]
    Absent,
    /// A number, or how many there are.
    Number(u64),
    /// Bytes of the message, by start and length.
    At(u32, u32),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Absent,
    Number(u64),
    Bytes(&'a [u8]),
}

/// The slots of messages of one level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walker {
    /// By the field's number.
    fields: [Option<(usize, Rule)>; FIELDS],
    attributes: u32,
    whole: Option<usize>,
    keys: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// Bit `min(length, 63)` of each key.
    key_lengths: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Last,
    Count,
}

/// One more than the greatest number of a field that has a path: a span's flags.
const FIELDS: usize = 17;

impl Level {
    /// The field number of a message's attributes.
    pub(crate) const fn attributes(self) -> u32 {
        match self {
            Self::Span => 9,
            Self::Event | Self::Scope => 3,
            Self::Resource => 1,
            Self::ResourceSpans | Self::ScopeSpans => 0,
        }
    }
}

impl Found {
    #[inline]
    pub(crate) fn content(self, message: &[u8]) -> Content<'_> {
        match self {
            Self::Absent => Content::Absent,
            Self::Number(number) => Content::Number(number),
            Self::At(start, length) => {
                let bytes = message.get(start as usize..).and_then(|rest| rest.get(..length as usize));
                Content::Bytes(bytes.unwrap_or_default())
            }
        }
    }

    /// The same in `bytes`, to which what was found in `message` is added.
    pub(crate) fn moved(self, message: &[u8], bytes: &mut Vec<u8>) -> Self {
        let Content::Bytes(content) = self.content(message) else {
            return self;
        };
        let start = bytes.len();
        bytes.extend_from_slice(content);
        Self::at(start, content.len())
    }

    /// A part of a message of less than 4 GiB.
    fn at(start: usize, length: usize) -> Self {
        match (u32::try_from(start), u32::try_from(length)) {
            (Ok(start), Ok(length)) => Self::At(start, length),
            _ => Self::Absent,
        }
    }
}

impl<'a> Content<'a> {
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            _ => 0,
        }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

impl Walker {
    pub(crate) fn new(level: Level) -> Self {
        Self { attributes: level.attributes(), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.iter().all(Option::is_none) && self.whole.is_none() && self.keys.is_empty()
    }

    /// Looks for `what` too, from now on, as slot `index`.
    pub(crate) fn add(&mut self, what: &What, index: usize) {
        let (number, rule) = match what {
            What::Attributes => return self.whole = Some(index),
            What::Attribute(key) => {
                self.key_lengths |= length_bit(key.len());
                self.keys.insert(key.as_bytes().into(), index);
                return;
            }
            What::Field(number) => (*number, Rule::Last),
            What::Count(number) => (*number, Rule::Count),
        };
        if let Some(field) = self.fields.get_mut(number as usize) {
            *field = Some((index, rule));
        }
    }

    /// Walks a message, noting in `found` where its slots lie, and calling `hit` with each. Ends where the
    /// message stops being protobuf.
    #[inline]
    pub(crate) fn walk(&self, message: &[u8], found: &mut [Found], mut hit: impl FnMut(usize)) {
        for field in Fields::new(message).map_while(Result::ok) {
            let slot = match field.value {
                Value::Bytes(attribute) if field.number == self.attributes => {
                    self.attribute(&field, attribute, found)
                }
                _ => self.field(&field, found),
            };
            if let Some(slot) = slot {
                hit(slot);
            }
        }
        if let Some(slot) = self.whole
            && let Some(place) = found.get_mut(slot)
        {
            *place = Found::at(0, message.len());
            hit(slot);
        }
    }

    #[inline]
    fn attribute(&self, field: &Field<'_>, attribute: &[u8], found: &mut [Found]) -> Option<usize> {
        if self.key_lengths == 0 {
            return None;
        }
        let mut slot = None;
        // The value is read when a condition asks for it.
        let parsed = Attribute::parse_if(attribute, |key| {
            if self.key_lengths & length_bit(key.len()) != 0 {
                slot = self.keys.get(key).copied();
            }
            false
        });
        let slot = slot.filter(|_| parsed.is_ok())?;
        if let Some(place @ Found::Absent) = found.get_mut(slot) {
            *place = Found::at(field.end - attribute.len(), attribute.len());
        }
        Some(slot)
    }

    #[inline]
    fn field(&self, field: &Field<'_>, found: &mut [Found]) -> Option<usize> {
        let (slot, rule) = (*self.fields.get(field.number as usize)?)?;
        let place = found.get_mut(slot)?;
        *place = match (rule, field.value, *place) {
            (Rule::Count, _, Found::Number(count)) => Found::Number(count + 1),
            (Rule::Count, ..) => Found::Number(1),
            (Rule::Last, Value::Varint(number) | Value::Fixed64(number), _) => Found::Number(number),
            (Rule::Last, Value::Fixed32(number), _) => Found::Number(u64::from(number)),
            (Rule::Last, Value::Bytes(bytes), _) => Found::at(field.end - bytes.len(), bytes.len()),
            (Rule::Last, Value::Group(_), place) => place,
        };
        Some(slot)
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}
