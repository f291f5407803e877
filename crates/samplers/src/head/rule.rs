//! The choice of `probabilistic_sampler`: thresholds in, thresholds out.
//!
//! A stage keeps an item if its randomness R reaches the stage's threshold T and stamps it with T. How T is
//! found depends on the mode and on the threshold that the item has passed before:
//!
//! - *equalizing*: the larger of the two, so that all items end up at the same probability;
//! - *proportional*: that of the product of both probabilities, so that this stage keeps the same share of
//!   whatever arrives;
//! - *`hash_seed`*: R is not the trace's but a seeded hash of its id, 14 bits of it, for tracers whose ids are
//!   not random; of a log record it may be that of an attribute. It is written as `rv`, so that later stages see
//!   the number that was used. A stage that finds its own number equalizes, and one that finds a threshold or
//!   another number composes proportionally. (The Collector drops every item that comes with either, so two such
//!   tiers lose everything.)

use forebay_otlp::TraceId;
use forebay_otlp::threshold::{ProbabilityError, Randomness, Threshold};

use super::verdict::Policy;
use forebay_pipeline::hash::fnv1a_32;

/// How items are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By a seeded hash of the trace id.
    HashSeed,
    /// A fixed share of what arrives.
    Proportional,
    /// Whatever brings all items to one probability.
    Equalizing,
}

/// What an item came with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) threshold: Option<Threshold>,
    pub(super) randomness: Option<Randomness>,
}

/// What identifies an item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) trace_id: Option<TraceId>,
    /// What mode `hash_seed` makes its number of.
    pub(super) key: Option<Key<'a>>,
}

/// What is hashed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    TraceId(TraceId),
    Attribute(&'a [u8]),
}

/// The number that an item is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) randomness: Randomness,
    /// Where it comes from.
    pub(super) policy: Policy,
    /// Whether it is this stage's hash.
    hashed: bool,
    /// Whether it has to be written for others to know it.
    unwritten: bool,
}

/// How an item leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) threshold: Threshold,
    /// The number that was chosen by, if it is not the item's own already.
    pub(super) randomness: Option<Randomness>,
}

/// A mode with its numbers.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    mode: Mode,
    /// Share of items to keep, from 0 to 1.
    probability: f64,
    /// `None` keeps nothing.
    threshold: Option<Threshold>,
    precision: u32,
    seed: [u8; 4],
}

/// Bits of the hash that count.
const HASH_BITS: u32 = 14;
const HASH_RANGE: u32 = 1 << HASH_BITS;
/// Where the hash's bits lie in a randomness of 56 bits.
const HASH_SHIFT: u32 = 56 - HASH_BITS;

impl Rule {
    /// The rule that keeps `percentage` of a hundred, of which it computes as the Collector does, in 32 bits.
    pub(super) fn new(
        mode: Mode,
        percentage: f32,
        precision: u32,
        seed: u32,
    ) -> Result<Self, ProbabilityError> {
        let percentage = percentage.min(100.0);
        let probability = f64::from(percentage) / 100.0;
        let threshold = match mode {
            _ if percentage <= 0.0 => None,
            Mode::HashSeed => hash_threshold(percentage),
            Mode::Proportional | Mode::Equalizing => {
                Some(Threshold::from_probability(probability, precision)?)
            }
        };
        Ok(Self { mode, probability, threshold, precision, seed: seed.to_le_bytes() })
    }

    /// Whether numbers are hashes of an item's key.
    pub(super) fn hashes(&self) -> bool {
        self.mode == Mode::HashSeed
    }

    /// How an item that came with nothing leaves in the modes that add no number.
    pub(super) fn usual_stamp(&self) -> Option<Stamp> {
        self.threshold.map(|threshold| Stamp { threshold, randomness: None })
    }

    /// The number of an item, if it has one.
    pub(super) fn number(&self, item: Item<'_>, incoming: Incoming) -> Option<Number> {
        if let Some(key) = item.key.filter(|_| self.hashes()) {
            let randomness = self.hashed(key);
            let unwritten = incoming == Incoming::default();
            if unwritten || incoming.randomness == Some(randomness) {
                return Some(Number { randomness, policy: key.policy(), hashed: true, unwritten });
            }
        }
        let own = |id: TraceId| (Randomness::from_trace_id(id.to_bytes()), Policy::TraceIdW3c);
        let explicit = incoming.randomness.map(|randomness| (randomness, Policy::SamplingRandomness));
        let (randomness, policy) =
            explicit.or_else(|| item.trace_id.filter(|_| self.trusts_ids(incoming)).map(own))?;
        Some(Number { randomness, policy, hashed: false, unwritten: false })
    }

    /// What an item with this number has to reach; `None` if nothing is enough.
    pub(super) fn threshold(&self, number: Number, incoming: Incoming) -> Option<Threshold> {
        let equalized = self.threshold?.max(incoming.threshold.unwrap_or(Threshold::ALWAYS));
        match self.mode {
            Mode::Equalizing => Some(equalized),
            Mode::HashSeed if number.hashed => Some(equalized),
            Mode::Proportional | Mode::HashSeed => self.proportional(incoming.threshold),
        }
    }

    /// The threshold of this stage's share of what has passed `before`; `None` if that is less than one of 2^56.
    fn proportional(&self, before: Option<Threshold>) -> Option<Threshold> {
        let Some(before) = before.filter(|&before| before != Threshold::ALWAYS) else {
            return self.threshold;
        };
        let product =
            Threshold::from_probability(self.probability * before.probability(), self.precision).ok()?;
        // Rounding must not lower what has been passed.
        Some(product.max(before))
    }

    /// Whether the bits of a trace id are random: where others are hashed instead, only what an earlier stage has
    /// chosen by them says so.
    fn trusts_ids(&self, incoming: Incoming) -> bool {
        !self.hashes() || incoming != Incoming::default()
    }

    /// The number of mode `hash_seed`: 14 bits of hash decide, the rest is spread over the middle, and the number
    /// ends in the hash as it was computed, as upstream.
    fn hashed(&self, key: Key<'_>) -> Randomness {
        let full = match key {
            Key::TraceId(id) => fnv1a_32(&[&self.seed, &id.to_bytes()]),
            Key::Attribute(value) => fnv1a_32(&[&self.seed, value]),
        };
        let hash = full & (HASH_RANGE - 1);
        let unused = u64::from(full >> (u32::BITS - HASH_BITS));
        let spread = unused ^ unused << 10;
        let bits = u64::from(HASH_RANGE - 1 - hash) << HASH_SHIFT | spread << HASH_BITS | u64::from(hash);
        Randomness::from_low_bits(bits)
    }
}

impl Key<'_> {
    fn policy(self) -> Policy {
        match self {
            Self::TraceId(_) => Policy::TraceIdHash,
            Self::Attribute(_) => Policy::Attribute,
        }
    }
}

impl Number {
    /// How an item with this number leaves a stage whose threshold it reaches.
    pub(super) fn stamp(self, threshold: Threshold) -> Stamp {
        Stamp { threshold, randomness: self.unwritten.then_some(self.randomness) }
    }
}

/// Items whose hash is below `percentage` of its range are kept; reversed, that is at least this threshold.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^14")]
fn hash_threshold(percentage: f32) -> Option<Threshold> {
    const RANGE_OF_A_HUNDREDTH: f32 = 163.84;
    // Nothing can be rejected altogether: a share too small for 14 bits keeps one of 2^14.
    let kept = ((percentage * RANGE_OF_A_HUNDREDTH) as u32).max(1);
    Threshold::new(u64::from(HASH_RANGE - kept) << HASH_SHIFT)
}

#[cfg(test)]
mod tests;
