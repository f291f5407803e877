//! Retroactive sampling: spans wait where they are, evidence travels.
//!
//! An agent keeps the spans of undecided traces in the tail sampler's log and tells a coordinator what they have
//! shown: a [`Piece`](message::Piece) of evidence for each trace. The coordinator is a tail sampler that takes such
//! pieces beside spans, decides with the same policies, and names the traces to keep; agents then let those go and
//! free the rest. What agents ask of spans is a [`Program`](program::Program), which the coordinator's policies are
//! compiled to. Nothing here knows of networks: both ends are state machines that take time as an argument.
//! `docs/retroactive-protocol.md` says what each may rely on.

mod agent;
mod coordination;
mod disk;
mod economy;
pub mod key;
mod load;
pub mod message;
pub mod program;
#[cfg(test)]
mod tests;

pub use agent::{AgentSettings, Counts, RetroactiveAgent};
pub use coordination::{Coordination, CoordinationSettings};
pub use disk::{DiskError, DiskTier};
pub use economy::EvidenceMode;
pub use forebay_membership::Members;
pub use load::FloodError;
