//! Whether two systems kept the same.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use serde::Serialize;

use crate::{Error, template::SPANS_PER_TRACE};

/// A trace id as a big-endian number.
pub type TraceId = u128;

/// The traces that came out of a system, with the number of spans that did of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(BTreeMap<TraceId, u32>);

/// What two systems did with the same traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Traces that both kept.
    pub both: usize,
    /// Traces that only the first kept.
    pub only_first: usize,
    /// Traces that only the second kept.
    pub only_second: usize,
}

impl Comparison {
    /// Whether they kept the same traces.
    #[must_use]
    pub fn same(&self) -> bool {
        self.only_first == 0 && self.only_second == 0
    }
}

impl Kept {
    /// Collects traces.
    pub fn new(traces: impl Iterator<Item = (TraceId, u32)>) -> Self {
        Self(traces.collect())
    }

    /// Traces kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Traces of which another number of spans came out than was sent: some were lost, or sent twice.
    #[must_use]
    pub fn torn(&self) -> usize {
        self.0.values().filter(|&&spans| spans as usize != SPANS_PER_TRACE).count()
    }

    /// Holds the traces against those of another system.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Comparison {
        let both = self.0.keys().filter(|trace| other.0.contains_key(trace)).count();
        Comparison { both, only_first: self.len() - both, only_second: other.len() - both }
    }

    /// Writes a line for each trace: its id in hex, a space, its spans.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.0.iter().try_for_each(|(trace, spans)| writeln!(out, "{trace:032x} {spans}"))
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// As `lines` has them, and for a line of another form.
    pub fn read(lines: impl BufRead) -> Result<Self, Error> {
        let read = |line: io::Result<String>| {
            let line = line?;
            let (trace, spans) =
                line.split_once(' ').ok_or_else(|| format!("not a trace and its spans: {line}"))?;
            Ok((TraceId::from_str_radix(trace, 16)?, spans.parse()?))
        };
        lines.lines().map(read).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(traces: &[(TraceId, u32)]) -> Kept {
        Kept::new(traces.iter().copied())
    }

    #[test]
    fn traces_are_compared_by_id() {
        let first = kept(&[(1, 8), (2, 8), (3, 8)]);
        let second = kept(&[(2, 8), (3, 7), (4, 8), (5, 8)]);
        assert_eq!(first.compare(&second), Comparison { both: 2, only_first: 1, only_second: 2 });
        assert!(first.compare(&first).same());
    }

    #[test]
    fn lost_and_repeated_spans_are_noticed() {
        assert_eq!(kept(&[(1, 8), (2, 7), (3, 16)]).torn(), 2);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = kept(&[(1, 8), (TraceId::MAX, 3)]);
        let mut file = Vec::new();
        written.write(&mut file).unwrap();
        assert_eq!(Kept::read(&file[..]).unwrap(), written);
        assert!(Kept::read(&b"hello"[..]).is_err());
    }
}
