//! The choice of `probabilistic_sampler`: thresholds in, thresholds out.
//!
//! A stage keeps a span if its randomness R reaches the stage's threshold T and stamps it with T. How T is
//! found depends on the mode and on the threshold that the span has passed before:
//!
//! - *equalizing*: the larger of the two, so that all spans end up at the same probability;
//! - *proportional*: that of the product of both probabilities, so that this stage keeps the same share of
//!   whatever arrives;
//! - *`hash_seed`*: R is not the trace's but a seeded hash of its id, 14 bits of it, for tracers whose ids are
//!   not random. It is written as `rv`, so that later stages see the number that was used. A stage that finds
//!   its own number equalizes, and one that finds a threshold or another number composes proportionally.
//!   (The Collector drops every span that comes with either, so two such tiers lose everything.)

use forebay_otlp::TraceId;
use forebay_otlp::threshold::{ProbabilityError, Randomness, Threshold};

use crate::hash::fnv1a_32;

/// How spans are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By a seeded hash of the trace id.
    HashSeed,
    /// A fixed share of what arrives.
    Proportional,
    /// Whatever brings all spans to one probability.
    Equalizing,
}

/// What a span came with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) threshold: Option<Threshold>,
    pub(super) randomness: Option<Randomness>,
}

/// How a span leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) threshold: Threshold,
    /// The number that was chosen by, if it is not the span's own already.
    pub(super) randomness: Option<Randomness>,
}

/// A mode with its numbers.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    mode: Mode,
    /// Share of traces to keep, above 0 and at most 1.
    probability: f64,
    threshold: Threshold,
    precision: u32,
    seed: [u8; 4],
}

/// Bits of the hash that count.
const HASH_BITS: u32 = 14;
const HASH_RANGE: u32 = 1 << HASH_BITS;
/// Where the hash's bits lie in a randomness of 56 bits.
const HASH_SHIFT: u32 = 56 - HASH_BITS;

impl Rule {
    pub(super) fn new(
        mode: Mode,
        probability: f64,
        precision: u32,
        seed: u32,
    ) -> Result<Self, ProbabilityError> {
        let threshold = match mode {
            Mode::HashSeed => hash_threshold(probability),
            Mode::Proportional | Mode::Equalizing => Threshold::from_probability(probability, precision)?,
        };
        Ok(Self { mode, probability, threshold, precision, seed: seed.to_le_bytes() })
    }

    /// How a span without trace state leaves in the modes that add no number.
    pub(super) fn usual_stamp(&self) -> Stamp {
        Stamp { threshold: self.threshold, randomness: None }
    }

    /// How the span leaves, if it is kept.
    pub(super) fn choose(&self, trace_id: TraceId, incoming: Incoming) -> Option<Stamp> {
        let own = || Randomness::from_trace_id(trace_id.to_bytes());
        let randomness = incoming.randomness.unwrap_or_else(own);
        let keep = |threshold: Threshold| {
            threshold.keeps(randomness).then_some(Stamp { threshold, randomness: None })
        };
        let equalized = self.threshold.max(incoming.threshold.unwrap_or(Threshold::ALWAYS));
        match self.mode {
            Mode::Equalizing => keep(equalized),
            Mode::Proportional => keep(self.proportional(incoming.threshold)?),
            Mode::HashSeed => {
                let hashed = self.hashed(trace_id);
                match incoming {
                    Incoming { threshold: None, randomness: None } => self
                        .threshold
                        .keeps(hashed)
                        .then_some(Stamp { threshold: self.threshold, randomness: Some(hashed) }),
                    Incoming { randomness: Some(randomness), .. } if randomness == hashed => keep(equalized),
                    _ => keep(self.proportional(incoming.threshold)?),
                }
            }
        }
    }

    /// The threshold of this stage's share of what has passed `before`; `None` if that is less than one of 2^56.
    fn proportional(&self, before: Option<Threshold>) -> Option<Threshold> {
        let Some(before) = before.filter(|&before| before != Threshold::ALWAYS) else {
            return Some(self.threshold);
        };
        let product =
            Threshold::from_probability(self.probability * before.probability(), self.precision).ok()?;
        // Rounding must not lower what has been passed.
        Some(product.max(before))
    }

    /// The trace's number for mode `hash_seed`: 14 bits of hash decide, the rest is theirs to spread, and the
    /// number ends in the hash as it was computed, as upstream.
    fn hashed(&self, trace_id: TraceId) -> Randomness {
        let full = fnv1a_32(&[&self.seed, &trace_id.to_bytes()]);
        let hash = full & (HASH_RANGE - 1);
        let reversed = u64::from(HASH_RANGE - 1 - hash);
        let value = reversed << HASH_SHIFT | u64::from(full & 0x0fff_ffff) << HASH_BITS | u64::from(hash);
        Randomness::new(value).unwrap_or_else(|| Randomness::from_trace_id(trace_id.to_bytes()))
    }
}

/// Traces whose hash is below `probability` of its range are kept; reversed, that is at least this threshold.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^14")]
fn hash_threshold(probability: f64) -> Threshold {
    let kept = (probability * f64::from(HASH_RANGE)) as u64;
    let rejected = u64::from(HASH_RANGE).saturating_sub(kept);
    // Nothing can be rejected altogether: a share too small for 14 bits keeps one of 2^14.
    Threshold::new(rejected.min(u64::from(HASH_RANGE) - 1) << HASH_SHIFT).unwrap_or(Threshold::ALWAYS)
}

#[cfg(test)]
mod tests;
