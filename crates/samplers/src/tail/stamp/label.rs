//! What is recorded of a decision by rules beside the rule.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::tail::waits::Reason;

/// Why a trace was decided, and what kind of trace it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    pub(crate) trigger: Trigger,
    /// As it is recorded, if it is.
    pub(crate) fingerprint: Option<String>,
}

/// What has triggered a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trigger {
    Root,
    Timeout,
    Size,
    Room,
    Shutdown,
}

/// Labels, numbered, so that a remembered decision has room for one. Fingerprints of which there is no end are
/// recorded as long as there is room.
#[derive(Debug)]
pub(crate) struct Labels {
    labels: Vec<Label>,
    numbers: HashMap<Label, u16, RandomState>,
    /// Bytes of fingerprints.
    bytes: usize,
}

/// What fingerprints may take.
const BYTES_MAX: usize = 1 << 20;

impl Trigger {
    pub(crate) const ALL: [Self; 5] = [Self::Root, Self::Timeout, Self::Size, Self::Room, Self::Shutdown];

    /// Of a trace that is decided for this reason, and has a root or has none.
    pub(crate) const fn of(reason: Reason, root: bool) -> Self {
        match reason {
            Reason::Due | Reason::Certain if root => Self::Root,
            Reason::Due | Reason::Certain => Self::Timeout,
            Reason::Size => Self::Size,
            Reason::Room => Self::Room,
            Reason::Shutdown => Self::Shutdown,
        }
    }

    /// As upstream calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Root => "root_span",
            Self::Timeout => "trace_timeout",
            Self::Size => "span_limit",
            Self::Room => "eviction",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        let mut labels = Self { labels: Vec::new(), numbers: HashMap::default(), bytes: 0 };
        for trigger in Trigger::ALL {
            labels.number(Label { trigger, fingerprint: None });
        }
        labels
    }
}

impl Labels {
    /// The number of a label; of one for which there is no room, that of the one without its fingerprint.
    pub(crate) fn number(&mut self, label: Label) -> Option<u16> {
        if let Some(&number) = self.numbers.get(&label) {
            return Some(number);
        }
        let bytes = self.bytes + label.fingerprint.as_ref().map_or(0, String::len);
        // The last number stands for none.
        let number = u16::try_from(self.labels.len()).ok().filter(|&number| number < u16::MAX);
        let Some(number) = number.filter(|_| bytes <= BYTES_MAX) else {
            return self.numbers.get(&Label { fingerprint: None, ..label }).copied();
        };
        self.bytes = bytes;
        self.labels.push(label.clone());
        self.numbers.insert(label, number);
        Some(number)
    }

    pub(crate) fn get(&self, number: u16) -> Option<&Label> {
        self.labels.get(usize::from(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(fingerprint: &str) -> Label {
        Label { trigger: Trigger::Root, fingerprint: Some(fingerprint.to_owned()) }
    }

    #[test]
    fn equal_labels_have_one_number_and_a_flood_of_fingerprints_is_not_recorded() {
        let mut labels = Labels::default();
        let first = labels.number(label("a")).unwrap();
        assert_eq!(labels.number(label("a")), Some(first));
        assert_eq!(labels.get(first), Some(&label("a")));
        let long = "x".repeat(BYTES_MAX);
        let without = labels.number(label(&long)).unwrap();
        assert_eq!(labels.get(without), Some(&Label { fingerprint: None, ..label("") }));
        for number in 0..70_000 {
            assert!(labels.number(label(&number.to_string())).is_some());
        }
        assert_eq!(labels.number(label("one more")), Some(without));
    }
}
