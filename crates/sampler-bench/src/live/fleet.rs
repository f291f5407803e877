//! A strategy as processes, with a counting proxy on every link between them.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use forebay::embedded::Program;
use forebay::hop::Hop;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::overlay::{Compression, Connections};
use super::proc::{cpu_time, memory};
use super::process::{Process, free_addresses, pinned};
use super::{Component, Error};
use crate::simulate::HopCounts;
use crate::{Strategy, Workload};

/// What runs the configurations, and where.
#[derive(Clone, Debug)]
pub struct System {
    /// What it is called in reports.
    pub name: String,
    /// The executable, which takes a Collector's `--config`.
    pub program: PathBuf,
    /// The core of agents.
    pub agent_core: usize,
    /// The core of the gateway.
    pub gateway_core: usize,
    /// How what they send is compressed.
    pub compression: Compression,
}

/// The processes of a strategy, and the links between them.
pub(super) struct Fleet {
    pub(super) agents: Vec<Node>,
    pub(super) gateway: Option<Node>,
    /// From the services to the store.
    links: Vec<Link>,
    /// For each service instance, where it sends to.
    pub(super) entries: Vec<SocketAddr>,
    _files: TempDir,
}

/// A process that can be started again.
pub(super) struct Node {
    name: String,
    program: PathBuf,
    core: usize,
    arguments: Vec<OsString>,
    listen: SocketAddr,
    process: Option<Process>,
    /// CPU time before the run began, and that of processes that have been killed.
    before: Duration,
    killed: Duration,
}

/// A proxy, or one of those between two tiers.
struct Link {
    /// What goes towards the target.
    up: &'static str,
    /// What comes back, if that is worth counting.
    down: Option<&'static str>,
    leaves_hosts: bool,
    hop: Hop,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Fleet {
    /// Starts all processes of `strategy`, whose store is at `store`.
    pub(super) async fn start(
        strategy: &Strategy,
        system: &System,
        workload: &Workload,
        store: SocketAddr,
    ) -> Result<Self, Error> {
        let files = tempfile::tempdir()?;
        let mut links = Vec::new();
        let (mut gateway, mut coordinator) = (None, None);
        // Where agents send what they keep.
        let (mut out, mut out_name) = (store, "agents to store");
        if let Some(program) = &strategy.gateway {
            let [listen, evidence] = free_addresses()?;
            let to_store = Link::new("gateway to store", strategy.agent.is_none(), store).await?;
            let connections = Connections {
                listen,
                out: to_store.hop.address(),
                coordinator: evidence,
                compression: system.compression,
            };
            if strategy.agent.is_some() && !program.outline().coordinators.is_empty() {
                coordinator = Some(evidence);
            } else {
                (out, out_name) = (listen, "agents to gateway");
            }
            gateway = Some(Node::start(system, "gateway", program, &connections, files.path())?);
            if coordinator.is_none() {
                links.push(Link { leaves_hosts: false, ..to_store });
            }
        }
        let mut entries = Vec::new();
        let mut agents = Vec::new();
        if let Some(program) = &strategy.agent {
            let to_out = Link::new(out_name, true, out).await?;
            let to_coordinator = match coordinator {
                Some(address) => {
                    let link = Link::new("agents to coordinator", true, address).await?;
                    Some(Link { down: Some("coordinator to agents"), ..link })
                }
                None => None,
            };
            let placed = strategy.placement.agents(workload);
            let mut to_agents = Vec::new();
            for number in 0..placed.iter().max().map_or(0, |last| last + 1) {
                let [listen] = free_addresses()?;
                let connections = Connections {
                    listen,
                    out: to_out.hop.address(),
                    coordinator: to_coordinator.as_ref().map_or(store, |link| link.hop.address()),
                    compression: system.compression,
                };
                let name = format!("agent-{number}");
                agents.push(Node::start(system, &name, program, &connections, files.path())?);
                to_agents.push(Link::new("services to agents", false, listen).await?);
            }
            entries.extend(placed.iter().map(|&agent| to_agents[agent as usize].hop.address()));
            links.splice(..0, to_agents.into_iter().chain(to_coordinator).chain([to_out]));
        } else {
            let link = Link::new("services to gateway", true, out).await?;
            entries.resize(workload.services.len(), link.hop.address());
            links.insert(0, link);
        }
        Ok(Self { agents, gateway, links, entries, _files: files })
    }

    /// Whether the gateway decides for agents.
    pub(super) fn coordinates(&self) -> bool {
        self.links.iter().any(|link| link.down.is_some())
    }

    /// Begins to count.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        for link in &self.links {
            let _of_the_start = link.hop.take();
        }
        self.agents.iter_mut().chain(&mut self.gateway).try_for_each(|node| {
            node.before = node.spent()?;
            Ok(())
        })
    }

    /// Cuts what leaves the services' hosts, or mends it.
    pub(super) fn set_cut(&self, cut: bool) {
        self.links.iter().filter(|link| link.leaves_hosts).for_each(|link| link.hop.set_cut(cut));
    }

    /// What has gone over each link since it was last asked for.
    pub(super) fn hops(&self) -> Vec<HopCounts> {
        let mut hops: Vec<HopCounts> = Vec::new();
        let mut add = |name: &str, bytes| match hops.iter_mut().find(|hop| hop.name == name) {
            Some(hop) => hop.bytes += bytes,
            None => hops.push(HopCounts { name: name.to_owned(), bytes, ..HopCounts::default() }),
        };
        for link in &self.links {
            let (up, down) = link.hop.take();
            add(link.up, up);
            if let Some(name) = link.down {
                add(name, down);
            }
        }
        hops
    }

    /// What each tier has spent.
    pub(super) fn components(&self, spans: u64) -> Result<Vec<Component>, Error> {
        let tiers = [("agents", &self.agents[..]), ("gateway", self.gateway.as_slice())];
        let tiers = tiers.into_iter().filter(|(_, nodes)| !nodes.is_empty());
        tiers.map(|(name, nodes)| Component::of(name, nodes, spans)).collect()
    }

    /// Stops all processes, from the services to the store.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        for node in self.agents.iter_mut().chain(&mut self.gateway) {
            if let Some(process) = node.process.take() {
                // What it holds comes through proxies of this thread.
                spawn_blocking(move || process.terminate(PATIENCE)).await??;
            }
        }
        Ok(())
    }
}

impl Link {
    async fn new(up: &'static str, leaves_hosts: bool, target: SocketAddr) -> Result<Self, Error> {
        Ok(Self { up, down: None, leaves_hosts, hop: Hop::to(target).await? })
    }
}

impl Component {
    fn of(name: &str, nodes: &[Node], spans: u64) -> Result<Self, Error> {
        let (mut cpu, mut peak) = (Duration::ZERO, 0);
        for node in nodes {
            cpu += node.spent()?.saturating_sub(node.before);
            if let Some(process) = &node.process {
                peak += memory(process.id())?.peak;
            }
        }
        Ok(Self {
            name: name.to_owned(),
            processes: nodes.len(),
            cpu_ns_per_span: cpu.as_nanos() as f64 / spans.max(1) as f64,
            peak_rss: peak,
        })
    }
}

impl Node {
    fn start(
        system: &System,
        name: &str,
        program: &Program,
        connections: &Connections,
        files: &Path,
    ) -> Result<Self, Error> {
        let config = files.join(name).with_extension("yaml");
        std::fs::write(&config, program.yaml())?;
        let over = format!("--config=yaml:{}", connections.over(&program.outline()));
        let mut node = Self {
            name: name.to_owned(),
            program: system.program.clone(),
            core: if name == "gateway" { system.gateway_core } else { system.agent_core },
            arguments: vec!["--config".into(), config.into(), over.into()],
            listen: connections.listen,
            process: None,
            before: Duration::ZERO,
            killed: Duration::ZERO,
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

    /// CPU time so far.
    fn spent(&self) -> Result<Duration, Error> {
        let running = self.process.as_ref().map(|process| cpu_time(process.id())).transpose()?;
        Ok(self.killed + running.unwrap_or_default())
    }
}
