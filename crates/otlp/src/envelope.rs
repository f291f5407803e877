//! The levels around spans, metrics and log records.
//!
//! The three export requests have one shape: a request holds resources (field 1), a resource holds scopes
//! (field 2), a scope holds items (field 2), and whatever else stands on a level describes it: the resource
//! or scope itself, its schema URL, fields of a later protocol version. That description is an *envelope*.
//! It is kept as the ranges in which it lies, verbatim, so that regrouping items under their envelopes
//! preserves what nobody here understands, and so that protobuf's merge rules need not be applied at all.

use std::ops::Range;

use thiserror::Error;

use crate::wire::{Fields, Value, WireError};

/// Why bytes are not an export request.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ScanError {
    /// A message does not parse.
    #[error("{level} is not valid protobuf: {error} (at byte {offset} of the request)")]
    Wire {
        /// Which message.
        level: &'static str,
        /// What is wrong.
        error: WireError,
        /// Where that message starts in the request.
        offset: usize,
    },
    /// Offsets are kept in 32 bits.
    #[error("request of {0} bytes exceeds 4 GiB")]
    TooLarge(usize),
}

/// Resource and scope of some items, as the ranges of a request that describe them.
///
/// `resource` and `scope` index into [`Envelopes::parts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Envelope {
    /// Which of the request's resources this is.
    number: u32,
    resource: Range<u32>,
    scope: Range<u32>,
}

/// The envelopes of one request.
#[derive(Clone, Debug, Default)]
pub struct Envelopes {
    parts: Vec<Range<u32>>,
    envelopes: Vec<Envelope>,
}

const RESOURCES: u32 = 1;
const SCOPES: u32 = 2;
const ITEMS: u32 = 2;

impl Envelopes {
    /// Walks `request`, calling `item` with the envelope's index and the range of the item's message; `item`
    /// says whether it wants the item. Envelopes without a wanted item are not recorded.
    ///
    /// # Errors
    /// When the levels around the items do not parse, or when `item` says so.
    pub fn walk(
        request: &[u8],
        mut item: impl FnMut(u32, Range<u32>) -> Result<bool, ScanError>,
    ) -> Result<Self, ScanError> {
        let whole = 0..u32::try_from(request.len()).map_err(|_| ScanError::TooLarge(request.len()))?;
        let mut envelopes = Self::default();
        let mut number = 0;
        for level in children(request, whole, "request", RESOURCES) {
            if let Child::Nested(resource) = level? {
                envelopes.walk_resource(request, number, resource, &mut item)?;
                number += 1;
            }
        }
        Ok(envelopes)
    }

    fn walk_resource(
        &mut self,
        request: &[u8],
        number: u32,
        range: Range<u32>,
        item: &mut impl FnMut(u32, Range<u32>) -> Result<bool, ScanError>,
    ) -> Result<(), ScanError> {
        // The description may follow the scopes, so it is collected before descending.
        let first = self.next_part();
        for child in children(request, range.clone(), "resource", SCOPES) {
            if let Child::Part(part) = child? {
                self.push_part(first, part);
            }
        }
        let described = Envelope { number, resource: first..self.next_part(), scope: 0..0 };
        let recorded = self.envelopes.len();
        for child in children(request, range, "resource", SCOPES) {
            if let Child::Nested(scope) = child? {
                self.walk_scope(request, scope, &described, item)?;
            }
        }
        if self.envelopes.len() == recorded {
            self.parts.truncate(first as usize);
        }
        Ok(())
    }

    fn walk_scope(
        &mut self,
        request: &[u8],
        range: Range<u32>,
        described: &Envelope,
        item: &mut impl FnMut(u32, Range<u32>) -> Result<bool, ScanError>,
    ) -> Result<(), ScanError> {
        let first = self.next_part();
        // More envelopes than bytes in a 32-bit request there cannot be.
        let number = u32::try_from(self.envelopes.len()).unwrap_or(u32::MAX);
        let mut wanted = false;
        for child in children(request, range, "scope", ITEMS) {
            match child? {
                Child::Nested(body) => wanted |= item(number, body)?,
                Child::Part(part) => self.push_part(first, part),
            }
        }
        if wanted {
            self.envelopes.push(Envelope { scope: first..self.next_part(), ..described.clone() });
        } else {
            self.parts.truncate(first as usize);
        }
        Ok(())
    }

    /// Index of the part that comes next.
    fn next_part(&self) -> u32 {
        // Each takes at least a byte of a request that has fewer than 2^32.
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    /// Adds a part, joined to the one before where they touch.
    fn push_part(&mut self, first: u32, part: Range<u32>) {
        match self.parts[first as usize..].last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => self.parts.push(part),
        }
    }

    /// How many envelopes have items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.envelopes.len()
    }

    /// Whether no item was wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// A number that the envelopes of one resource message share.
    #[must_use]
    pub fn resource_number(&self, envelope: u32) -> u32 {
        self.envelopes.get(envelope as usize).map_or(0, |found| found.number)
    }

    /// The fields that describe the resource of `envelope`, in wire order, tags included.
    pub fn resource_parts<'a>(
        &self,
        request: &'a [u8],
        envelope: u32,
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, '_> {
        self.slices(request, self.envelopes.get(envelope as usize).map(|found| found.resource.clone()))
    }

    /// The fields that describe the scope of `envelope`, in wire order, tags included.
    pub fn scope_parts<'a>(
        &self,
        request: &'a [u8],
        envelope: u32,
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, '_> {
        self.slices(request, self.envelopes.get(envelope as usize).map(|found| found.scope.clone()))
    }

    fn slices<'a>(
        &self,
        request: &'a [u8],
        parts: Option<Range<u32>>,
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, '_> {
        let parts = parts.unwrap_or_default();
        self.parts[parts.start as usize..parts.end as usize]
            .iter()
            .map(|part| &request[part.start as usize..part.end as usize])
    }
}

/// One field of a level: something nested below, or part of the level's own description.
enum Child {
    /// The message of a field with the wanted number.
    Nested(Range<u32>),
    /// Any other field, tag included.
    Part(Range<u32>),
}

#[inline]
fn children<'a>(
    request: &'a [u8],
    range: Range<u32>,
    level: &'static str,
    nested: u32,
) -> impl Iterator<Item = Result<Child, ScanError>> + use<'a> {
    let base = range.start;
    // Offsets fit: the request does.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offsets lie within a request of at most u32::MAX bytes"
    )]
    Fields::new(&request[range.start as usize..range.end as usize]).map(move |field| {
        let field = field.map_err(|error| ScanError::Wire { level, error, offset: base as usize })?;
        let end = base + field.end as u32;
        Ok(match field.value {
            Value::Bytes(body) if field.number == nested => Child::Nested(end - body.len() as u32..end),
            _ => Child::Part(base + field.start as u32..end),
        })
    })
}

#[cfg(test)]
mod tests;
