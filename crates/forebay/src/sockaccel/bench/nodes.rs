//! Connections that leave their network namespace, or come back into it through a proxy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::arena::Arena;
use super::namespace::Namespace;
use super::report::{Table, median};
use super::traffic::{self, Cpus, Placement, Stream, join, ping};
use super::transport::{End, Pair, Transport};
use super::{SIZES, report, take_turns};
use crate::components::StartError;

/// Of the application's server, the proxy that its connections are redirected to, and what is behind that.
struct Leg {
    server: u16,
    proxy: u16,
    behind: u16,
}

const PLAIN: Leg = Leg { server: 4317, proxy: 15_001, behind: 4318 };
const ACCELERATED: Leg = Leg { server: 5317, proxy: 16_001, behind: 5318 };
/// One span.
const MESSAGE: usize = 512;
const TRIPS: usize = 2000;
/// Of the two nodes.
const PORT: u16 = 4317;
const NEAR: &str = "198.18.0.1";
const FAR: &str = "198.18.0.2";

/// A round trip through a proxy that the kernel redirects connections to, as a service mesh does.
pub(super) fn mesh_leg(arena: &Arena, rounds: usize) -> Result<Table, StartError> {
    let mut namespace = Namespace::new()?;
    let rules: String = [PLAIN, ACCELERATED]
        .map(|leg| format!("tcp dport {} redirect to :{}; ", leg.server, leg.proxy))
        .concat();
    let chain = format!("chain output {{ type nat hook output priority -100; {rules} }};");
    namespace.run(&format!("nft 'table ip mesh {{ {chain} }}'"))?;
    let _accelerated = arena.accelerate([ACCELERATED.server, ACCELERATED.behind], &[ACCELERATED.proxy])?;
    let samples = thread::scope(|scope| {
        join(scope.spawn(|| {
            namespace.enter()?;
            take_turns(rounds, &Transport::TCP, |transport| {
                let leg = if transport == Transport::Tcp { PLAIN } else { ACCELERATED };
                Ok(leg.round_trip()?)
            })
            .map_err(io::Error::other)
        }))
    })?;
    let mut table = Table::new("Round trip through a proxy by REDIRECT (both legs), median", "µs");
    table.row(&report::bytes(MESSAGE), samples);
    Ok(table)
}

impl Leg {
    /// The median time of a message through the proxy and back, in microseconds. The proxy has a CPU of its own: where
    /// the scheduler puts three threads would differ from one round to the next.
    fn round_trip(&self) -> io::Result<f64> {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listen = |port| TcpListener::bind(local(port));
        let (proxy, behind) = (listen(self.proxy)?, listen(self.behind)?);
        let outer = Pair::to(&proxy, local(self.server))?;
        let inner = Pair::through(&behind)?;
        outer.set_nodelay(true)?;
        inner.set_nodelay(true)?;
        let (mut client, mut from) = (outer.client, outer.server);
        let (mut to, mut server) = (inner.client, inner.server);
        let (here, there) = Cpus::allowed()?.of(Placement::TwoCpus);
        thread::scope(|scope| {
            let forward = scope.spawn(move || {
                there.pin()?;
                let mut message = [0; MESSAGE];
                for _ in 0..TRIPS {
                    from.read_exact(&mut message)?;
                    to.write_all(&message)?;
                    to.read_exact(&mut message)?;
                    from.write_all(&message)?;
                }
                io::Result::Ok(())
            });
            let echo = scope.spawn(move || {
                here.pin()?;
                let mut message = [0; MESSAGE];
                for _ in 0..TRIPS {
                    server.read_exact(&mut message)?;
                    server.write_all(&message)?;
                }
                io::Result::Ok(())
            });
            here.pin()?;
            let times = ping(&mut client, MESSAGE, TRIPS)?;
            join(forward)?;
            join(echo)?;
            Ok(median(times))
        })
    }
}

/// Two network namespaces with a cable between them.
pub(super) struct Nodes {
    near: Namespace,
    /// The far one's.
    listener: TcpListener,
    _far: Namespace,
}

impl Nodes {
    /// Makes them. What listens in the far one belongs to the cgroup in which this process is now.
    ///
    /// # Errors
    /// When that is not allowed, or `unshare` and `ip` are not installed.
    pub(super) fn new() -> Result<Self, StartError> {
        let (mut near, mut far) = (Namespace::new()?, Namespace::new()?);
        near.run(&format!("ip link add near type veth peer name far netns {}", far.process()))?;
        near.run(&format!("ip addr add {NEAR}/30 dev near && ip link set near up"))?;
        far.run(&format!("ip addr add {FAR}/30 dev far && ip link set far up"))?;
        let listener = thread::scope(|scope| {
            join(scope.spawn(|| {
                far.enter()?;
                TcpListener::bind((FAR, PORT))
            }))
        })?;
        Ok(Self { near, listener, _far: far })
    }

    /// Throughput to a peer that is out of the accelerator's reach, without and with one.
    pub(super) fn throughput(&self, arena: &Arena, rounds: usize) -> Result<Table, StartError> {
        let mut table = Table::new("Throughput to another node (nothing can be redirected)", "MB/s");
        for size in SIZES {
            let samples = take_turns(rounds, &Transport::TCP, |transport| {
                let accelerate = || arena.accelerate([PORT], &[]);
                let _accelerated = (transport == Transport::Redirected).then(accelerate).transpose()?;
                self.send(size)
            })?;
            table.row(&report::bytes(size), samples);
        }
        Ok(table)
    }

    fn send(&self, size: usize) -> Result<f64, StartError> {
        let client = thread::scope(|scope| {
            join(scope.spawn(|| {
                self.near.enter()?;
                TcpStream::connect((FAR, PORT))
            }))
        })?;
        let pair = Pair { client: End::Tcp(client), server: End::Tcp(self.listener.accept()?.0) };
        Ok(traffic::stream(pair, size, Stream::NoDelay, Placement::TwoCpus)?.megabytes_per_second())
    }
}
