//! A rule of `adaptive_tail_sampling`: conditions that say which traces it is for, and a sampler that decides them.

use forebay_config::Table;
use forebay_otlp::threshold::Threshold;
use forebay_ottl::{Condition, Context};

use super::ottl_condition::condition;
use super::{Compiler, Evidence, Nature, Policy, Read, Verdict, adaptive, always_sample, probabilistic};
use crate::tail::allocation::BudgetNumber;
use crate::tail::limits::Limits;
use crate::tail::predicate::Bits;

/// A sampler for some of the traces.
pub(crate) struct Rule {
    /// The predicates that all have to be found in a trace.
    conditions: Bits,
    sampler: Box<dyn Policy>,
}

/// A sampler that keeps nothing.
struct Never;

/// Which spans have to satisfy a rule's conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    /// Some span each.
    AnySpan,
    /// Some span all of them.
    SameSpan,
}

const MATCHES: &[(&str, Match)] = &[("any_span", Match::AnySpan), ("same_span", Match::SameSpan)];
/// Samplers by their name in `type:`. Their settings stand beside it.
const SAMPLERS: &[(&str, Read)] = &[
    ("adaptive_percentage", adaptive::read_percentage),
    ("adaptive_throughput", adaptive::read_throughput),
    ("always_sample", always_sample::read),
    ("drop", read_drop),
    ("probabilistic", read_probabilistic),
];

impl Rule {
    /// Reads a rule, recording every mistake.
    pub(crate) fn read(table: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Self> {
        let conditions = conditions(table, compiler);
        let settings = table.require("sampler", table.table("sampler"))?;
        let Some(read) = settings.require("type", settings.choice("type", SAMPLERS)) else {
            // Which settings are unknown depends on the type.
            settings.give_up();
            return None;
        };
        Some(Self { sampler: read(&settings, compiler)?, conditions: conditions? })
    }

    /// Whether it is for all traces.
    pub(crate) fn is_for_all(&self) -> bool {
        self.conditions == Bits::NONE
    }
}

/// The bits of a rule's conditions.
fn conditions(table: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Bits> {
    const KEY: &str = "conditions";
    let matching = table.choice("match", MATCHES);
    let entries = table.list(KEY).unwrap_or_default();
    let conditions: Vec<_> = entries.iter().map(|entry| condition(entry, Context::Span)).collect();
    let conditions = conditions.into_iter().collect::<Option<Vec<_>>>()?;
    if conditions.is_empty() && matching.is_some() {
        table.error("match", "a rule without conditions is for all traces");
    }
    let sets = match matching.unwrap_or(Match::AnySpan) {
        Match::SameSpan if conditions.len() > 1 => vec![joined(table, &conditions)?],
        _ => conditions,
    };
    let mut bits = Bits::NONE;
    for condition in sets {
        let added = compiler.predicates.add_rule_condition(condition, &compiler.name);
        bits |= added.map_err(|error| table.error(KEY, error.to_string())).ok()?;
    }
    Some(bits)
}

/// One condition of several that one span has to satisfy.
fn joined(table: &Table<'_>, conditions: &[Condition]) -> Option<Condition> {
    let sources: Vec<_> = conditions.iter().map(|condition| format!("({})", condition.source())).collect();
    let joined = Condition::parse(&sources.join(" and "), Context::Span);
    joined.map_err(|error| table.error("conditions", error.message)).ok()
}

fn read_drop(_settings: &Table<'_>, _compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    Some(Box::new(Never))
}

fn read_probabilistic(settings: &Table<'_>, _compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    Some(probabilistic::consistent(sampling_percentage(settings)?))
}

/// The threshold of the percentage that has to be set there.
pub(crate) fn sampling_percentage(settings: &Table<'_>) -> Option<Threshold> {
    const KEY: &str = "sampling_percentage";
    let share = settings.require(KEY, adaptive::percentage(settings, KEY))?;
    let threshold = Threshold::from_probability(share, probabilistic::PRECISION);
    // What is not above zero has been told.
    threshold.map_err(|error| (share > 0.0).then(|| settings.error(KEY, error.to_string()))).ok()
}

impl Policy for Rule {
    fn applies(&self, trace: &Evidence<'_>) -> bool {
        trace.digest.predicates.contains(self.conditions)
    }

    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        self.sampler.evaluate(trace, limits)
    }

    fn threshold(&self, trace: &Evidence<'_>, limits: &Limits) -> Option<Threshold> {
        self.sampler.threshold(trace, limits)
    }

    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        self.sampler.choose(traces, limits);
    }

    fn nature(&self) -> Nature {
        self.sampler.nature()
    }

    fn budget(&self) -> Option<BudgetNumber> {
        self.sampler.budget()
    }
}

impl Policy for Never {
    fn evaluate(&self, _trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        Verdict::NotSampled
    }

    fn nature(&self) -> Nature {
        Nature::PLAIN
    }
}
