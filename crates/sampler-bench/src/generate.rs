//! Made-up traffic of which is known what is wrong with it.
//!
//! A [`Description`] is a graph of services: operations take log-normal times and call each other. Faults strike calls
//! at known times, and a trace that one has struck is anomalous by construction: that is the ground truth. Everything
//! depends on the description and a seed alone. Time is the spans' own; no clock is asked.

mod call;
pub(crate) mod encode;
mod graph;
mod requests;

use std::time::Duration;

use fastrand::Rng;
use forebay_config::Loader;
use forebay_otlp::TraceId;
use thiserror::Error;

use self::call::Walk;
pub use self::graph::{Call, Description, Fault, FaultKind, Operation, Service};
use self::requests::Requests;
use crate::Workload;
use crate::random::mix;

/// 2026-01-01T00:00:00Z, when all made-up traffic begins, in nanoseconds since 1970.
const BEGIN: u64 = 1_767_225_600_000_000_000;

/// The descriptions that come along, each with its name.
pub const PRESETS: &[(&str, &str)] =
    &[("shop", include_str!("../presets/shop.yaml")), ("wide", include_str!("../presets/wide.yaml"))];

/// A description cannot be used.
#[derive(Debug, Error)]
pub enum DescriptionError {
    /// It has mistakes, shown with their places.
    #[error("{0}")]
    Mistakes(String),
}

impl Description {
    /// Reads a preset by its name, or else the YAML file that `source` names.
    ///
    /// # Errors
    /// When there are mistakes in it.
    pub fn load(source: &str) -> Result<Self, DescriptionError> {
        let preset = PRESETS.iter().find(|(name, _)| *name == source);
        let uri = preset.map_or_else(|| source.to_owned(), |(_, yaml)| format!("yaml:{yaml}"));
        // Nothing of a description comes from outside of it.
        let (node, diagnostics) = Loader::new(|_| None).config(uri).load();
        let description = node.map(|node| Self::read(&forebay_config::Table::root(&node, &diagnostics)));
        match description {
            Some(description) if !diagnostics.has_errors() => Ok(description),
            _ => Err(DescriptionError::Mistakes(diagnostics.render(false))),
        }
    }

    /// The traffic that `seed` makes of it, of at most `span_limit` spans.
    #[must_use]
    pub fn generate(&self, seed: u64, span_limit: usize) -> Workload {
        let mut rng = Rng::with_seed(mix(seed));
        let mut requests = Requests::new(self, span_limit);
        let mut at = Duration::ZERO;
        let entries: Vec<_> = self.entries().collect();
        let weights: f64 = entries.iter().map(|&(_, _, weight)| weight).sum();
        loop {
            // Arrivals of a Poisson process are exponentially far apart.
            at += Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / self.traces_per_second);
            if at >= self.duration {
                break;
            }
            let mut chosen = rng.f64() * weights;
            let entry = entries.iter().find(|&&(_, _, weight)| {
                chosen -= weight;
                chosen < 0.0
            });
            let Some(&(service, operation, _)) = entry.or(entries.last()) else { break };
            let id = TraceId(u128::from(rng.u64(..)) << 64 | u128::from(rng.u64(1..)));
            requests.settle_before(BEGIN + nanos(at));
            let mut walk = Walk::new(self, &mut rng, &mut requests, id);
            walk.enter(service, operation, nanos(at));
            let fault = walk.fault;
            requests.ends(id, fault);
        }
        requests.finish()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
