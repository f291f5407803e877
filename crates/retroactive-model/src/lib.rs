//! The protocol of retroactive sampling (`docs/retroactive-protocol.md`) as a state machine that is small enough for a
//! model checker to visit every state it can get into: two agents with a piece of each trace, one or two coordinators,
//! and a bounded number of faults at any moment.
//!
//! The model has no clock. Where the protocol relies on time it says so as a condition on what may happen next:
//!
//! - *Punctuality.* Evidence that an agent reports while it is connected arrives before the trace is decided
//!   (`decision_wait` is longer than a window and the way). What comes later is late in the tail sampler too.
//! - *Attendance.* Whoever is alive is back, with the newest list, before a coordinator stops waiting for him: pauses
//!   between attempts are shorter than the grace of a coordinator that starts, and absences than the horizon.
//!
//! Messages take no time, and that loses no behaviour. One that is lost is lost with its stream, after which both ends
//! have forgotten what they remembered of the stream, as if it had not been sent. One that is late could as well have been
//! sent later, since agents hear of each other only through coordinators; only what it acknowledges may be out of date,
//! so reports may leave out to acknowledge. One that comes twice comes the second time at any moment later.
//!
//! Each [`Rule`] of the protocol can be left out, to see that it is needed and that the checker would notice.
//!
//! What the model leaves out: growth of evidence after its first report (and with it that nobody decides on what has
//! grown elsewhere: traces that have moved on, agents that are all away), more than two agents, bounds, programs, and absence
//! beyond the horizon.

mod agent;
mod coordinator;
mod invariants;
mod model;
mod policy;
mod rule;
mod state;
mod stream;

pub use agent::{Agent, Fate};
pub use coordinator::{Coordinator, Stray, Verdict};
pub use model::{Action, Protocol};
pub use policy::Policy;
pub use rule::Rule;
pub use state::{Faults, State};
pub use stream::{Decisions, Known, Stream};

/// How many agents there are. Each has a piece of every trace.
pub const AGENTS: usize = 2;
/// How many coordinators there may be.
pub const COORDINATORS: usize = 2;
