//! Telling SDKs what to sample: Jaeger's remote sampling.
//!
//! Clients that have a remote sampler ask once a minute, over HTTP or gRPC, how they should sample the traces
//! that they begin. [`RemoteSampling`] answers, with what one of four sources knows: a strategies file
//! ([`Strategies`]), the same at a URL, another sampling server, or the traffic itself ([`Adaptive`]), of which
//! the processor `adaptive_sampling` sees what passes.
//!
//! An answer is encoded once, when the strategy becomes known, and a request costs a look-up. Whoever asks leaves
//! nothing behind that grows without bound.

mod adaptive;
mod config;
mod extension;
mod service;
mod source;
mod strategies;
mod strategy;
#[cfg(test)]
mod tests;
pub mod wire;

pub use adaptive::{Adaptive, AdaptiveConfig, AdaptiveProcessor, AdaptiveProcessorConfig};
pub use config::RemoteSamplingConfig;
pub use extension::{RemoteSampling, StartError};
pub use strategies::Strategies;
pub use strategy::{Encoded, Operations, Sampling, Strategy};
