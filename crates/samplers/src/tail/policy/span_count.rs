//! `span_count`: traces with so many spans.

use forebay_config::Table;

use super::{Compiler, Evidence, Nature, Policy, Sufficient, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::Limits;

struct SpanCount {
    min: u32,
    max: Option<u32>,
}

pub(super) fn read(settings: &Table<'_>, _compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let range = 0..=i32::MAX.unsigned_abs();
    let min = settings.integer_or("min_spans", range.clone(), 0);
    // As upstream, zero stands for "not set".
    let max = settings.integer("max_spans", range).filter(|&max| max > 0);
    if let Some(max) = max
        && max < min
    {
        settings.error("max_spans", format!("no trace has at least {min} and at most {max} spans"));
    }
    Some(Box::new(SpanCount { min, max }))
}

impl Policy for SpanCount {
    fn evaluate(&self, trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        let spans = trace.digest.spans;
        Verdict::certain_if(spans >= self.min && self.max.is_none_or(|max| spans <= max))
    }

    fn columns(&self) -> Columns {
        Columns::SPANS
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        if self.max.is_some() { Vec::new() } else { vec![Sufficient { spans: self.min, ..Sufficient::ANY }] }
    }

    fn nature(&self) -> Nature {
        Nature::growing(self.max.is_some())
    }
}
