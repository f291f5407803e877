//! `always_sample`: every trace.

use forebay_config::Table;
use forebay_otlp::threshold::Threshold;

use super::{Compiler, Evidence, Nature, Policy, Sufficient, Verdict};
use crate::tail::limits::Limits;

struct AlwaysSample;

pub(super) fn read(_settings: &Table<'_>, _compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    Some(Box::new(AlwaysSample))
}

impl Policy for AlwaysSample {
    fn evaluate(&self, _trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        Verdict::certain_if(true)
    }

    fn threshold(&self, _trace: &Evidence<'_>, _limits: &Limits) -> Option<Threshold> {
        Some(Threshold::ALWAYS)
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        vec![Sufficient::ANY]
    }

    fn nature(&self) -> Nature {
        Nature::EXISTENTIAL
    }
}
