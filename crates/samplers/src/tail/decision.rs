//! From what policies say to what is done.
//!
//! Dropping goes before keeping; the first policy that asks for a trace is the one that is recorded; its
//! threshold is the least of all that ask for it, since each would have kept it alone. Of rules
//! (`adaptive_tail_sampling`), the first that applies to a trace decides it.

mod agents;

use std::collections::HashSet;
use std::time::Instant;

use forebay_allocators::Key;
use forebay_config::{Cursor, Table};
use forebay_otlp::threshold::Threshold;

use super::fingerprint::Values;
use super::limits::{Limits, Rates};
use super::moment::Moment;
use super::policy::{Compiler, Evidence, Nature, Policy, Verdict};
use super::predicate::Predicates;
use super::stats::{PolicyCount, RuleDecision};
use super::store::Nanos;
use crate::Compatibility;

/// The policies of one processor.
pub struct Policies {
    names: Vec<String>,
    /// Those that drop first.
    policies: Vec<Named>,
    predicates: Predicates,
    rates: Rates,
    /// Whether the first policy that asks for a trace ends the matter: later limits are not charged for it.
    first_match: bool,
    /// Whether a trace may have escaped being dropped by chance. Then no threshold tells its probability.
    spared_by_chance: bool,
    /// Set if the policies are rules.
    rules: Option<Rules>,
}

/// What there is to rules beside them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) record_fingerprint: RecordFingerprint,
    /// With which probability traces are kept for which there is no room any more, if rules are not asked then.
    pub(crate) eviction: Option<Threshold>,
}

/// How fingerprints are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordFingerprint {
    #[default]
    None,
    /// As they are.
    Value,
    /// By the hash that is their key.
    Hash,
}

/// What stands for a rule where there is none. It has a name and a count as rules have, after theirs.
#[derive(Clone, Copy, Debug)]
enum StandIn {
    /// For traces that no rule is for.
    Unmatched,
    /// For traces without room that rules are not asked of.
    Eviction,
}

struct Named {
    /// Its place in the configuration.
    index: u16,
    policy: Box<dyn Policy>,
    nature: Nature,
}

/// What a policy is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyNames {
    /// Its name.
    pub policy: String,
    /// The names of its parts, if it is recorded which of them has kept a trace.
    pub parts: Vec<String>,
}

/// What all policies together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No policy asks for the trace.
    NotSampled,
    /// A policy drops it.
    Dropped,
    /// Some policy asks for it.
    Keep(Kept),
}

/// Why and how a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Index of the first policy that asked for it.
    pub policy: u16,
    /// Which of that policy's named parts asked for it, if it has any; of a rule, the number of what is recorded
    /// beside it.
    pub part: Option<u16>,
    /// The trace's threshold, the one it came with included; `None` if its probability is not known.
    pub threshold: Option<Threshold>,
}

/// [`Kept`] in few bytes, and when that was decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    /// `u64::MAX` if it is not known.
    threshold: u64,
    decided: Moment,
    policy: u16,
    /// `u16::MAX` if there is none.
    part: u16,
}

// As many of them are remembered as fit a part of the memory.
const _: () = assert!(size_of::<Remembered>() == 16);

impl Policies {
    /// Reads the list `policies` and `sample_on_first_match`, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>, compatibility: Compatibility) -> Self {
        let (mut predicates, mut rates) = (Predicates::new(compatibility), Rates::default());
        let mut compiler = Compiler::new(&mut predicates, &mut rates, compatibility);
        let (mut names, mut policies, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        let entries = table.list("policies");
        let missing = table.get("policies").is_none_or(|policies| policies.is_null());
        if missing || entries.as_ref().is_some_and(Vec::is_empty) {
            table.error("policies", "tail_sampling needs policies: without them nothing would be kept");
        }
        for entry in entries.iter().flatten().filter_map(Cursor::table) {
            let name = entry.string("name").unwrap_or_default();
            if name.is_empty() {
                entry.error("name", "a policy needs a name");
            } else if !taken.insert(name.clone()) {
                entry.error("name", format!("two policies are named `{name}`"));
            }
            compiler.name.clone_from(&name);
            if let Some(policy) = compiler.policy(&entry) {
                let Ok(index) = u16::try_from(names.len()) else {
                    table.error("policies", "more than 65536 policies");
                    break;
                };
                names.push(name);
                policies.push(Named { index, nature: policy.nature(), policy });
            }
        }
        policies.sort_by_key(|named| !named.nature.drops);
        let spared_by_chance = policies.iter().any(|named| named.nature.drops && named.nature.chance);
        let first_match = table.bool_or("sample_on_first_match", false);
        Self { names, policies, predicates, rates, first_match, spared_by_chance, rules: None }
    }

    /// Rules, each with its name.
    pub(crate) fn of_rules(
        named: Vec<(String, Box<dyn Policy>)>,
        predicates: Predicates,
        rates: Rates,
        rules: Rules,
    ) -> Self {
        let (mut names, policies): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        names.extend(StandIn::ALL.map(|stand_in| stand_in.name().to_owned()));
        let named =
            |(index, policy): (u16, Box<dyn Policy>)| Named { index, nature: policy.nature(), policy };
        let policies = (0..=u16::MAX).zip(policies).map(named).collect();
        let rules = Some(rules);
        Self { names, policies, predicates, rates, first_match: false, spared_by_chance: false, rules }
    }

    /// Whether the policies are rules.
    pub(crate) const fn are_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// The index of what stands for a rule.
    fn index_of(&self, stand_in: StandIn) -> u16 {
        u16::try_from(self.policies.len() + stand_in as usize).unwrap_or(u16::MAX)
    }

    /// The policies' names, in order; after those of rules come those of what stands for one.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The same with the names of their parts, for those who record them.
    pub(crate) fn names_with_parts(&self) -> Vec<PolicyNames> {
        let names = self.names.iter().map(|name| PolicyNames { policy: name.clone(), parts: Vec::new() });
        let mut names: Vec<_> = names.collect();
        for named in &self.policies {
            names[usize::from(named.index)].parts = named.policy.parts();
        }
        names
    }

    /// What has to be asked of single spans.
    #[must_use]
    pub fn predicates(&self) -> &Predicates {
        &self.predicates
    }

    /// The limits of a shard that begins.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::new(&self.rates)
    }

    /// Whether policies have limits, which choose among all that is decided in a tick.
    pub(crate) fn are_limited(&self) -> bool {
        !self.rates.is_empty()
    }

    /// The name of a policy that needs whole traces, if there is one.
    pub(crate) fn needing_whole_traces(&self) -> Option<&str> {
        let found = self.policies.iter().find(|named| named.nature.whole)?;
        Some(&self.names[usize::from(found.index)])
    }

    /// Decides traces together. What each policy says of each is added to its element of `counts`.
    pub fn decide(
        &self,
        traces: &[Evidence<'_>],
        limits: &mut Limits,
        counts: &mut [PolicyCount],
        decisions: &mut Vec<Decision>,
    ) {
        if !self.rates.is_empty() {
            self.choose(traces, limits);
        }
        let first = decisions.len();
        decisions.resize(first + traces.len(), Decision::NotSampled);
        let decisions = &mut decisions[first..];
        let mut open: Vec<_> = (0..traces.len()).collect();
        for named in &self.policies {
            let count = &mut counts[usize::from(named.index)];
            // To read the clock for one trace would cost more than most policies do.
            let begun = (traces.len() > 1).then(Instant::now);
            open.retain(|&index| {
                let applies = !self.are_rules() || named.policy.applies(&traces[index]);
                if applies {
                    self.ask(named, &traces[index], limits, &mut decisions[index], count);
                }
                !applies || !self.are_rules()
            });
            count.time += begun.map(|begun| begun.elapsed()).unwrap_or_default();
        }
        if self.are_rules() {
            let unmatched = &mut counts[usize::from(self.index_of(StandIn::Unmatched))];
            open.iter().for_each(|&index| unmatched.add(Verdict::NotSampled, traces[index].digest));
        }
        for (trace, decision) in traces.iter().zip(decisions) {
            if let Decision::Keep(kept) = decision {
                kept.threshold = kept.threshold.filter(|_| !self.spared_by_chance);
                *kept = kept.after(trace.digest.head());
            }
        }
    }

    /// Decides a trace for which there is no room, if that is not a matter of rules; see [`Self::decide`].
    pub(crate) fn evict(&self, trace: &Evidence<'_>, counts: &mut [PolicyCount]) -> Option<Decision> {
        let verdict = Verdict::above(Some(self.rules?.eviction?), trace.randomness);
        let policy = self.index_of(StandIn::Eviction);
        counts[usize::from(policy)].add(verdict, trace.digest);
        let Verdict::Sampled(threshold) = verdict else { return Some(Decision::NotSampled) };
        let kept = Kept { policy, part: None, threshold: Some(threshold) };
        Some(Decision::Keep(kept.after(trace.digest.head())))
    }

    /// How rules have decided a trace, for which there was no room if it is `evicted`; `None` if no rule is for it.
    pub(crate) fn rule_decision(
        &self,
        trace: &Evidence<'_>,
        evicted: bool,
        limits: &Limits,
    ) -> Option<RuleDecision> {
        let eviction = self.rules?.eviction.filter(|_| evicted);
        let (rule, threshold) = match eviction {
            Some(_) => (self.index_of(StandIn::Eviction), eviction),
            None => {
                let rule = self.policies.iter().find(|named| named.policy.applies(trace))?;
                (rule.index, rule.policy.threshold(trace, limits))
            }
        };
        let threshold = raised(threshold, trace.digest.head());
        Some(RuleDecision { rule, threshold, spans: trace.digest.spans })
    }

    /// What is recorded of the fingerprint of a trace with these values that a rule has kept.
    pub(crate) fn fingerprint(&self, kept: Kept, values: &Values<'_>, limits: &Limits) -> Option<String> {
        let record = self.rules?.record_fingerprint;
        let rule =
            self.policies.get(usize::from(kept.policy)).filter(|_| record != RecordFingerprint::None)?;
        let text = self.predicates.fingerprints().text(limits.fingerprint(rule.policy.budget()?), values);
        Some(match record {
            RecordFingerprint::Hash => format!("{:016x}", Key::of(&text).bits()),
            RecordFingerprint::None | RecordFingerprint::Value => text,
        })
    }

    /// Adds to `decision` what a policy says of a trace, unless one before has dropped it.
    fn ask(
        &self,
        named: &Named,
        trace: &Evidence<'_>,
        limits: &Limits,
        decision: &mut Decision,
        count: &mut PolicyCount,
    ) {
        if *decision == Decision::Dropped {
            return;
        }
        let verdict = named.policy.evaluate(trace, limits);
        // What comes after the first match is asked for the threshold's sake alone.
        if *decision == Decision::NotSampled || !self.first_match {
            count.add(verdict, trace.digest);
        }
        let threshold = match verdict {
            Verdict::NotSampled | Verdict::Failed => return,
            Verdict::Dropped => return *decision = Decision::Dropped,
            Verdict::Sampled(threshold) => Some(threshold),
            Verdict::SampledUnknown => None,
        };
        match decision {
            Decision::Keep(first) => first.threshold = union(first.threshold, threshold),
            _ => {
                let part = named.policy.part(trace, limits);
                *decision = Decision::Keep(Kept { policy: named.index, part, threshold });
            }
        }
    }

    /// Lets limits choose. A trace that is dropped, or that has been asked for where that ends the matter, claims
    /// nothing of what comes later.
    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        let mut open = traces.to_vec();
        for named in &self.policies {
            if self.are_rules() {
                let (own, others): (Vec<_>, _) =
                    open.into_iter().partition(|trace| named.policy.applies(trace));
                named.policy.choose(&own, limits);
                open = others;
                continue;
            }
            named.policy.choose(&open, limits);
            if named.nature.drops || self.first_match {
                open.retain(|trace| {
                    matches!(named.policy.evaluate(trace, limits), Verdict::NotSampled | Verdict::Failed)
                });
            }
        }
    }

    /// Whether some policy drops traces.
    pub(crate) fn may_drop(&self) -> bool {
        self.policies.first().is_some_and(|named| named.nature.drops)
    }

    /// Whether a trace will be kept whatever spans are still to come. Asks only policies that cannot take it
    /// back; with policies that drop, nothing is ever sure.
    pub(crate) fn is_certain(&self, trace: &Evidence<'_>, limits: &Limits) -> bool {
        // A keep by chance would weigh a trace that another policy is still to keep for certain.
        let certain = Verdict::Sampled(Threshold::ALWAYS);
        let asks = |named: &Named| named.nature.monotone && named.policy.evaluate(trace, limits) == certain;
        !self.may_drop() && self.policies.iter().any(asks)
    }
}

impl StandIn {
    const ALL: [Self; 2] = [Self::Unmatched, Self::Eviction];

    /// As upstream calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Unmatched => "_unmatched",
            Self::Eviction => "_eviction",
        }
    }
}

impl Kept {
    /// How a trace is kept that is kept in either way: each would have done alone.
    pub(crate) fn or(self, other: Self) -> Self {
        let first = if self.policy <= other.policy { self } else { other };
        Self { threshold: union(self.threshold, other.threshold), ..first }
    }

    /// The same for spans that have passed the threshold `head` before.
    pub(crate) fn after(self, head: Option<Threshold>) -> Self {
        Self { threshold: raised(self.threshold, head), ..self }
    }
}

impl Remembered {
    pub(crate) fn new(kept: Kept, now: Nanos) -> Self {
        let threshold = kept.threshold.map_or(u64::MAX, Threshold::get);
        Self { threshold, decided: Moment::of(now), policy: kept.policy, part: kept.part.unwrap_or(u16::MAX) }
    }

    pub(crate) fn kept(self) -> Kept {
        let part = Some(self.part).filter(|&part| part != u16::MAX);
        Kept { policy: self.policy, part, threshold: Threshold::new(self.threshold) }
    }

    /// How long ago it was decided, in seconds.
    pub(crate) fn age(self, now: Nanos) -> f64 {
        self.decided.age(now)
    }
}

/// A threshold, if it is known, for spans that have passed `head` before, which is never lowered.
fn raised(threshold: Option<Threshold>, head: Option<Threshold>) -> Option<Threshold> {
    threshold.map(|threshold| threshold.max(head.unwrap_or(Threshold::ALWAYS)))
}

/// The threshold of what either of two policies keeps. With one unknown it is unknown, unless the other keeps
/// everything of this kind.
fn union(a: Option<Threshold>, b: Option<Threshold>) -> Option<Threshold> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (known, None) | (None, known) => known.filter(|&threshold| threshold == Threshold::ALWAYS),
    }
}
