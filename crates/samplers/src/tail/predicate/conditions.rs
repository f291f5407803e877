//! The conditions among the predicates: what their answers mean, and what becomes of those that fail.

use std::sync::Arc;

use forebay_ottl::{Condition, ConditionMask, ConditionSet, EnvelopeSlots, Subject};

use super::{Bits, PredicateError, Workspace};

/// Conditions on spans, all of which are evaluated together.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    set: ConditionSet,
    /// What each condition's answer means, by its number.
    answers: Vec<Answer>,
    /// All bits that answers set.
    bits: Bits,
    /// The condition that tells which spans are roots, if it is not that they have no parent.
    root: Option<usize>,
}

/// What a condition's answer means.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// Set if it holds. It is not asked any more then.
    pub(super) holds: Bits,
    /// Set if it fails. It is not asked any more then either.
    pub(super) failed: Bits,
    /// Whether failures are logged.
    pub(super) logged: bool,
    /// The rule for which failures are counted, if they are.
    pub(super) rule: Option<Arc<str>>,
}

impl Conditions {
    /// Adds a condition whose answer means this.
    pub(super) fn add(&mut self, condition: Condition, answer: Answer) -> Result<usize, PredicateError> {
        let number = self.set.add(condition)?;
        self.bits |= answer.settles();
        self.answers.push(answer);
        Ok(number)
    }

    /// Lets a condition tell which spans are roots.
    pub(super) fn set_root(&mut self, condition: Condition, answer: Answer) -> Result<(), PredicateError> {
        self.root = Some(self.add(condition, answer)?);
        Ok(())
    }

    /// Whether a condition tells which spans are roots.
    pub(super) const fn tell_roots(&self) -> bool {
        self.root.is_some()
    }

    /// What they ask of a resource and a scope, for their spans; none if there are no conditions.
    pub(super) fn slots_of(&self, resource: &[u8], scope: &[u8]) -> Option<Box<EnvelopeSlots>> {
        (!self.set.is_empty()).then(|| Box::new(self.set.envelope(resource, scope)))
    }

    /// The bits in `known` and those that a span sets.
    pub(super) fn evaluate(&self, subject: &Subject<'_>, known: Bits, workspace: &mut Workspace) -> Bits {
        let mut found = known;
        let settled = |answer: &Answer, known: Bits| known.has_any(answer.settles());
        let mut open = ConditionMask::ALL;
        if known.has_any(self.bits) {
            let known = self.answers.iter().enumerate().filter(|(_, answer)| settled(answer, known));
            let mut closed = ConditionMask::NONE;
            known.for_each(|(index, _)| closed.insert(index));
            open = open.without(closed);
        }
        let Workspace { scratch, failure, failures, root, .. } = workspace;
        self.set.evaluate(subject, open, scratch, |index, outcome| {
            let answer = &self.answers[index];
            match outcome {
                _ if settled(answer, found) => {}
                Ok(()) => {
                    found |= answer.holds;
                    *root |= self.root == Some(index);
                }
                Err(error) => {
                    found |= answer.failed;
                    if answer.logged {
                        failure.get_or_insert_with(|| error.clone());
                    }
                    if let Some(rule) = &answer.rule {
                        *failures.entry(Arc::clone(rule)).or_default() += 1;
                    }
                }
            }
        });
        found
    }
}

impl Answer {
    /// After which of its bits it is not asked any more.
    fn settles(&self) -> Bits {
        self.holds | self.failed
    }
}
