//! Forebay held against the OpenTelemetry Collector, trace by trace.
//!
//! A case ([`case`]) is a few processors in the Collector's YAML. All cases see the same [`traffic`], and what
//! comes out of one is an [`outcome`]: the fate of every trace. What the Collector did is kept as a
//! [`golden`] file, so that a test can hold Forebay's processors against it without a Collector; `conformance` runs both systems as processes ([`live`]) and writes those files. [`judge`] says what
//! has to be equal, and where Forebay differs on purpose what it has to do instead. See `README.md`.

pub mod case;
pub mod golden;
pub mod judge;
pub mod live;
pub mod outcome;
pub mod traffic;

/// What went wrong outside of what is compared.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
