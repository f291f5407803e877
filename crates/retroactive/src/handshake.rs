//! Who talks to whom, and in which version.

use forebay_samplers::retroactive::program::ProgramId;

/// The one method of the service.
pub const METHOD: &str = "/forebay.retroactive.v1.Coordination/Attend";
/// The versions of the protocol that are spoken here.
pub const VERSIONS: &[u32] = &[1];

/// An agent: the same after a restart only if its spans have survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AgentId(pub [u8; 16]);

/// A coordinator's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoordinatorId(pub [u8; 16]);

/// An agent's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The versions that it speaks.
    pub versions: Vec<u32>,
    /// Who it is.
    pub agent: AgentId,
    /// What it is called in logs and metrics.
    pub name: String,
    /// The program that it knows.
    pub program: Option<ProgramId>,
}

/// A coordinator's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version to speak.
    pub version: u32,
    /// Who it is.
    pub coordinator: CoordinatorId,
}
