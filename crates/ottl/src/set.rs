//! Many conditions, asked of a span together.

use forebay_otlp::attribute::attribute_messages;
use thiserror::Error;

use crate::condition::Condition;
use crate::error::EvalError;
use crate::layer::Layer;
use crate::mask::ConditionMask;
use crate::node::{Frame, Origin, Part, Slot, Test, View};
use crate::paths::Context;
use crate::slots::{Found, Level, Place, Walker};

/// Conditions that are asked together.
#[derive(Debug)]
pub struct ConditionSet {
    members: Vec<Member>,
    of_spans: ConditionMask,
    of_events: ConditionMask,
    /// Conditions that ask for something that is no slot.
    volatile: ConditionMask,
    /// Conditions that hold, or fail, when none of their slots is found.
    settled: ConditionMask,
    span: Layer,
    event: Layer,
    envelope: Layer,
}

/// One condition.
#[derive(Debug)]
struct Member {
    test: Test,
    slots: Box<[Slot]>,
    /// The answer when none of its slots is found.
    otherwise: Result<bool, EvalError>,
}

/// What conditions ask of a resource and a scope, found once for all their spans. It owns what it needs.
#[derive(Clone, Debug, Default)]
pub struct EnvelopeSlots {
    bytes: Vec<u8>,
    found: Vec<Found>,
    /// The conditions with the same answer for every span.
    known: ConditionMask,
    /// The conditions that hold, or fail, when none of their slots is found in the span.
    settled: ConditionMask,
    /// Of those, the ones that fail.
    failed: Vec<(usize, EvalError)>,
}

/// What conditions are asked of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The span's message.
    pub span: &'a [u8],
    /// Its resource and scope.
    pub envelope: &'a EnvelopeSlots,
    /// The time, in nanoseconds since 1970.
    pub now_unix_nano: u64,
}

/// Memory for evaluation, to be used again.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    span: Vec<Found>,
    event: Vec<Found>,
}

/// A set holds so many conditions and no more.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("more than {} OTTL conditions", ConditionMask::MAX)]
pub struct TooManyConditions;

/// Field number of what descriptions are about: a resource or a scope.
const DESCRIBED: u32 = 1;
/// Field number of a span's events.
const EVENTS: u32 = 11;

impl Default for ConditionSet {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            of_spans: ConditionMask::NONE,
            of_events: ConditionMask::NONE,
            volatile: ConditionMask::NONE,
            settled: ConditionMask::NONE,
            span: Layer::new(&[Level::Span]),
            event: Layer::new(&[Level::Event]),
            envelope: Layer::new(&[Level::ResourceSpans, Level::Resource, Level::ScopeSpans, Level::Scope]),
        }
    }
}

impl ConditionSet {
    /// Adds a condition; its index is the number of those before.
    ///
    /// # Errors
    /// When there are [`ConditionMask::MAX`] already.
    pub fn add(&mut self, condition: Condition) -> Result<usize, TooManyConditions> {
        let index = self.members.len();
        let bit = ConditionMask::one(index).ok_or(TooManyConditions)?;
        let Condition { context, test, places, gate, volatile, .. } = condition;
        let woken_by = |slot| if slot < gate { bit } else { ConditionMask::NONE };
        let places = places.into_iter().enumerate();
        let slots: Box<[_]> = places.map(|(slot, place)| self.slot(place, bit, woken_by(slot))).collect();
        match context {
            Context::Span => self.of_spans |= bit,
            Context::SpanEvent => self.of_events |= bit,
        }
        let otherwise = test.holds(&Frame { slots: &slots, view: &View::EMPTY });
        if volatile {
            self.volatile |= bit;
        } else if otherwise != Ok(false) {
            self.settled |= bit;
        }
        self.members.push(Member { test, slots, otherwise });
        Ok(index)
    }

    fn slot(&mut self, place: Place, user: ConditionMask, woken: ConditionMask) -> Slot {
        let (origin, layer) = match place.level {
            Level::Span => (Origin::Span, &mut self.span),
            Level::Event => (Origin::Event, &mut self.event),
            Level::Resource | Level::ResourceSpans | Level::Scope | Level::ScopeSpans => {
                (Origin::Envelope, &mut self.envelope)
            }
        };
        Slot { origin, index: layer.slot(place, user, woken) }
    }

    /// How many conditions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Finds what conditions ask of a resource and a scope in the fields that describe them: those of
    /// `ResourceSpans` and of `ScopeSpans` that are not what they contain, in any number of pieces put
    /// together. What is found is for this set as it is: a condition that is added later is not in it.
    #[must_use]
    pub fn envelope(&self, resource: &[u8], scope: &[u8]) -> EnvelopeSlots {
        let mut slots = EnvelopeSlots::default();
        for (level, walker) in self.envelope.walkers.iter().filter(|(_, walker)| !walker.is_empty()) {
            match level {
                Level::ResourceSpans => slots.add(&self.envelope, walker, resource),
                Level::ScopeSpans => slots.add(&self.envelope, walker, scope),
                Level::Resource => slots.add(&self.envelope, walker, &described(resource)),
                _ => slots.add(&self.envelope, walker, &described(scope)),
            }
        }
        let view = View { envelope: slots.part(), ..View::EMPTY };
        let mut known = ConditionMask::NONE;
        let mut settled = self.settled.without(self.envelope.users());
        let mut failed = Vec::new();
        for (index, member) in self.members(self.envelope.users()) {
            let frame = Frame { view: &view, slots: &member.slots };
            let answer = match member.test.known(&frame) {
                Some(answer) => {
                    known.insert(index);
                    answer
                }
                None if self.volatile.contains(index) => continue,
                None => member.test.holds(&frame),
            };
            match answer {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => failed.push((index, error)),
            }
            settled.insert(index);
        }
        EnvelopeSlots { known, settled, failed, ..slots }
    }

    /// Asks the conditions of `asked` of a span, and of its events those that are for events, and calls
    /// `visit` with each that holds or fails, in the order in which the Collector would come to it: first the
    /// conditions on the span, then those on its first event, and so on. A condition that held for an event is
    /// not asked of the next.
    pub fn evaluate(
        &self,
        subject: &Subject<'_>,
        asked: ConditionMask,
        scratch: &mut Scratch,
        mut visit: impl FnMut(usize, Result<(), &EvalError>),
    ) {
        let Scratch { span: in_span, event: in_event } = scratch;
        let EnvelopeSlots { known, settled, .. } = subject.envelope;
        let asked = asked.without(known.without(*settled));
        if asked.is_empty() {
            return;
        }
        let mut live = self.volatile;
        self.span.find(subject.span, asked.without(*known), in_span, &mut live);
        let mut view = View {
            span: Part { message: subject.span, found: in_span },
            envelope: subject.envelope.part(),
            now: i128::from(subject.now_unix_nano),
            ..View::EMPTY
        };
        self.judge(asked & self.of_spans, live, subject.envelope, &view, &mut visit);
        let mut open = asked & self.of_events;
        if open.is_empty() {
            return;
        }
        for event in attribute_messages(subject.span, EVENTS) {
            let mut live = live;
            self.event.find(event, open.without(*known), in_event, &mut live);
            let view_here = View { event: Part { message: event, found: in_event }, ..view };
            open = open.without(self.judge(open, live, subject.envelope, &view_here, &mut visit));
            if open.is_empty() {
                return;
            }
            view.event_index += 1;
        }
    }

    /// Evaluates those of `asked` that are `live`; the others' answers are known. Returns those that hold.
    fn judge(
        &self,
        asked: ConditionMask,
        live: ConditionMask,
        envelope: &EnvelopeSlots,
        view: &View<'_>,
        visit: &mut impl FnMut(usize, Result<(), &EvalError>),
    ) -> ConditionMask {
        let live = live.without(envelope.known);
        let mut held = ConditionMask::NONE;
        for (index, member) in self.members(asked & (live | envelope.settled)) {
            let evaluated;
            let answer = if live.contains(index) {
                evaluated = member.test.holds(&Frame { view, slots: &member.slots });
                evaluated.as_ref().copied()
            } else if self.envelope.users().contains(index) {
                let mut failed = envelope.failed.iter();
                failed.find(|(failed, _)| *failed == index).map_or(Ok(true), |(_, error)| Err(error))
            } else {
                member.otherwise.as_ref().copied()
            };
            match answer {
                Ok(false) => {}
                Ok(true) => {
                    held.insert(index);
                    visit(index, Ok(()));
                }
                Err(error) => visit(index, Err(error)),
            }
        }
        held
    }

    fn members(&self, of: ConditionMask) -> impl Iterator<Item = (usize, &Member)> {
        of.iter().map_while(|index| Some((index, self.members.get(index)?)))
    }
}

impl EnvelopeSlots {
    /// Copies what a walker finds in a message.
    fn add(&mut self, layer: &Layer, walker: &Walker, message: &[u8]) {
        let mut found = vec![Found::Absent; layer.len()];
        walker.walk(message, &mut found, |_| {});
        self.found.resize(layer.len(), Found::Absent);
        for (kept, found) in self.found.iter_mut().zip(found).filter(|(_, found)| *found != Found::Absent) {
            *kept = found.moved(message, &mut self.bytes);
        }
    }

    fn part(&self) -> Part<'_> {
        Part { message: &self.bytes, found: &self.found }
    }
}

/// The message that a description is about; of several, what protobuf merges them to.
fn described(description: &[u8]) -> Vec<u8> {
    attribute_messages(description, DESCRIBED).collect::<Vec<_>>().concat()
}
