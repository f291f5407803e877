//! Which peers there are, and which of them a trace belongs to.
//!
//! Agents of retroactive sampling and the exporter `loadbalancing` share out traces among processes that they know
//! by a list or by a name ([`Membership`]). Everybody who knows the same list gives a trace to the same peer
//! ([`Members`]), so nobody has to ask.

mod members;
mod name;

pub use members::Members;
pub use name::{Membership, NameConfig};
