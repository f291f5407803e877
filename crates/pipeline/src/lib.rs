//! What flows between Forebay's components, and what they all share.
//!
//! A [`Batch`] is one OTLP export request as bytes. A [`Consumer`] takes batches: a sampler, a queue,
//! an exporter. A consumer that cannot take one answers with a [`Refusal`], which travels back to the
//! client that sent it. Whatever waits anywhere holds a [`Charge`] on the process-wide [`Budget`], and
//! every stage keeps a [`Ledger`] in which *in = out + buffered + Σ dropped by reason*.

mod batch;
mod budget;
mod consumer;
pub mod hash;
mod ledger;
mod outbox;
mod outlet;
mod throttle;

pub use batch::Batch;
pub use budget::{Budget, Charge, OverBudget};
pub use consumer::{BoxFuture, Consumer, FanOut, Refusal};
pub use forebay_otlp::Signal;
pub use ledger::{Ledger, Telemetry};
pub use outbox::Outbox;
pub use outlet::{Outlet, until_stopped};
pub use throttle::Throttle;
