//! `rate_limiting` and `bytes_limiting`: as many traces as a budget of spans or bytes has room for.

use forebay_config::Table;

use super::{Compiler, Evidence, Nature, Policy, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::{LimitNumber, Limits, Rate, Unit};

struct Limiting(LimitNumber, Unit);

/// Bursts are this many seconds' worth if they are not set.
const BURST_SECONDS: f64 = 2.0;

pub(super) fn read_spans(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    read(settings, compiler, "spans_per_second", Unit::Spans)
}

pub(super) fn read_bytes(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    read(settings, compiler, "bytes_per_second", Unit::Bytes)
}

fn read(
    settings: &Table<'_>,
    compiler: &mut Compiler<'_>,
    key: &'static str,
    unit: Unit,
) -> Option<Box<dyn Policy>> {
    // More than 2^53 of anything a second there is not.
    let range = 1..=1_u64 << f64::MANTISSA_DIGITS;
    let per_second = settings.integer(key, range.clone());
    let burst = settings.integer("burst_capacity", 0..=*range.end()).filter(|&burst| burst > 0);
    let per_second = settings.require(key, per_second)? as f64;
    let burst = burst.map_or(per_second * BURST_SECONDS, |burst| burst as f64);
    Some(Box::new(Limiting(compiler.rates.add(Rate { unit, per_second, burst }), unit)))
}

impl Policy for Limiting {
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        Verdict::above(limits.threshold(self.0, trace.digest), trace.randomness)
    }

    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        limits.choose(self.0, traces.iter().map(|trace| (trace.randomness, trace.digest)));
    }

    fn columns(&self) -> Columns {
        self.1.columns()
    }

    fn nature(&self) -> Nature {
        Nature::LIMITED
    }
}
