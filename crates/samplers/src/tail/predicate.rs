//! Existential predicates: what a policy asks of single spans, evaluated once as each span arrives.
//!
//! "Some span has status ERROR", "some span or its resource has `http.route` = `/pay`": each distinct
//! predicate of all policies is one bit of the trace's digest. Bits are only ever set, so a span is looked at
//! for the bits that its trace still lacks, and attributes whose keys nobody names cost a comparison of
//! lengths.

mod attributes;
mod conditions;
mod test;

use std::collections::BTreeMap;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use forebay_otlp::attribute::{
    SPAN_ATTRIBUTES, attribute_messages, resource_attribute_messages, scope_attribute_messages,
};
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{Span, StatusCode};
use forebay_ottl::{
    Condition, Context, EnvelopeSlots, EvalError, ParseError, Scratch, Subject, TooManyConditions,
};
use thiserror::Error;

use self::attributes::Attributes;
use self::conditions::{Answer, Conditions};
use self::test::{CompiledTest, Reading};
use super::fingerprint::{
    Collected, FingerprintNumber, Fingerprints, Places, Selector, SelectorError, Values,
};
use crate::Compatibility;
use crate::retroactive::program::{Program, Question};

/// A set of predicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits(u128);

/// Something a span or its resource can satisfy.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// The span's status is one of these.
    Status(Vec<StatusCode>),
    /// The span or its resource has an attribute of this key that passes the test.
    Attribute {
        /// The attribute's key.
        key: String,
        /// What its value must be.
        test: AttributeTest,
    },
    /// The W3C trace flag `sampled` is set.
    SampledFlag,
    /// A member of the trace state has one of these values.
    TraceState {
        /// The member's key.
        key: String,
        /// What it may be.
        values: Vec<String>,
    },
}

/// What becomes of a trace for which a condition fails, say because it compares a number with a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorMode {
    /// It counts as not holding, and is logged.
    Ignore,
    /// It counts as not holding.
    Silent,
    /// The policy does not ask for the trace, unless it has before.
    Propagate,
}

/// What an attribute's value must be. Values of another type fail.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeTest {
    /// A string that is one of these. The empty string never passes, as upstream.
    OneOf(Vec<String>),
    /// A string that one of these regular expressions matches somewhere.
    Matches(Vec<String>),
    /// This boolean.
    Is(bool),
    /// A number within these bounds, both included.
    Within {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
}

/// Why a predicate cannot be compiled.
#[derive(Debug, Error)]
pub enum PredicateError {
    /// A digest has one bit for each predicate.
    #[error("more than {max} distinct conditions in one tail_sampling processor", max = Bits::MAX)]
    TooMany,
    /// A regular expression does not compile.
    #[error("invalid regular expression: {}", reason(.0))]
    Regex(#[from] regex::Error),
    /// Conditions have a bound of their own.
    #[error("{0} in one tail_sampling processor")]
    Conditions(#[from] TooManyConditions),
    /// A condition in OTTL does not compile.
    #[error("column {} of a condition: {}", .0.column, .0.message)]
    Condition(#[from] ParseError),
    /// An attribute is not selected as it has to be.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// So have fingerprints.
    #[error("more than 256 distinct attributes in the fingerprints of one processor")]
    TooManySelectors,
}

/// The distinct predicates of a processor's policies, compiled.
#[derive(Debug, Default)]
pub struct Predicates {
    distinct: Vec<(Predicate, Bits)>,
    /// All that is asked, in the order in which bits were given out.
    questions: Vec<Question>,
    /// The predicates that each status code satisfies.
    by_status: [Bits; 4],
    attributes: Attributes,
    /// Whether attributes are read as the Collector reads them.
    coerces: bool,
    /// The predicates on attributes.
    on_attributes: Bits,
    sampled_flag: Bits,
    /// Keys and values of trace states' members.
    by_member: Vec<(Bits, String, Vec<String>)>,
    /// How many bits are taken.
    bits: usize,
    conditions: Conditions,
    fingerprints: Fingerprints,
    /// Where fingerprints look for attributes.
    selected: Places,
}

/// A span of which predicates are asked.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) span: &'a Span,
    pub(crate) body: &'a [u8],
    pub(crate) trace_state: &'a [u8],
    /// What conditions ask of its resource and scope, if there are conditions.
    pub(crate) envelope: Option<&'a EnvelopeSlots>,
    pub(crate) now_unix_nano: u64,
}

/// What evaluating needs beside the predicates.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    scratch: Scratch,
    /// Whether the last span was a root.
    pub(crate) root: bool,
    /// What fingerprints have asked of spans since this was cleared.
    pub(crate) collected: Collected,
    /// The last failure of a condition that wants it logged.
    pub(crate) failure: Option<EvalError>,
    /// How many conditions of rules have failed since somebody last asked, by rule.
    pub(crate) failures: BTreeMap<Arc<str>, u64>,
}

/// The bit of a span's `flags` for the W3C flag `sampled`.
const W3C_SAMPLED: u32 = 1;

impl Bits {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// How many predicates a set can hold.
    pub const MAX: usize = 128;

    fn one(index: usize) -> Self {
        Self(1 << index)
    }

    /// The set whose predicates are the bits of a number, the first the lowest.
    #[must_use]
    pub const fn from_raw(bits: u128) -> Self {
        Self(bits)
    }

    /// The set as a number; see [`Self::from_raw`].
    #[must_use]
    pub const fn to_raw(self) -> u128 {
        self.0
    }

    /// Whether every predicate of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some predicate of `other` is in the set.
    const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Bits {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Predicates {
    /// No predicates, with values of attributes to be read like that.
    pub(crate) fn new(compatibility: Compatibility) -> Self {
        Self { coerces: compatibility.attribute_coercion, ..Self::default() }
    }

    /// The predicates of a coordinator's policies. Equal programs give equal bits.
    ///
    /// # Errors
    /// When there are too many, or something does not compile: an older agent may know less of OTTL.
    pub fn of_program(program: &Program) -> Result<Self, PredicateError> {
        let mut predicates = Self { coerces: program.coerces, ..Self::default() };
        for question in &program.questions {
            match question {
                Question::Predicate(predicate) => {
                    predicates.add(predicate.clone())?;
                }
                Question::Conditions { conditions, mode } => {
                    let parse = |(source, context): &(String, Context)| Condition::parse(source, *context);
                    let parsed = conditions.iter().map(parse).collect::<Result<_, _>>();
                    predicates.add_conditions(parsed?, *mode)?;
                }
                Question::Fingerprint(selectors) => {
                    let parsed = selectors.iter().map(|text| text.parse()).collect::<Result<_, _>>();
                    predicates.add_fingerprint(parsed?)?;
                }
            }
        }
        Ok(predicates)
    }

    /// What is asked of spans, in the order in which bits were given out; rules' conditions are not among it.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Whether values of attributes are read as the Collector does.
    #[must_use]
    pub const fn coerces(&self) -> bool {
        self.coerces
    }

    /// How attributes are read that the Collector would read like that.
    fn reading(&self, of: Reading) -> Reading {
        if self.coerces { of } else { Reading::Strict }
    }

    /// The bit of `predicate`, which equal predicates share.
    ///
    /// # Errors
    /// When there are too many, or a regular expression does not compile.
    pub fn add(&mut self, predicate: Predicate) -> Result<Bits, PredicateError> {
        if let Some((_, bit)) = self.distinct.iter().find(|(other, _)| *other == predicate) {
            return Ok(*bit);
        }
        let test = match &predicate {
            Predicate::Attribute { test, .. } => Some(CompiledTest::new(test)?),
            _ => None,
        };
        let bit = self.next_bit()?;
        match &predicate {
            Predicate::Status(codes) => codes.iter().for_each(|&code| self.by_status[code as usize] |= bit),
            Predicate::Attribute { key, .. } => {
                self.attributes.key(key)?.tests.extend(test.map(|test| (bit, test)));
                self.on_attributes |= bit;
            }
            Predicate::SampledFlag => self.sampled_flag = bit,
            Predicate::TraceState { key, values } => {
                self.by_member.push((bit, key.clone(), values.clone()));
            }
        }
        self.questions.push(Question::Predicate(predicate.clone()));
        self.distinct.push((predicate, bit));
        Ok(bit)
    }

    /// The bits of "one of these conditions holds for some span" and, where failing matters, of "one has failed
    /// before".
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn add_conditions(
        &mut self,
        conditions: Vec<Condition>,
        mode: ErrorMode,
    ) -> Result<(Bits, Option<Bits>), PredicateError> {
        let holds = self.next_bit()?;
        let failed = if mode == ErrorMode::Propagate { Some(self.next_bit()?) } else { None };
        let answer = Answer {
            holds,
            failed: failed.unwrap_or_default(),
            logged: mode == ErrorMode::Ignore,
            rule: None,
        };
        let sources = conditions.iter().map(|condition| (condition.source().to_owned(), condition.context()));
        self.questions.push(Question::Conditions { conditions: sources.collect(), mode });
        for condition in conditions {
            self.conditions.add(condition, answer.clone())?;
        }
        Ok((holds, failed))
    }

    /// The bit of "this condition holds for some span". Its failures are logged, and counted for `rule`.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn add_rule_condition(
        &mut self,
        condition: Condition,
        rule: &str,
    ) -> Result<Bits, PredicateError> {
        let holds = self.next_bit()?;
        let answer = Answer { holds, logged: true, rule: Some(rule.into()), ..Answer::default() };
        self.conditions.add(condition, answer)?;
        Ok(holds)
    }

    /// The number of the fingerprint that is made of these attributes.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn add_fingerprint(
        &mut self,
        selectors: Vec<Selector>,
    ) -> Result<FingerprintNumber, PredicateError> {
        self.questions.push(Question::Fingerprint(selectors.iter().map(Selector::to_string).collect()));
        let number = self.fingerprints.add(selectors).ok_or(PredicateError::TooManySelectors)?;
        let known: Vec<_> =
            self.fingerprints.selectors().map(|(number, selector)| (number, selector.clone())).collect();
        for (number, Selector { places, key }) in known {
            let entry = self.attributes.key(&key)?;
            if !entry.selectors.contains(&(number, places)) {
                entry.selectors.push((number, places));
            }
            self.selected = self.selected.and(places);
        }
        Ok(number)
    }

    /// The fingerprints of traces.
    pub(crate) fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Lets a condition tell which spans are roots. Its failures are logged, and counted for `rule`.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn set_root(&mut self, condition: Condition, rule: &str) -> Result<(), PredicateError> {
        // It is asked of every span, so its answer settles nothing.
        let answer = Answer { logged: true, rule: Some(rule.into()), ..Answer::default() };
        self.conditions.set_root(condition, answer)
    }

    fn next_bit(&mut self) -> Result<Bits, PredicateError> {
        if self.bits == Bits::MAX {
            return Err(PredicateError::TooMany);
        }
        self.bits += 1;
        Ok(Bits::one(self.bits - 1))
    }

    /// The predicates that a span satisfies by itself; those in `known` are not asked again.
    #[inline]
    pub(crate) fn of_span(&self, asked: &Asked<'_>, known: Bits, workspace: &mut Workspace) -> Bits {
        let mut found = known | self.by_status[asked.span.status as usize];
        if asked.span.flags & W3C_SAMPLED != 0 {
            found |= self.sampled_flag;
        }
        if !self.by_member.is_empty() && !asked.trace_state.is_empty() {
            found |= self.of_trace_state(asked.trace_state);
        }
        workspace.root = !self.conditions.tell_roots() && asked.span.root;
        if let Some(envelope) = asked.envelope {
            let subject = Subject { span: asked.body, envelope, now_unix_nano: asked.now_unix_nano };
            found = self.conditions.evaluate(&subject, found, workspace);
        }
        let places = if workspace.root { Places::SPAN.and(Places::ROOT) } else { Places::SPAN };
        if !found.contains(self.on_attributes) || self.selected.meet(places) {
            let attributes = attribute_messages(asked.body, SPAN_ATTRIBUTES);
            let reading = self.reading(Reading::OfSpan);
            found |= self.attributes.walk(attributes, found, reading, places, &mut workspace.collected);
        }
        found
    }

    fn of_trace_state(&self, text: &[u8]) -> Bits {
        let mut found = Bits::NONE;
        let Ok(state) = TraceState::parse(text) else { return found };
        if state.repeats_a_key() {
            return found;
        }
        for (key, value) in state.members() {
            let satisfied = self
                .by_member
                .iter()
                .filter(|(_, wanted, values)| wanted == key && values.iter().any(|wanted| wanted == value));
            satisfied.for_each(|(bit, ..)| found |= *bit);
        }
        found
    }

    /// What conditions ask of a resource and a scope, for their spans; none if there are no conditions.
    pub(crate) fn slots_of(&self, resource: &[u8], scope: &[u8]) -> Option<Box<EnvelopeSlots>> {
        self.conditions.slots_of(resource, scope)
    }

    /// The predicates that the resource in an envelope's resource description satisfies.
    pub(crate) fn of_resource(&self, description: &[u8]) -> Bits {
        if self.on_attributes == Bits::NONE {
            return Bits::default();
        }
        let attributes = resource_attribute_messages(description);
        let reading = self.reading(Reading::OfResource);
        self.attributes.walk(attributes, Bits::default(), reading, Places::NONE, &mut Collected::default())
    }

    /// The values that fingerprints have of the resource and the scope that two descriptions are about.
    pub(crate) fn values_of(&self, resource: &[u8], scope: &[u8]) -> Values<'static> {
        let mut collected = Collected::default();
        if self.selected.meet(Places::RESOURCE) {
            let attributes = resource_attribute_messages(resource);
            self.attributes.walk(
                attributes,
                Bits::default(),
                Reading::Strict,
                Places::RESOURCE,
                &mut collected,
            );
        }
        if self.selected.meet(Places::SCOPE) {
            let attributes = scope_attribute_messages(scope);
            self.attributes.walk(attributes, Bits::default(), Reading::Strict, Places::SCOPE, &mut collected);
        }
        Values::default().union(collected.iter().map(|(selector, value)| (selector, Some(value))))
    }
}

/// What is wrong, without the drawing above it, which does not fit on a line.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests;
