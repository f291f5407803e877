//! OTLP/JSON to protobuf.
//!
//! A [`FieldSeed`] reads the value of one field and appends that field. How long a message is shows
//! after its fields have been written; its tag and length are rotated in front of them then.

use std::fmt::{self, Write as _};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::JsonError;
use super::scalar::{Number, Scalar};
use super::text::Text;
use crate::schema::{Cardinality, Encoding, Field, Kind, MAX_DEPTH, Message};
use crate::wire::put_header;

/// Bytes of a message in [`JsonError`]: serde quotes what it finds, which may be all of the
/// document.
const MAX_MESSAGE: usize = 200;

/// The protobuf form of a document that is one `message`.
pub(super) fn document(message: &'static Message, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut decoder = Decoder { out: Vec::with_capacity(json.len() / 2), ..Decoder::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // Messages are counted here; what lies in unknown fields is skipped without recursion.
    deserializer.disable_recursion_limit();
    deserializer
        .deserialize_any(Object { decoder: &mut decoder, message })
        .and_then(
            |present| {
                if present { deserializer.end() } else { Err(Error::custom("null is not a request")) }
            },
        )
        .map_err(|error| decoder.error(&error))?;
    // The request may wait for a while, and is accounted for by its length.
    decoder.out.shrink_to_fit();
    Ok(decoder.out)
}

/// What the seeds share.
#[derive(Default)]
struct Decoder {
    out: Vec<u8>,
    /// Messages around the one being read.
    depth: usize,
    /// After an error: the way to where it happened, innermost step first.
    trail: Vec<Step>,
}

enum Step {
    Name(&'static str),
    Index(usize),
}

impl Decoder {
    /// Makes everything from `start` on a length-delimited field.
    fn delimit(&mut self, start: usize, number: u32) {
        let length = self.out.len() - start;
        put_header(&mut self.out, number, length);
        let header = self.out.len() - start - length;
        self.out[start..].rotate_right(header);
    }

    fn error(&self, error: &serde_json::Error) -> JsonError {
        let mut path = String::new();
        for step in self.trail.iter().rev() {
            // Writing to a string does not fail.
            let _ = match step {
                Step::Name(name) if path.is_empty() => write!(path, "{name}"),
                Step::Name(name) => write!(path, ".{name}"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
        }
        let (line, column) = (error.line(), error.column());
        let mut message = error.to_string();
        if let Some(bare) = message.strip_suffix(&format!(" at line {line} column {column}")) {
            message.truncate(bare.len());
        }
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        JsonError { path, message, line, column }
    }
}

/// What stands for a field or an element in JSON.
enum Read {
    Null,
    /// Bytes that have been appended without tag and length.
    Delimited,
    Scalar(Scalar),
}

fn read<'de, D: Deserializer<'de>>(
    decoder: &mut Decoder,
    kind: &'static Kind,
    json: D,
) -> Result<Read, D::Error> {
    let present = match kind {
        Kind::Nested(message) => json.deserialize_any(Object { decoder, message })?,
        Kind::String | Kind::Bytes | Kind::Id => {
            json.deserialize_option(Text { out: &mut decoder.out, kind })?
        }
        _ => {
            return Ok(json.deserialize_any(ScalarVisitor { kind })?.map_or(Read::Null, Read::Scalar));
        }
    };
    Ok(if present { Read::Delimited } else { Read::Null })
}

/// Reads the value of a field and appends the field.
struct FieldSeed<'d> {
    decoder: &'d mut Decoder,
    field: &'static Field,
    /// Whether a scalar is written if it is zero.
    explicit: bool,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let Self { decoder, field, explicit } = self;
        if field.cardinality == Cardinality::Repeated {
            return json.deserialize_any(List { decoder, field });
        }
        let start = decoder.out.len();
        let explicit = explicit || matches!(field.kind, Kind::Nested(_));
        match (read(decoder, &field.kind, json)?, &field.kind) {
            (Read::Delimited, _) if explicit || decoder.out.len() > start => {
                decoder.delimit(start, field.number)
            }
            (Read::Scalar(double @ Scalar::Fixed64(_)), &Kind::Int64OrDouble { double: number }) => {
                double.put_field(number, &mut decoder.out);
            }
            (Read::Scalar(scalar), _) if explicit || !scalar.is_zero() => {
                scalar.put_field(field.number, &mut decoder.out);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads a list, and appends its elements as fields or, if they are scalars, as one packed field.
struct List<'d> {
    decoder: &'d mut Decoder,
    field: &'static Field,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { decoder, field } = self;
        let start = decoder.out.len();
        for index in 0.. {
            match list.next_element_seed(ElementSeed { decoder, field }) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    decoder.trail.push(Step::Index(index));
                    return Err(error);
                }
            }
        }
        if field.kind.encoding() != Encoding::Delimited && decoder.out.len() > start {
            decoder.delimit(start, field.number);
        }
        Ok(())
    }
}

/// Reads an element of a list.
struct ElementSeed<'d> {
    decoder: &'d mut Decoder,
    field: &'static Field,
}

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let Self { decoder, field } = self;
        let start = decoder.out.len();
        match (read(decoder, &field.kind, json)?, &field.kind) {
            // Without its place in the list the others would move: null is a message that is empty.
            (Read::Delimited, _) | (Read::Null, Kind::Nested(_)) => decoder.delimit(start, field.number),
            (Read::Scalar(scalar), _) => scalar.put_packed(&mut decoder.out),
            (Read::Null, _) => return Err(Error::custom("null in a list of numbers or strings")),
        }
        Ok(())
    }
}

/// Reads an object, and appends the fields of a message without the message's own tag. False for
/// null.
struct Object<'d> {
    decoder: &'d mut Decoder,
    message: &'static Message,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", self.message.name)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { decoder, message } = self;
        if decoder.depth > MAX_DEPTH {
            return Err(Error::custom(format_args!("messages are nested more than {MAX_DEPTH} deep")));
        }
        decoder.depth += 1;
        let mut seen = [false; Message::MAX_FIELDS];
        while let Some(index) = object.next_key_seed(Name(message))? {
            let Some(index) = index else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &message.fields[index];
            // A zero that replaces an earlier value has to be said.
            let explicit = seen[index] || field.cardinality != Cardinality::Single;
            seen[index] = true;
            if let Err(error) = object.next_value_seed(FieldSeed { decoder, field, explicit }) {
                decoder.trail.push(Step::Name(field.name));
                return Err(error);
            }
        }
        decoder.depth -= 1;
        Ok(true)
    }
}

/// Reads a name, and finds its field in the message.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<usize>, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.fields.iter().position(|field| field.name == name))
    }
}

/// Reads a number, a boolean or the name of an enum's value. `None` for null.
#[derive(Clone, Copy)]
struct ScalarVisitor {
    kind: &'static Kind,
}

impl ScalarVisitor {
    fn number<E: Error>(self, number: Number, found: Unexpected<'_>) -> Result<Option<Scalar>, E> {
        self.kind.scalar(number).map(Some).ok_or_else(|| E::invalid_value(found, &self))
    }
}

impl Visitor<'_> for ScalarVisitor {
    type Value = Option<Scalar>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Bool => "true or false",
            Kind::Int32 | Kind::Sint32 => "a signed 32-bit integer",
            Kind::Uint32 | Kind::Fixed32 => "an unsigned 32-bit integer",
            Kind::Int64 | Kind::Sfixed64 => "a signed 64-bit integer",
            Kind::Uint64 | Kind::Fixed64 => "an unsigned 64-bit integer",
            Kind::Enum(names) => {
                let example = names.last().map_or("", |(name, _)| name);
                return write!(f, "a number or a name such as {example}");
            }
            _ => "a number",
        })
    }

    fn visit_unit<E>(self) -> Result<Option<Scalar>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<Scalar>, E> {
        match self.kind {
            Kind::Bool => Ok(Some(Scalar::Varint(value.into()))),
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<Scalar>, E> {
        self.number(Number::Integer(value.into()), Unexpected::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<Scalar>, E> {
        self.number(Number::Integer(value.into()), Unexpected::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<Scalar>, E> {
        self.number(Number::Float(value), Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Scalar>, E> {
        let number = match self.kind {
            Kind::Enum(names) => {
                names.iter().find(|(name, _)| *name == text).map(|&(_, value)| Number::Integer(value.into()))
            }
            _ => Number::from_text(text),
        };
        let found = Unexpected::Str(text);
        number.map_or_else(|| Err(E::invalid_value(found, &self)), |number| self.number(number, found))
    }
}
