//! How long traces waited for their decision, and why no longer.

/// Why a trace is decided when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has waited long enough.
    Due,
    /// Nothing that is still to come can change the decision, or none is waited for.
    Certain,
    /// It has as many spans or bytes as a trace may have.
    Size,
    /// There is no room for it to wait longer.
    Room,
    /// The process is about to end.
    Shutdown,
}

/// Traces that have been decided, since somebody last asked.
#[derive(Debug, Default)]
pub(crate) struct Waits(Vec<Wait>);

/// Some of them, decided one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) reason: Reason,
    /// How long they had waited.
    pub(crate) seconds: u32,
    pub(crate) traces: u32,
}

impl Reason {
    pub(crate) const ALL: [Self; 5] = [Self::Due, Self::Certain, Self::Size, Self::Room, Self::Shutdown];

    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Certain => "certain",
            Self::Size => "size",
            Self::Room => "room",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Waits {
    /// Counts a trace. All that come due in a tick have waited equally long and take one entry.
    pub(crate) fn add(&mut self, reason: Reason, seconds: u32) {
        match self.0.last_mut() {
            Some(last) if last.reason == reason && last.seconds == seconds => last.traces += 1,
            _ => self.0.push(Wait { reason, seconds, traces: 1 }),
        }
    }

    /// Forgets them.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Wait> {
        self.0.drain(..)
    }
}
