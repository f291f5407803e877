//! `latency`: traces that take longer than a bound, from the earliest start to the latest end.

use forebay_config::Table;

use super::{Compiler, Evidence, Nature, Policy, Sufficient, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::Limits;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// Bounds on the duration, in nanoseconds: above `lower`, and at most `upper` if there is one.
struct Latency {
    lower: u64,
    upper: Option<u64>,
    /// Compare whole milliseconds, as the Collector does: 100.4 ms are then not more than 100 ms.
    truncate: bool,
}

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let range = 0..=u64::MAX / NANOSECONDS_PER_MILLISECOND;
    let lower = settings.integer("threshold_ms", range.clone());
    let upper = settings.integer("upper_threshold_ms", range).filter(|&upper| upper > 0);
    // To the Collector it is 0 if it is not set: nearly every trace, which is hardly what was meant.
    let lower = if upper.is_none() { settings.require("threshold_ms", lower)? } else { lower.unwrap_or(0) };
    if let Some(upper) = upper
        && upper <= lower
    {
        settings
            .error("upper_threshold_ms", format!("no latency is above {lower} ms and at most {upper} ms"));
    }
    Some(Box::new(Latency {
        lower: lower * NANOSECONDS_PER_MILLISECOND,
        upper: upper.map(|upper| upper * NANOSECONDS_PER_MILLISECOND),
        truncate: compiler.compatibility.latency_milliseconds,
    }))
}

impl Policy for Latency {
    fn evaluate(&self, trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        let mut duration = trace.digest.duration();
        if self.truncate {
            duration -= duration % NANOSECONDS_PER_MILLISECOND;
        }
        Verdict::certain_if(duration > self.lower && self.upper.is_none_or(|upper| duration <= upper))
    }

    fn columns(&self) -> Columns {
        Columns::TIMES
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        // Whole milliseconds exceed a bound in whole milliseconds if they reach the next.
        let over = if self.truncate { self.lower + NANOSECONDS_PER_MILLISECOND - 1 } else { self.lower };
        let sufficient = Sufficient { duration_over: Some(over), ..Sufficient::ANY };
        if self.upper.is_some() { Vec::new() } else { vec![sufficient] }
    }

    fn nature(&self) -> Nature {
        Nature::growing(self.upper.is_some())
    }
}
