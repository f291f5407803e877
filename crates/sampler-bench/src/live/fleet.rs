//! A strategy as processes, with a counting proxy on every link between them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use forebay::embedded::Program;
use forebay::hop::Hop;
use tempfile::TempDir;

use super::node::Node;
use super::overlay::{Compression, Connections};
use super::process::free_addresses;
use super::{Component, Error, Peer};
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
    _files: Option<TempDir>,
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
            gateway = Some(system.start("gateway", program, &connections, files.path())?);
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
                agents.push(system.start(&name, program, &connections, files.path())?);
                to_agents.push(Link::new("services to agents", false, listen).await?);
            }
            entries.extend(placed.iter().map(|&agent| to_agents[agent as usize].hop.address()));
            links.splice(..0, to_agents.into_iter().chain(to_coordinator).chain([to_out]));
        } else {
            let link = Link::new("services to gateway", true, out).await?;
            entries.resize(workload.services.len(), link.hop.address());
            links.insert(0, link);
        }
        Ok(Self { agents, gateway, links, entries, _files: Some(files) })
    }

    /// Starts `peer` on `core`, in the place of a gateway whose store is at `store`.
    pub(super) async fn of_peer(
        peer: &Peer,
        core: usize,
        workload: &Workload,
        store: SocketAddr,
    ) -> Result<Self, Error> {
        let [listen] = free_addresses()?;
        let to_store = Link::new("gateway to store", false, store).await?;
        let gateway = Node::start(&peer.name, core, peer.command(listen, to_store.hop.address())?, listen)?;
        let to_peer = Link::new("services to gateway", true, listen).await?;
        let entries = vec![to_peer.hop.address(); workload.services.len()];
        let links = vec![to_peer, to_store];
        Ok(Self { agents: Vec::new(), gateway: Some(gateway), links, entries, _files: None })
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
        self.nodes().try_for_each(Node::begin)
    }

    /// Looks at the memory of all processes.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        self.nodes().try_for_each(Node::look)
    }

    fn nodes(&mut self) -> impl Iterator<Item = &mut Node> {
        self.agents.iter_mut().chain(&mut self.gateway)
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
        for node in self.nodes() {
            node.stop().await?;
        }
        Ok(())
    }
}

impl System {
    /// Starts a process that runs `program`.
    fn start(
        &self,
        name: &str,
        program: &Program,
        connections: &Connections,
        files: &Path,
    ) -> Result<Node, Error> {
        let config = files.join(name).with_extension("yaml");
        std::fs::write(&config, program.yaml())?;
        let over = format!("--config=yaml:{}", connections.over(&program.outline()));
        let core = if name == "gateway" { self.gateway_core } else { self.agent_core };
        let arguments = vec!["--config".into(), config.into(), over.into()];
        Node::start(name, core, (self.program.clone(), arguments), connections.listen)
    }
}

impl Link {
    async fn new(up: &'static str, leaves_hosts: bool, target: SocketAddr) -> Result<Self, Error> {
        Ok(Self { up, down: None, leaves_hosts, hop: Hop::to(target).await? })
    }
}
