//! `drop`: traces that all of several policies ask for, and that are dropped for it.

use forebay_config::Table;

use super::and::All;
use super::{Compiler, Evidence, Nature, Policy, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::Limits;

struct Drop(All);

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    Some(Box::new(Drop(All::new(compiler.parts(settings, "drop_sub_policy", &["not"])?))))
}

impl Policy for Drop {
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        match self.0.evaluate(trace, limits) {
            Verdict::Sampled(_) | Verdict::SampledUnknown => Verdict::Dropped,
            other => other,
        }
    }

    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        self.0.choose(traces, limits);
    }

    fn columns(&self) -> Columns {
        self.0.columns()
    }

    fn nature(&self) -> Nature {
        Nature { drops: true, ..self.0.nature() }
    }
}
