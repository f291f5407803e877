//! `probabilistic`: a share of all traces.
//!
//! The choice is the consistent one of OpenTelemetry's probability sampling: a trace is kept if its
//! randomness reaches the threshold, so that this stage agrees with every other that looks at the same number,
//! and the threshold that leaves with the spans is true. The Collector chooses by a hash of its own, with
//! which nothing downstream can agree; `probabilistic_hash` brings that choice back, without a threshold.

use forebay_config::Table;
use forebay_otlp::threshold::Threshold;

use super::{Compiler, Evidence, Nature, Policy, Sufficient, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::Limits;
use forebay_pipeline::hash::fnv1a_64;

/// Hex digits of a percentage's threshold, as everywhere in the Collector.
pub(super) const PRECISION: u32 = 4;
const DEFAULT_SALT: &str = "default-hash-seed";

enum Probabilistic {
    Never,
    Consistent(Threshold),
    /// The Collector's: FNV-1a of salt and trace id is at most `bound`.
    Hash {
        salt: String,
        bound: u64,
    },
}

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let percentage = settings.float("sampling_percentage", 0.0..=f64::MAX);
    let salt = settings.string("hash_salt").filter(|salt| !salt.is_empty());
    // To the Collector it is 0 if it is not set, and the policy asks for nothing.
    let percentage = settings.require("sampling_percentage", percentage)?.min(100.0);
    if compiler.compatibility.probabilistic_hash {
        let salt = salt.unwrap_or_else(|| DEFAULT_SALT.to_owned());
        return Some(Box::new(Probabilistic::Hash { salt, bound: hash_bound(percentage / 100.0) }));
    }
    if salt.is_some() {
        settings.warning(
            "hash_salt",
            "has no effect: traces are chosen by their own randomness, consistently with every other stage; \
             `forebay::compat: [probabilistic_hash]` brings the salted hash back",
        );
    }
    if percentage == 0.0 {
        return Some(Box::new(Probabilistic::Never));
    }
    Threshold::from_probability(percentage / 100.0, PRECISION)
        .map_err(|error| settings.error("sampling_percentage", error.to_string()))
        .ok()
        .map(consistent)
}

/// What reaches a threshold.
pub(super) fn consistent(threshold: Threshold) -> Box<dyn Policy> {
    Box::new(Probabilistic::Consistent(threshold))
}

/// `ratio` of 2^64 - 1, truncated, as upstream computes it with 64 bits of precision.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and the ratio is between 0 and 1"
)]
fn hash_bound(ratio: f64) -> u64 {
    // The product with 2^64 is exact; the ratio that is missing matters only below an integer.
    let bound = (ratio * 18_446_744_073_709_551_616.0) as u64;
    if ratio < 1.0 { bound.saturating_sub(1) } else { bound }
}

impl Policy for Probabilistic {
    fn evaluate(&self, trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        match self {
            Self::Consistent(threshold) if threshold.keeps(trace.randomness) => Verdict::Sampled(*threshold),
            Self::Hash { salt, bound }
                if fnv1a_64(&[salt.as_bytes(), &trace.trace_id.to_bytes()]) <= *bound =>
            {
                Verdict::SampledUnknown
            }
            _ => Verdict::NotSampled,
        }
    }

    fn threshold(&self, _trace: &Evidence<'_>, _limits: &Limits) -> Option<Threshold> {
        match self {
            Self::Consistent(threshold) => Some(*threshold),
            Self::Never | Self::Hash { .. } => None,
        }
    }

    fn columns(&self) -> Columns {
        Columns { trace_ids: matches!(self, Self::Hash { .. }), ..Columns::NONE }
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        match *self {
            Self::Consistent(threshold) => vec![Sufficient { threshold, ..Sufficient::ANY }],
            Self::Never | Self::Hash { .. } => Vec::new(),
        }
    }

    fn nature(&self) -> Nature {
        // A span that is still to come may bring another randomness.
        Nature { chance: true, ..Nature::PLAIN }
    }
}
