//! Budgets that are divided among kinds of traces.
//!
//! A policy with such a budget has an allocator in its processor's [`Limits`](super::limits::Limits). It is told
//! of all traces that are decided together before one of them is judged, and of those that are decided before
//! their time one by one.

use std::time::Duration;

use forebay_allocators::{
    Allocator, Demand, Ema, EmaSettings, Learned, WaterFilling, WaterSettings, Windowed,
};
use forebay_otlp::threshold::Threshold;

use super::fingerprint::FingerprintNumber;
use super::policy::Evidence;

/// A budget as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budget {
    pub(crate) division: Division,
    /// What tells kinds of traces apart.
    pub(crate) fingerprint: FingerprintNumber,
    /// The policy that has it.
    pub(crate) policy: String,
    /// The same, and, if that has several, which of them it is.
    pub(crate) owner: String,
}

/// How a budget is divided. Rates are spans per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Division {
    Water(WaterSettings),
    Ema(EmaSettings),
    Windowed { per_second: f64, update: Duration, lookback: Duration, max_keys: usize },
    Total { per_second: f64, interval: Duration, max_keys: usize },
    PerKey { per_second: f64, interval: Duration, max_keys: usize },
}

/// Which of a processor's budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetNumber(pub(super) usize);

/// A budget that is being divided.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) owner: String,
    pub(super) fingerprint: FingerprintNumber,
    allocator: Box<dyn Allocator>,
}

/// Hex digits of a probability's threshold, as everywhere in the Collector.
const PRECISION: u32 = 4;

impl Allocation {
    pub(super) fn new(budget: &Budget) -> Self {
        let allocator = budget.division.allocator();
        Self { owner: budget.owner.clone(), fingerprint: budget.fingerprint, allocator }
    }

    /// Counts traces that are decided together, or, if that is before their time, each by itself.
    pub(super) fn count(&mut self, now: Duration, traces: &[Evidence<'_>], early: bool) {
        let Self { fingerprint, allocator, .. } = self;
        let demand = |trace: &Evidence<'_>| Demand {
            key: fingerprint.key(trace.keys),
            spans: trace.digest.spans,
            head: trace.digest.head().map_or(1.0, Threshold::probability),
        };
        if early {
            traces.iter().map(demand).for_each(|demand| allocator.count(now, demand));
        } else {
            allocator.tick(now, &traces.iter().map(demand).collect::<Vec<_>>());
        }
    }

    /// The threshold of a trace that has been counted; `None` if nothing of its kind can be kept.
    pub(super) fn threshold(&self, trace: &Evidence<'_>) -> Option<Threshold> {
        let share = self.allocator.share(self.fingerprint.key(trace.keys));
        Threshold::from_probability(share, PRECISION).ok()
    }

    pub(super) fn keys(&self) -> usize {
        self.allocator.keys()
    }

    pub(super) fn learned(&self) -> Learned {
        self.allocator.learned()
    }

    pub(super) fn learn(&mut self, learned: &Learned) {
        self.allocator.learn(learned);
    }
}

impl Division {
    fn allocator(self) -> Box<dyn Allocator> {
        match self {
            Self::Water(settings) => Box::new(WaterFilling::new(settings)),
            Self::Ema(settings) => Box::new(Ema::new(settings)),
            Self::Windowed { per_second, update, lookback, max_keys } => {
                Box::new(Windowed::throughput(per_second, update, lookback, max_keys))
            }
            Self::Total { per_second, interval, max_keys } => {
                Box::new(Windowed::total_throughput(per_second, interval, max_keys))
            }
            Self::PerKey { per_second, interval, max_keys } => {
                Box::new(Windowed::per_key_throughput(per_second, interval, max_keys))
            }
        }
    }
}
