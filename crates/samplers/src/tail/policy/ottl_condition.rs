//! `ottl_condition`: traces in which a condition holds for some span or span event.

use forebay_config::{Cursor, Table};
use forebay_ottl::{Condition, Context};

use super::{Compiler, Evidence, Nature, Policy, Sufficient, Verdict};
use crate::tail::limits::Limits;
use crate::tail::predicate::{Bits, ErrorMode};

struct OttlCondition {
    holds: Bits,
    /// Set when a condition failed before any held, where that matters.
    failed: Option<Bits>,
}

const MODES: &[(&str, ErrorMode)] =
    &[("ignore", ErrorMode::Ignore), ("silent", ErrorMode::Silent), ("propagate", ErrorMode::Propagate)];

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let mode = settings.choice_or("error_mode", MODES, ErrorMode::Silent);
    let mut conditions = Vec::new();
    let mut complete = true;
    for (key, context) in [("span", Context::Span), ("spanevent", Context::SpanEvent)] {
        for entry in settings.list(key).iter().flatten() {
            let condition = condition(entry, context);
            complete &= condition.is_some();
            conditions.extend(condition);
        }
    }
    if !complete {
        return None;
    }
    if conditions.is_empty() {
        settings.error("span", "name at least one condition, in `span` or in `spanevent`");
        return None;
    }
    match compiler.predicates.add_conditions(conditions, mode) {
        Ok((holds, failed)) => Some(Box::new(OttlCondition { holds, failed })),
        Err(error) => {
            settings.error("span", error.to_string());
            None
        }
    }
}

/// Compiles the condition in an entry; a mistake is recorded.
pub(crate) fn condition(entry: &Cursor<'_>, context: Context) -> Option<Condition> {
    Condition::parse(&entry.string()?, context)
        .map_err(|error| {
            let message = format!("column {} of the condition: {}", error.column, error.message);
            entry.error_with_help(message, error.help.unwrap_or_default());
        })
        .ok()
}

impl Policy for OttlCondition {
    fn evaluate(&self, trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        let has = |bits| trace.digest.predicates.contains(bits);
        match self.failed {
            _ if has(self.holds) => Verdict::certain_if(true),
            Some(failed) if has(failed) => Verdict::Failed,
            _ => Verdict::NotSampled,
        }
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        vec![Sufficient { bits: self.holds, ..Sufficient::ANY }]
    }

    fn nature(&self) -> Nature {
        Nature::EXISTENTIAL
    }
}
