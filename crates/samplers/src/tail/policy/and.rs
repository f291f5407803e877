//! `and`: traces that all of several policies ask for.

use forebay_config::Table;

use super::{Compiler, Evidence, Nature, Policy, Sufficient, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::Limits;

/// Policies that all have to ask for a trace, those with limits last: what the others do not ask for claims
/// nothing of a budget.
pub(super) struct All(Vec<Box<dyn Policy>>);

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    Some(Box::new(All::new(compiler.parts(settings, "and_sub_policy", &["not"])?)))
}

impl All {
    pub(super) fn new(mut parts: Vec<Box<dyn Policy>>) -> Self {
        parts.sort_by_key(|part| part.nature().limited);
        Self(parts)
    }
}

impl Policy for All {
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        let mut together = Verdict::certain_if(true);
        for part in &self.0 {
            together = together.and(part.evaluate(trace, limits));
            if !together.is_sampled() {
                break;
            }
        }
        together
    }

    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        if !self.nature().limited {
            return;
        }
        let mut open = traces.to_vec();
        for part in &self.0 {
            part.choose(&open, limits);
            open.retain(|trace| part.evaluate(trace, limits).is_sampled());
        }
    }

    fn columns(&self) -> Columns {
        self.0.iter().fold(Columns::NONE, |columns, part| columns | part.columns())
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        self.0.iter().fold(vec![Sufficient::ANY], |so_far, part| {
            let own = part.sufficient();
            so_far.iter().flat_map(|&a| own.iter().map(move |&b| a.and(b))).collect()
        })
    }

    fn nature(&self) -> Nature {
        Nature::all(&self.0)
    }
}
