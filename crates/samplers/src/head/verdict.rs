//! The verdict over one span or log record: what chose it, and how it leaves.
//!
//! Three things have a say: the rule; a priority that the item states, which goes before the rule; and
//! `fail_closed`, where the rule cannot be applied.

use forebay_otlp::threshold::Threshold;

use super::rule::{Incoming, Item, Number, Rule, Stamp};

/// What an item was decided by, in the Collector's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A hash of its trace id.
    TraceIdHash,
    /// The random bits of its trace id.
    TraceIdW3c,
    /// The randomness that it came with.
    SamplingRandomness,
    /// The priority that it states.
    SamplingPriority,
    /// Nothing: there is no randomness, or it cannot be read.
    MissingRandomness,
    /// A hash of an attribute; the label is the attribute's name.
    Attribute,
}

/// Items by what they were decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([(u64, u64); Policy::ALL.len()]);

/// What an item asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Drop,
    /// To be kept if it reaches this, whatever the rule.
    Keep(Threshold),
}

/// Why the rule cannot be applied to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What it says of sampling cannot be read, so nothing can be written into it.
    Malformed,
    /// Its randomness does not reach its threshold, which therefore tells nothing.
    Inconsistent(Number),
    /// It has no randomness.
    Missing(Incoming),
}

/// How an item that is kept leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    Stamped(Stamp),
    WithoutThreshold,
    AsItCame,
}

/// What is decided of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) policy: Policy,
    /// `None` if it is dropped.
    pub(super) leaving: Option<Leaving>,
}

impl Rule {
    /// Decides on an item that came with `incoming`, or with something that cannot be read.
    pub(super) fn decide(
        &self,
        item: Item<'_>,
        incoming: Result<Incoming, Fault>,
        priority: Option<Priority>,
        fail_closed: bool,
    ) -> Verdict {
        let found = incoming.and_then(|incoming| self.examine(item, incoming));
        let (number, policy) = match &found {
            Ok((number, _)) | Err(Fault::Inconsistent(number)) => (Some(number), number.policy),
            Err(Fault::Malformed | Fault::Missing(_)) => (None, Policy::MissingRandomness),
        };
        let required = match (priority, &found) {
            (Some(Priority::Drop), _) => None,
            (Some(Priority::Keep(threshold)), _) => Some(threshold),
            (None, &Ok((number, incoming))) => self.threshold(number, incoming),
            (None, Err(_)) => (!fail_closed).then_some(Threshold::ALWAYS),
        };
        // What has no number is random enough for every threshold.
        let reached =
            required.filter(|threshold| number.is_none_or(|number| threshold.keeps(number.randomness)));
        let raised = |incoming: Incoming, threshold: Threshold| {
            incoming.threshold.map_or(threshold, |before| before.max(threshold))
        };
        let leaving = reached.map(|threshold| match found {
            Ok((number, incoming)) => Leaving::Stamped(number.stamp(raised(incoming, threshold))),
            // Kept for certain, whatever it asked for.
            Err(Fault::Missing(incoming)) => {
                Leaving::Stamped(Stamp { threshold: raised(incoming, Threshold::ALWAYS), randomness: None })
            }
            Err(Fault::Inconsistent(_)) => Leaving::WithoutThreshold,
            Err(Fault::Malformed) => Leaving::AsItCame,
        });
        Verdict { policy: priority.map_or(policy, |_| Policy::SamplingPriority), leaving }
    }

    /// The number of an item whose threshold is consistent with it.
    fn examine(&self, item: Item<'_>, incoming: Incoming) -> Result<(Number, Incoming), Fault> {
        let number = self.number(item, incoming).ok_or(Fault::Missing(incoming))?;
        match incoming.threshold {
            Some(threshold) if !threshold.keeps(number.randomness) => Err(Fault::Inconsistent(number)),
            _ => Ok((number, incoming)),
        }
    }
}

impl Policy {
    /// All policies, each in the place of its number.
    pub(super) const ALL: [Self; 6] = [
        Self::TraceIdHash,
        Self::TraceIdW3c,
        Self::SamplingRandomness,
        Self::SamplingPriority,
        Self::MissingRandomness,
        Self::Attribute,
    ];

    /// What metrics call it, where the attribute has this name.
    pub(super) fn label(self, attribute: &str) -> &str {
        match self {
            Self::TraceIdHash => "trace_id_hash",
            Self::TraceIdW3c => "trace_id_w3c",
            Self::SamplingRandomness => "sampling_randomness",
            Self::SamplingPriority => "sampling_priority",
            Self::MissingRandomness => "missing_randomness",
            Self::Attribute => attribute,
        }
    }
}

impl Counts {
    /// Items kept and items dropped by `policy`.
    #[must_use]
    pub const fn of(&self, policy: Policy) -> (u64, u64) {
        self.0[policy as usize]
    }

    pub(super) fn add(&mut self, verdict: &Verdict) {
        let (kept, dropped) = &mut self.0[verdict.policy as usize];
        *if verdict.leaving.is_some() { kept } else { dropped } += 1;
    }
}
