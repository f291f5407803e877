//! What sampling strategies cost and what they keep.
//!
//! A *workload* ([`Workload`]) is traffic, recorded ([`input`]) or made up ([`generate`]), with what is known of its
//! traces ([`Population`]), labels of anomalies among it. A *strategy* ([`Strategy`]) is a set of Forebay
//! configurations, of agents beside the services and of a gateway behind them. [`simulate`] sends the workload through
//! the real samplers in virtual time, once a seed, and every seed gives all traces new ids, so that what is random
//! about sampling varies and nothing else does. What comes out is judged by [`quality`] and [`cost`], a list of
//! metrics that each say their formula and its source; [`run`] compares strategies, [`results`] is what is written
//! down, and [`report`] shows it. [`live`] runs real processes instead.

pub mod assert;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod cost;
pub mod generate;
pub mod input;
pub mod live;
pub mod machine;
mod metric;
mod oddities;
mod placement;
mod population;
pub mod quality;
mod random;
pub mod record;
pub mod report;
pub mod results;
pub mod run;
pub mod simulate;
pub mod statistics;
mod strategy;
pub mod tune;
mod workload;

pub use metric::{Better, Metric, Unit};
pub use oddities::Oddities;
pub use placement::Placement;
pub use population::{Population, PopulationBuilder, SpanFact, Trace};
pub use strategy::{FAMILIES, Family, Knob, Strategy, Traffic, builtin, sweep};
pub use workload::{Request, Workload, WorkloadBuilder};
