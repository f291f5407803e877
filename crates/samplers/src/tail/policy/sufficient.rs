//! Conditions on a digest that suffice for a policy to ask for a trace, whatever else there is to know of it.
//!
//! An agent that holds a part of a trace decides by them alone. They are what policies have in common that can be
//! told in few words: an agent need not know policies.

use forebay_otlp::threshold::{Randomness, Threshold};

use crate::tail::digest::Digest;
use crate::tail::predicate::Bits;

/// All of this suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sufficient {
    /// Bits that are set.
    pub bits: Bits,
    /// What the duration exceeds, in nanoseconds.
    pub duration_over: Option<u64>,
    /// How many spans there are at least.
    pub spans: u32,
    /// What the trace's randomness reaches.
    pub threshold: Threshold,
}

impl Sufficient {
    /// What every trace satisfies.
    pub const ANY: Self =
        Self { bits: Bits::NONE, duration_over: None, spans: 0, threshold: Threshold::ALWAYS };

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
            duration_over: self.duration_over.max(other.duration_over),
            spans: self.spans.max(other.spans),
            threshold: self.threshold.max(other.threshold),
        }
    }

    /// Whether a digest, and so every digest that it is merged into, satisfies it.
    #[must_use]
    pub fn holds(&self, digest: &Digest, randomness: Randomness) -> bool {
        digest.predicates.contains(self.bits)
            && self.duration_over.is_none_or(|over| digest.duration() > over)
            && digest.spans >= self.spans
            && self.threshold.keeps(randomness)
    }
}
