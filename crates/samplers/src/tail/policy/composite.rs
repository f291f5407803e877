//! `composite`: several policies, each with a part of one budget of spans.
//!
//! A trace belongs to the first sub-policy, in `policy_order`, that asks for it, and is kept if both that
//! policy's part and the whole budget have room for it.

use std::collections::HashMap;

use forebay_config::Table;

use super::{Compiler, Evidence, Nature, Policy, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::limits::{LimitNumber, Limits, Rate, Unit};

struct Composite {
    /// In order.
    parts: Vec<Part>,
    total: LimitNumber,
}

struct Part {
    name: String,
    policy: Box<dyn Policy>,
    /// Its part of the budget.
    limit: LimitNumber,
}

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let total = settings.integer("max_total_spans_per_second", 1..=1_u64 << f64::MANTISSA_DIGITS);
    let total = settings.require("max_total_spans_per_second", total);
    let percentages = percentages(settings);
    let entries = settings.tables("composite_sub_policy");
    if entries.is_empty() {
        settings.error("composite_sub_policy", "name at least one sub-policy");
    }
    let named: Vec<_> = entries
        .iter()
        .map(|entry| {
            let name = entry.require("name", entry.string("name")).unwrap_or_default();
            (name, compiler.part(entry, &["and"]))
        })
        .collect();
    let order = settings.strings("policy_order").unwrap_or_default();
    for name in order.iter().chain(percentages.keys()) {
        if !named.iter().any(|(known, _)| known == name) {
            settings.error("policy_order", format!("there is no sub-policy `{name}`"));
        }
    }
    let total = total? as f64;
    // One second's worth at a time: what one second leaves the next does not get.
    let mut limit =
        |per_second| compiler.rates.add(Rate { unit: Unit::Spans, per_second, burst: per_second });
    let even = total / named.len() as f64;
    let mut parts = Vec::new();
    for (name, policy) in named {
        let share = percentages.get(&name).map_or(even, |percent| total * percent / 100.0);
        let place = order.iter().position(|ordered| *ordered == name).unwrap_or(order.len());
        parts.push((place, Part { name, policy: policy?, limit: limit(share) }));
    }
    // Those that are not in the order come last, as they are listed.
    parts.sort_by_key(|&(place, _)| place);
    let parts = parts.into_iter().map(|(_, part)| part).collect();
    Some(Box::new(Composite { parts, total: limit(total) }))
}

/// Percentages of the budget by policy; zero stands for an equal part.
fn percentages(settings: &Table<'_>) -> HashMap<String, f64> {
    let entries = settings.tables("rate_allocation");
    let percentages = entries.iter().filter_map(|entry| {
        let policy = entry.require("policy", entry.string("policy"));
        let percent = entry.integer::<u32>("percent", 0..=100).filter(|&percent| percent > 0);
        Some((policy?, f64::from(percent?)))
    });
    percentages.collect()
}

impl Composite {
    /// The sub-policy that a trace belongs to, its verdict, and its part of the budget.
    fn owner(&self, trace: &Evidence<'_>, limits: &Limits) -> Option<(usize, Verdict)> {
        let verdicts = self.parts.iter().map(|part| part.policy.evaluate(trace, limits)).enumerate();
        verdicts.into_iter().find(|(_, verdict)| *verdict != Verdict::NotSampled)
    }

    fn within(&self, number: LimitNumber, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        Verdict::above(limits.threshold(number, trace.digest), trace.randomness)
    }
}

impl Policy for Composite {
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        let Some((owner, verdict)) = self.owner(trace, limits) else { return Verdict::NotSampled };
        let within = |number| self.within(number, trace, limits);
        verdict.and(within(self.parts[owner].limit)).and(within(self.total))
    }

    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        let (mut open, mut passing) = (traces.to_vec(), Vec::new());
        for Part { policy, limit, .. } in &self.parts {
            policy.choose(&open, limits);
            let asked = |trace: &Evidence<'_>| policy.evaluate(trace, limits) != Verdict::NotSampled;
            let (own, others): (Vec<_>, Vec<_>) = open.into_iter().partition(asked);
            limits.choose(*limit, own.iter().map(|trace| (trace.randomness, trace.digest)));
            passing.extend(own.into_iter().filter(|trace| {
                policy.evaluate(trace, limits).is_sampled() && self.within(*limit, trace, limits).is_sampled()
            }));
            open = others;
        }
        limits.choose(self.total, passing.iter().map(|trace| (trace.randomness, trace.digest)));
    }

    fn columns(&self) -> Columns {
        self.parts.iter().fold(Columns::SPANS, |columns, part| columns | part.policy.columns())
    }

    fn nature(&self) -> Nature {
        Nature::LIMITED
    }

    fn parts(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.name.clone()).collect()
    }

    fn part(&self, trace: &Evidence<'_>, limits: &Limits) -> Option<u16> {
        self.owner(trace, limits).and_then(|(owner, _)| u16::try_from(owner).ok())
    }
}
