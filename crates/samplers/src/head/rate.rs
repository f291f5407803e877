//! `rate_limiting_sampler`: as many spans or traces a second as a limit allows, chosen by randomness.
//!
//! A limiter that lets pass what comes first keeps other traces in every process, and of what it keeps nothing can
//! be estimated. This one chooses by the trace's randomness like every other stage: all agents with the same limit
//! and load keep the same traces, of agents with different ones the stricter keeps a part of what the other keeps,
//! and each kept span carries the threshold that it has really passed. What a limit means as a threshold follows
//! from the traffic; see [`controller`]. Nothing waits: a span is decided when it comes.

mod config;
mod controller;
mod sampler;

pub use config::RateConfig;
pub use controller::Limit;
pub use sampler::RateSampler;
