//! TCP between two sockets of one kernel without the TCP stack.
//!
//! An application and the agent beside it, an agent and its gateway on the same node, an application and its mesh
//! proxy: their bytes need not become segments, be acknowledged and be put together again. Three BPF programs
//! notice when both ends of a connection are in reach, and from then on put what one sends straight into the
//! other's receive queue. Neither program knows; whatever does not fit stays TCP.
//!
//! ```no_run
//! use std::path::Path;
//! use sockaccel_bpf::{Accelerator, Options};
//!
//! let options = Options { ports: vec![4317, 4318], ..Options::default() };
//! let accelerator = Accelerator::attach(Path::new("/sys/fs/cgroup/kubepods.slice"), &options)?;
//! println!("{:?}", accelerator.stats()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the programs do, and why it is in order, complete and bounded, stands in `bpf/sockaccel.bpf.c`; how to
//! operate it in `docs/sockaccel.md`. Attaching proves on a connection of its own that this kernel really does what
//! is needed ([`self_test()`]), because version numbers do not tell: distributions carry fixes back.

mod accelerator;
pub mod cgroup;
mod options;
mod programs;
pub mod requirements;
mod self_test;
mod stats;

pub use accelerator::{Accelerator, AttachError};
pub use options::Options;
pub use programs::ProgramsError;
pub use self_test::{SelfTestError, self_test};
pub use stats::{Counter, Stats};
