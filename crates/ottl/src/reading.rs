//! How the value of a path is read from where its slot was found.

use std::borrow::Cow;

use forebay_otlp::SPAN_KINDS;
use forebay_otlp::attribute::{Attribute, attribute_messages};
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::wire::{Fields, Value as Wire, enum_number};

use crate::collection::Map;
use crate::slots::Content;
use crate::value::{Text, Value};

/// What a path makes of a slot. A field that is not there has protobuf's default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// The value of a `KeyValue` message.
    Attribute,
    /// All `KeyValue`s, which are the message's field of this number.
    Attributes(u32),
    Text,
    Int,
    /// Number of events or links.
    Records,
    Time,
    UnixNano,
    TraceId,
    TraceIdText,
    SpanId,
    SpanIdText,
    /// Whether a span id is unset.
    NoSpanId,
    Kind,
    /// `Server`
    KindText,
    /// `SPAN_KIND_SERVER`
    KindConstant,
    Status,
    StatusCode,
    StatusMessage,
    /// A member of a trace state.
    Member(Box<str>),
}

const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUS_MESSAGE: u32 = 2;
const STATUS_CODE: u32 = 3;

impl Reading {
    /// The value of a `KeyValue` message.
    #[inline]
    pub(crate) fn attribute(content: Content<'_>) -> Value<'_> {
        let parsed = Attribute::parse_if(content.bytes(), |_| true);
        parsed.ok().flatten().unwrap_or_default().value.into()
    }

    /// The value of what was found.
    pub(crate) fn value<'a>(&self, content: Content<'a>) -> Value<'a> {
        match self {
            Self::Attribute => Self::attribute(content),
            Self::Text => Value::String(Cow::Borrowed(content.bytes())),
            // Counts and flags have 32 bits.
            Self::Int => Value::Int(content.number().cast_signed()),
            Self::UnixNano => Value::Int(content.number().cast_signed()),
            Self::Time => Value::Time(i128::from(content.number().cast_signed())),
            Self::Attributes(number) => Value::Map(match content {
                Content::Bytes(message) => Map::Wire(message, *number),
                _ => Map::EMPTY,
            }),
            Self::Records => Value::Records(content.number()),
            Self::TraceId => Value::TraceId(id(content)),
            Self::TraceIdText => digits(&id::<16>(content)),
            Self::SpanId => Value::SpanId(id(content)),
            Self::SpanIdText => digits(&id::<8>(content)),
            Self::NoSpanId => Value::Bool(id(content) == [0; 8]),
            Self::Kind => Value::Int(i64::from(enum_number(content.number()))),
            Self::KindText => Value::text(kind(content, KINDS.iter().copied())),
            Self::KindConstant => Value::text(kind(content, SPAN_KINDS.iter().map(|(name, _)| *name))),
            Self::Status => Value::Status,
            Self::StatusCode => match last(content.bytes(), STATUS_CODE) {
                Some(Wire::Varint(code)) => Value::Int(i64::from(enum_number(code))),
                _ => Value::Int(0),
            },
            Self::StatusMessage => {
                let messages = attribute_messages(content.bytes(), STATUS_MESSAGE);
                Value::String(Cow::Borrowed(messages.last().unwrap_or_default()))
            }
            Self::Member(key) => match TraceState::parse(content.bytes()) {
                Ok(state) => Value::text(state.get(key).unwrap_or_default()),
                Err(_) => Value::Nil,
            },
        }
    }
}

/// The last field of that number.
fn last(message: &[u8], number: u32) -> Option<Wire<'_>> {
    let fields = Fields::new(message).map_while(Result::ok);
    fields.filter(|field| field.number == number).last().map(|field| field.value)
}

/// An id; zero unless it has its length, which admission has seen to.
fn id<const N: usize>(content: Content<'_>) -> [u8; N] {
    content.bytes().try_into().unwrap_or([0; N])
}

fn digits(id: &[u8]) -> Value<'static> {
    Value::String(Text::Owned(hex::encode(id).into_bytes()))
}

fn kind(content: Content<'_>, mut names: impl Iterator<Item = &'static str>) -> &'static str {
    let kind = usize::try_from(enum_number(content.number())).ok();
    kind.and_then(|kind| names.nth(kind)).unwrap_or_default()
}
