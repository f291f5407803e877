//! The rules that make the protocol safe, by name.

/// A rule, which can be left out of the model. Without any one of them some order of events splits a trace
/// or loses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// An agent says of what it has kept that it has kept it, also to coordinators that come later.
    KeptIsEvidence,
    /// It does so on every new stream, even to the process that it was connected to before: what was on its way has
    /// been lost.
    KeptIsRepeated,
    /// An agent says of what it has dropped and still holds that it is dropped, and that is the verdict of whatever
    /// coordinator reads it.
    DroppedIsEvidence,
    /// What is dropped is freed when that is stable, not before.
    Stability,
    /// To have acknowledged a tick is to know what was decided in it only as far as one's windows are settled.
    SettledIsKnown,
    /// An agent acknowledges nothing on a stream before it has reported on it everything that it holds.
    ReportsBeforeAcknowledging,
    /// Nothing becomes stable while an agent is away.
    StabilityWaits,
    /// Nothing is decided before every agent has attended since the coordinator started.
    Grace,
    /// Nothing is decided while an agent is away again. As long as the list of coordinators stays, no trace is split without
    /// this, but what the agent would have had to say comes late: Forebay does without.
    Patience,
    /// Nothing is decided and nothing becomes stable while the lists of coordinators that agents have told last differ, also
    /// those of agents that are away.
    OneList,
    /// What an agent has said on one stream is forgotten when it opens the next, on which it says everything again. No trace
    /// is split without this, but one that goes to another coordinator and comes back may be judged by a part of it:
    /// Forebay does without.
    StreamsReplace,
    /// A trace that has changed hands is open again for a coordinator that has decided it before, and what its holders
    /// have done goes before that.
    MovedIsOpen,
    /// In economical mode a window is not settled before whatever others have to say of traces in it is decided.
    SilenceWaits,
    /// While an agent is away nobody is silent, and everybody says what they have been silent about.
    SilenceBreaks,
    /// In economical mode a coordinator says on every new stream what it has decided to keep.
    KeptIsRetold,
    /// What an agent has acknowledged survives with its spans.
    DropsAreDurable,
}
