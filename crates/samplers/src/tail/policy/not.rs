//! `not`: traces that another policy does not ask for.

use forebay_config::Table;
use forebay_otlp::threshold::Threshold;

use super::{Compiler, Evidence, Nature, Policy, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::Limits;

struct Not(Box<dyn Policy>);

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let part = settings.require("not_sub_policy", settings.table("not_sub_policy"))?;
    Some(Box::new(Not(compiler.part(&part, &[])?)))
}

impl Policy for Not {
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        match self.0.evaluate(trace, limits) {
            // No threshold says "below a threshold".
            Verdict::NotSampled if self.0.nature().chance => Verdict::SampledUnknown,
            Verdict::NotSampled => Verdict::Sampled(Threshold::ALWAYS),
            Verdict::Sampled(_) | Verdict::SampledUnknown => Verdict::NotSampled,
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
        Nature { monotone: false, ..self.0.nature() }
    }
}
