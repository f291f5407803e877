//! What is known of a test before the span is.
//!
//! Many spans share a resource and a scope. Where these alone settle what a condition answers, it need not be
//! asked of the spans: `resource.attributes["env"] == "test" and IsRootSpan()` holds for no span of another
//! environment. Operands are gone through in the order in which they are evaluated, because one that fails keeps
//! those after it from being evaluated; one that is not known is passed over only if it cannot fail.

use crate::error::EvalError;
use crate::node::{Frame, Key, Node, Origin, Test};

impl Test {
    /// What it answers for every span of an envelope, if that is known; `frame` has the envelope and nothing else.
    pub(crate) fn known(&self, frame: &Frame<'_>) -> Option<Result<bool, EvalError>> {
        match self {
            Self::Constant(answer) => Some(Ok(*answer)),
            Self::Compare(left, _, right) => {
                (left.is_of_envelope(frame) && right.is_of_envelope(frame)).then(|| self.holds(frame))
            }
            Self::Holds(node) => node.is_of_envelope(frame).then(|| self.holds(frame)),
            Self::Not(test) => test.known(frame).map(|answer| answer.map(|answer| !answer)),
            Self::All(tests) => known(tests, false, frame),
            Self::Any(tests) => known(tests, true, frame),
        }
    }

    /// Whether it has an answer for every span.
    fn never_fails(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Compare(left, _, right) => left.never_fails() && right.never_fails(),
            // One that stands alone is a boolean.
            Self::Holds(node) => node.never_fails(),
            Self::Not(test) => test.never_fails(),
            Self::All(tests) | Self::Any(tests) => tests.iter().all(Self::never_fails),
        }
    }
}

/// What is known of tests of which the first that answers `settling` settles the answer.
fn known(tests: &[Test], settling: bool, frame: &Frame<'_>) -> Option<Result<bool, EvalError>> {
    let mut all_known = true;
    for test in tests {
        match test.known(frame) {
            Some(Ok(answer)) if answer == settling => return Some(Ok(settling)),
            Some(Ok(_)) => {}
            Some(failure) if all_known => return Some(failure),
            None if test.never_fails() => all_known = false,
            Some(Err(_)) | None => return None,
        }
    }
    all_known.then_some(Ok(!settling))
}

impl Node {
    /// Whether its value is that of every span of an envelope.
    fn is_of_envelope(&self, frame: &Frame<'_>) -> bool {
        self.every(&|node| match node {
            Self::Slot(slot, _) => frame.origin(*slot) == Some(Origin::Envelope),
            Self::EventIndex | Self::Now => false,
            _ => true,
        })
    }

    /// Whether it has a value for every span.
    fn never_fails(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Slot(..) | Self::EventIndex | Self::Now)
    }

    /// Whether `test` holds for it and everything that it is made of.
    fn every(&self, test: &impl Fn(&Self) -> bool) -> bool {
        let every = |node: &Self| node.every(test);
        test(self)
            && match self {
                Self::Literal(_) | Self::Slot(..) | Self::EventIndex | Self::Now => true,
                Self::List(nodes) => nodes.iter().all(every),
                Self::Map(entries) => entries.iter().all(|(_, node)| every(node)),
                Self::Index(node, keys, _) => {
                    every(node) && keys.iter().all(|key| !matches!(key, Key::Computed(node) if !every(node)))
                }
                Self::Call(_, nodes) => nodes.iter().flatten().all(every),
                Self::Matches(node, _) | Self::Negate(node) => every(node),
                Self::Arithmetic(first, rest) => every(first) && rest.iter().all(|(_, node)| every(node)),
            }
    }
}
