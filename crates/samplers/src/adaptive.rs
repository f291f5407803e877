//! `adaptive_tail_sampling`: rules select traces, and each rule's sampler adapts to what it selects.
//!
//! It is the tail sampler ([`crate::tail`]) with another way of combining policies: of the rules, the first that
//! applies to a trace decides it, and those that come later neither see nor count it. So all of this is reading
//! the Collector's settings of that name; what they make is a [`TailConfig`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::{Cursor, Table};
use forebay_otlp::threshold::Threshold;
use forebay_ottl::Context;

use crate::Compatibility;
use crate::tail::TailConfig;
use crate::tail::decision::{Policies, RecordFingerprint, Rules};
use crate::tail::limits::Rates;
use crate::tail::policy::{Compiler, Policy, Rule, condition, sampling_percentage};
use crate::tail::predicate::Predicates;

const TRACE_TIMEOUT: Duration = Duration::from_secs(30);
const DECISION_DELAY: Duration = Duration::from_secs(2);
const SPAN_LIMIT: u32 = 10_000;
/// What stands for a rule where it is the condition for roots that fails, as upstream.
const ROOT: &str = "_root_span_condition";
const RECORD_FINGERPRINT: &[(&str, RecordFingerprint)] = &[
    ("none", RecordFingerprint::None),
    ("value", RecordFingerprint::Value),
    ("hash", RecordFingerprint::Hash),
];

/// Reads the settings of `adaptive_tail_sampling`, recording every mistake.
#[must_use]
pub fn read(table: &Table<'_>, compatibility: Compatibility) -> TailConfig {
    let (mut predicates, mut rates) = (Predicates::default(), Rates::default());
    let mut compiler = Compiler::new(&mut predicates, &mut rates, compatibility);
    read_root(table, &mut compiler);
    let named = read_rules(table, &mut compiler);
    let rules = Rules {
        record_fingerprint: table.choice_or(
            "record_fingerprint",
            RECORD_FINGERPRINT,
            RecordFingerprint::None,
        ),
        eviction: read_eviction(table),
    };
    let wait = |key, default| {
        let wait = table.duration_or(key, default);
        if wait.is_zero() {
            table.error(key, "expected a time above 0");
        }
        wait
    };
    let delay = wait("decision_delay", DECISION_DELAY);
    let span_limit = table.integer_or("span_limit", .., SPAN_LIMIT);
    let policies = Policies::of_rules(named, predicates, rates, rules);
    TailConfig {
        // What triggers a decision, a root or the timeout, does so after the delay.
        decision_wait: wait("trace_timeout", TRACE_TIMEOUT).saturating_add(delay),
        decision_wait_after_root: Some(delay),
        maximum_trace_spans: Some(span_limit).filter(|&spans| spans > 0),
        ..TailConfig::of_policies(Arc::new(policies), table)
    }
}

fn read_rules(table: &Table<'_>, compiler: &mut Compiler<'_>) -> Vec<(String, Box<dyn Policy>)> {
    let (mut rules, mut taken, mut for_all) = (Vec::<(String, Box<dyn Policy>)>::new(), HashSet::new(), None);
    let entries = table.tables("rules");
    if entries.is_empty() {
        table.error("rules", "adaptive_tail_sampling needs rules: without them nothing would be kept");
    }
    for entry in &entries {
        let name = entry.string("name").unwrap_or_default();
        if name.is_empty() {
            entry.error("name", "a rule needs a name");
        } else if name.starts_with('_') {
            entry.error("name", "names that begin with `_` are for what is no rule");
        } else if !taken.insert(name.clone()) {
            entry.error("name", format!("two rules are named `{name}`"));
        }
        if let Some(name) = &for_all {
            entry.warning("name", format!("is never asked: the rule `{name}` is for all traces"));
        }
        compiler.name.clone_from(&name);
        if let Some(rule) = Rule::read(entry, compiler) {
            for_all = for_all.or_else(|| rule.is_for_all().then(|| name.clone()));
            rules.push((name, Box::new(rule)));
        }
    }
    rules
}

/// The condition that tells which spans are roots, and so hasten the decision.
fn read_root(table: &Table<'_>, compiler: &mut Compiler<'_>) {
    const KEY: &str = "root_span_condition";
    let entry = table.get(KEY).filter(|entry| entry.string().is_none_or(|source| !source.is_empty()));
    if let Some(condition) = entry.and_then(|entry: Cursor<'_>| condition(&entry, Context::Span))
        && let Err(error) = compiler.predicates.set_root(condition, ROOT)
    {
        table.error(KEY, error.to_string());
    }
}

/// The threshold by which traces are decided for which there is no room, if rules are not asked then.
fn read_eviction(table: &Table<'_>) -> Option<Threshold> {
    let eviction = table.section("eviction");
    if eviction.choice_or("policy", &[("evaluate", false), ("probabilistic", true)], false) {
        return sampling_percentage(&eviction);
    }
    if eviction.has("sampling_percentage") {
        eviction.float("sampling_percentage", 0.0..=100.0);
        eviction.error("sampling_percentage", "is only used by `policy: probabilistic`");
    }
    None
}

#[cfg(test)]
mod tests;
