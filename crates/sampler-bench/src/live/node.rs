//! A process of a fleet, which can be killed and started again, and what it has taken.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::proc::{cpu_time, memory};
use super::process::{Process, pinned};
use super::{Component, Error};

/// A process that can be started again.
pub(super) struct Node {
    name: String,
    core: usize,
    program: PathBuf,
    arguments: Vec<OsString>,
    listen: SocketAddr,
    process: Option<Process>,
    /// CPU time before the run began, and that of processes that have been killed.
    before: Duration,
    killed: Duration,
    /// Resident memory, as often as it was looked at.
    resident: Vec<u64>,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Node {
    /// Starts `program` on `core`, and waits until it listens.
    pub(super) fn start(
        name: &str,
        core: usize,
        (program, arguments): (PathBuf, Vec<OsString>),
        listen: SocketAddr,
    ) -> Result<Self, Error> {
        let mut node = Self {
            name: name.to_owned(),
            core,
            program,
            arguments,
            listen,
            process: None,
            before: Duration::ZERO,
            killed: Duration::ZERO,
            resident: Vec::new(),
        };
        node.launch()?;
        Ok(node)
    }

    /// Starts the process, and waits until it listens.
    pub(super) fn launch(&mut self) -> Result<(), Error> {
        let mut command = pinned(self.core, &self.program);
        // Go 1.25 and later sees the affinity by itself, older ones start a thread per core.
        command.env("GOMAXPROCS", "1").args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::start(&self.name, &mut command)?;
        process.wait_until(PATIENCE, || TcpStream::connect(self.listen).is_ok())?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills the process at once.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        if let Some(process) = self.process.take() {
            self.killed += cpu_time(process.id())?;
        }
        Ok(())
    }

    /// Asks the process to end, and waits for that.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        if let Some(process) = self.process.take() {
            // What it holds comes through proxies of this thread.
            spawn_blocking(move || process.terminate(PATIENCE)).await??;
        }
        Ok(())
    }

    /// Begins to count.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        self.before = self.spent()?;
        Ok(())
    }

    /// Looks at its memory.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        if let Some(process) = &self.process {
            self.resident.push(memory(process.id())?.resident);
        }
        Ok(())
    }

    /// CPU time so far.
    fn spent(&self) -> Result<Duration, Error> {
        let running = self.process.as_ref().map(|process| cpu_time(process.id())).transpose()?;
        Ok(self.killed + running.unwrap_or_default())
    }

    fn mean_resident(&self) -> u64 {
        self.resident.iter().sum::<u64>() / self.resident.len().max(1) as u64
    }
}

impl Component {
    /// What the tier of these nodes took while services sent so many spans.
    pub(super) fn of(name: &str, nodes: &[Node], spans: u64) -> Result<Self, Error> {
        let (mut cpu, mut peak) = (Duration::ZERO, 0);
        for node in nodes {
            cpu += node.spent()?.saturating_sub(node.before);
            if let Some(process) = &node.process {
                // The kernel's own mark may lag behind what was seen.
                let seen = node.resident.iter().max().copied().unwrap_or(0);
                peak += memory(process.id())?.peak.max(seen);
            }
        }
        Ok(Self {
            name: name.to_owned(),
            processes: nodes.len(),
            cpu_ns_per_span: cpu.as_nanos() as f64 / spans.max(1) as f64,
            peak_rss: peak,
            mean_rss: nodes.iter().map(Node::mean_resident).sum(),
        })
    }
}
