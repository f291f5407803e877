//! What a strategy has kept, judged: a vector of metrics, never one score, because catching anomalies and keeping
//! estimates true rank strategies in opposite orders.
//!
//! One module a metric or a family of them. N is the number of traces that came, S the set of those kept, n = |S|, A the
//! anomalous ones, τ(t) the type of a trace, w its adjusted count: the reciprocal of the probability with which it was
//! kept, from the threshold it left with relative to the one it came with. A trace counts as kept if any span of it is.

mod anomalies;
mod balance;
mod budget;
mod completeness;
mod counts;
mod coverage;
mod distance;
mod diversity;
mod entropy;
mod fidelity;
mod quantiles;
mod rare;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod testing;

use crate::simulate::Kept;
use crate::{Metric, Population};

pub use anomalies::recall_by_fault;

/// All metrics of quality, in the order in which they are shown.
pub const METRICS: &[Metric] = &[
    anomalies::RECALL,
    anomalies::PRECISION,
    anomalies::LIFT,
    anomalies::BYTES_EACH,
    budget::KEPT,
    budget::DEVIATION,
    coverage::TYPES,
    coverage::ANOMALOUS_TYPES,
    coverage::OPERATIONS,
    rare::SHARE,
    balance::OF_ALL,
    balance::OF_KEPT,
    entropy::BITS,
    entropy::NORMALISED,
    diversity::TYPES_PER_TRACE,
    diversity::DISSIMILARITY,
    completeness::WHOLE,
    completeness::RECALL,
    counts::WEIGHTED,
    counts::TRACES,
    counts::ERRORS,
    counts::ENTRIES,
    counts::COVERED,
    quantiles::P50,
    quantiles::P90,
    quantiles::P99,
    quantiles::RANK_P99,
    fidelity::DURATIONS,
    distance::KOLMOGOROV_SMIRNOV,
    distance::JENSEN_SHANNON,
];

/// `part / whole`, unless there is no whole.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// How many kept traces each type has.
fn kept_by_kind(population: &Population, kept: &[Kept]) -> Vec<u32> {
    let mut counts = vec![0; population.kinds];
    for kept in kept {
        counts[population.traces[kept.trace as usize].kind as usize] += 1;
    }
    counts
}
