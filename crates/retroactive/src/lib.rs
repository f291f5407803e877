//! The wire between agents and coordinators of retroactive sampling.
//!
//! Agents and coordinators are state machines ([`forebay_samplers::retroactive`]) that know of each other's messages
//! and not of networks. Here is the network: what messages look like as bytes ([`wire`]), an agent's connection to
//! a coordinator ([`Session`]), a coordinator's connections to agents ([`Coordinator`]), and which coordinators there
//! are ([`MembersConfig`]); [`Loopback`] does without. `docs/retroactive-protocol.md` has the rules.
//!
//! Both ends are channels. An agent hears ([`Heard`]) that it is connected, which gives it the sender of that
//! connection's reports, then a program and decisions, and at last that it is not connected any more. A coordinator
//! sees agents come, report and go ([`Attendance`]); who comes leaves an [`AgentHandle`] to answer by.
//!
//! Every channel is bounded, and so is what a peer may send: its messages' size, what they unfold to, how many
//! come in a second and how many windows are open. A peer that breaks a bound is named in the log and cut off; one
//! that does not read what it is sent is cut off after a while. What is read and not yet processed is charged to
//! the process's budget, so a slow engine is felt by agents as a stream that does not move.

mod config;
mod coordinator;
mod handshake;
mod loopback;
mod membership;
mod processor;
mod server;
mod session;
#[cfg(test)]
mod tests;
pub mod wire;

pub use config::{RetroactiveConfig, StorageConfig};
pub use coordinator::{CoordinatorExtension, CoordinatorLink, LinkError};
pub use handshake::{AgentId, CoordinatorId, Hello, METHOD, VERSIONS, Welcome};
pub use loopback::{Direction, Loopback, Wiretap};
pub use membership::{Member, MembersConfig, Reach};
pub use processor::{Grant, RetroactiveProcessor};
pub use server::{AgentHandle, AgentNumber, Attendance, Coordinator, CoordinatorConfig, FullError, What};
pub use session::{Event, Heard, Identity, Session};
