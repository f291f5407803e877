//! What types a value can have, as far as a condition's text tells.

use std::fmt;
use std::ops::BitOr;

/// A set of types. An attribute can have any of those that OTLP knows, or be missing, which is `nil`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types(u16);

const NAMES: [&str; 14] = [
    "nil",
    "a bool",
    "an int",
    "a float",
    "a string",
    "bytes",
    "a list",
    "a map",
    "a time",
    "a duration",
    "a trace id",
    "a span id",
    "a status",
    "a list of events or links",
];

impl Types {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NIL: Self = Self(1);
    pub(crate) const BOOL: Self = Self(1 << 1);
    pub(crate) const INT: Self = Self(1 << 2);
    pub(crate) const FLOAT: Self = Self(1 << 3);
    pub(crate) const STRING: Self = Self(1 << 4);
    pub(crate) const BYTES: Self = Self(1 << 5);
    pub(crate) const LIST: Self = Self(1 << 6);
    pub(crate) const MAP: Self = Self(1 << 7);
    pub(crate) const TIME: Self = Self(1 << 8);
    pub(crate) const DURATION: Self = Self(1 << 9);
    pub(crate) const TRACE_ID: Self = Self(1 << 10);
    pub(crate) const SPAN_ID: Self = Self(1 << 11);
    pub(crate) const STATUS: Self = Self(1 << 12);
    /// A span's events or links, of which only the number is known.
    pub(crate) const RECORDS: Self = Self(1 << 13);

    /// Whatever an attribute can be.
    pub(crate) const ATTRIBUTE: Self = Self(0xff);
    pub(crate) const ANY: Self = Self(0x3fff);
    pub(crate) const NUMBER: Self = Self::INT.or(Self::FLOAT);
    /// What has an order of its own.
    pub(crate) const ORDERED: Self =
        Self::NUMBER.or(Self::BOOL).or(Self::STRING).or(Self::BYTES).or(Self::TIME).or(Self::DURATION);

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Types {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

/// "an int or a float"
impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().enumerate().filter(|(index, _)| self.0 & 1 << index != 0);
        let names: Vec<_> = names.map(|(_, name)| *name).collect();
        f.write_str(&names.join(" or "))
    }
}
