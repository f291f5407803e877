//! A trace's evidence: small, fixed in size, mergeable.
//!
//! Everything that a policy may ask about a trace is in its digest, so a decision never reads spans again.
//! Digests form a commutative monoid under [`Digest::merge`] with [`Digest::EMPTY`] as neutral element:
//! pieces of a trace can be digested anywhere, in any order, and merged. All but the two counts are
//! idempotent as well.

use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::{Span, TraceId};

use super::moment::Moment;
use super::predicate::Bits;
use crate::retroactive::program::Columns;

/// What is known about the spans of one trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Predicates that some span satisfies.
    pub predicates: Bits,
    /// Earliest start, nanoseconds since the epoch.
    pub start: u64,
    /// Latest end, nanoseconds since the epoch.
    pub end: u64,
    /// Sum of the lengths of the span messages; saturates.
    pub bytes: u32,
    /// Number of spans; saturates.
    pub spans: u32,
    /// One more than the strictest threshold that spans came with; zero if none did, so that merging is the
    /// maximum.
    head: u64,
    /// The explicit randomness that spans came with: the least, should they disagree. `u64::MAX` if none did,
    /// so that merging is the minimum.
    randomness: u64,
    /// Whether a root has been seen.
    pub root: bool,
    /// When the first span came.
    pub(crate) arrived: Moment,
}

impl Digest {
    /// The digest of no spans.
    pub const EMPTY: Self = Self {
        predicates: Bits::NONE,
        start: u64::MAX,
        end: 0,
        bytes: 0,
        spans: 0,
        head: 0,
        randomness: u64::MAX,
        root: false,
        arrived: Moment::UNKNOWN,
    };

    /// Adds what another piece of the trace knows.
    pub fn merge(&mut self, other: &Self) {
        self.predicates |= other.predicates;
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.spans = self.spans.saturating_add(other.spans);
        self.head = self.head.max(other.head);
        self.randomness = self.randomness.min(other.randomness);
        self.root |= other.root;
        self.arrived = self.arrived.min(other.arrived);
    }

    /// What an agent tells of it to a coordinator that wants these columns.
    #[must_use]
    pub(crate) fn restricted(&self, columns: Columns) -> Self {
        let (start, end) =
            if columns.times { (self.start, self.end) } else { (Self::EMPTY.start, Self::EMPTY.end) };
        Self {
            start,
            end,
            bytes: if columns.bytes { self.bytes } else { 0 },
            spans: if columns.spans { self.spans } else { 0 },
            root: columns.root && self.root,
            arrived: Moment::UNKNOWN,
            ..*self
        }
    }

    /// Adds a span, whether it is a root, its predicates and its trace state aside.
    #[inline]
    pub fn add_span(&mut self, span: &Span) {
        self.start = self.start.min(span.start);
        self.end = self.end.max(span.end);
        self.bytes = self.bytes.saturating_add(span.body.end - span.body.start);
        self.spans = self.spans.saturating_add(1);
    }

    /// Adds what a span's `ot` tracestate member says.
    pub fn add_head(&mut self, threshold: Option<Threshold>, randomness: Option<Randomness>) {
        self.head = self.head.max(threshold.map_or(0, |threshold| threshold.get() + 1));
        self.randomness = self.randomness.min(randomness.map_or(u64::MAX, Randomness::get));
    }

    /// From the earliest start to the latest end, in nanoseconds; zero if no span ends after it.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The threshold that the trace has passed before; `None` if that is not known.
    #[must_use]
    pub fn head(&self) -> Option<Threshold> {
        self.head.checked_sub(1).and_then(Threshold::new)
    }

    /// The randomness that its spans came with; `None` if that is the trace id's.
    #[must_use]
    pub fn explicit_randomness(&self) -> Option<Randomness> {
        Randomness::new(self.randomness)
    }

    /// The trace's random number: the explicit one, else the low 56 bits of its id.
    #[must_use]
    pub fn randomness(&self, trace_id: TraceId) -> Randomness {
        self.explicit_randomness().unwrap_or_else(|| Randomness::from_trace_id(trace_id.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest() -> impl Strategy<Value = Digest> {
        let times = (any::<u64>(), any::<u64>(), any::<u64>());
        let ot = (prop::option::of(0_u64..1 << 56), prop::option::of(0_u64..1 << 56));
        (times, any::<(u32, u32)>(), ot, any::<u128>(), any::<bool>()).prop_map(
            |((start, end, arrived), (bytes, spans), (th, rv), bits, root)| {
                let mut digest = Digest {
                    predicates: Bits::from_raw(bits),
                    start,
                    end,
                    bytes,
                    spans,
                    root,
                    arrived: Moment::of(arrived),
                    ..Digest::EMPTY
                };
                digest.add_head(th.and_then(Threshold::new), rv.and_then(Randomness::new));
                digest
            },
        )
    }

    fn merged(mut a: Digest, b: &Digest) -> Digest {
        a.merge(b);
        a
    }

    proptest! {
        #[test]
        fn digests_are_a_commutative_monoid(a in digest(), b in digest(), c in digest()) {
            prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
            prop_assert_eq!(merged(merged(a.clone(), &b), &c), merged(a.clone(), &merged(b, &c)));
            prop_assert_eq!(merged(a.clone(), &Digest::EMPTY), a);
        }

        #[test]
        fn all_but_the_counts_are_idempotent(a in digest()) {
            let twice = merged(a.clone(), &a);
            prop_assert_eq!(Digest { bytes: a.bytes, spans: a.spans, ..twice }, a);
        }
    }

    #[test]
    fn a_trace_without_rv_has_the_randomness_of_its_id() {
        let id = TraceId(0xffff_ff12_3456_789a_bcde << 8 | 0xf0);
        assert_eq!(Digest::EMPTY.randomness(id).get(), 0x34_5678_9abc_def0);
        let mut digest = Digest::EMPTY;
        digest.add_head(Threshold::new(7), Randomness::new(9));
        assert_eq!((digest.head().unwrap().get(), digest.randomness(id).get()), (7, 9));
    }
}
