//! `forebay demo --retroactive`: the same traces, forwarded whole, and sampled retroactively by a fleet.
//!
//! One coordinator and five agents run as processes. Each agent gets the spans of a fifth of the recording's services, so
//! traces lie in pieces. Beside them the same spans are forwarded to a tail sampler, compressed, as agents would that
//! decide nothing; bytes are counted on every hop.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_otlp::attribute::{AnyValue, Attribute, resource_attribute_messages};
use forebay_otlp::{Signal, SpanPiece, Splicer, TraceId};
use forebay_pipeline::{Batch, Consumer};
use forebay_samplers::tail::LearnedRates;
use rustix::process::{Pid, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backend::{Backend, KeptTrace};
use super::{PROGRESS, REPLAY, SETTLE, read_config, recording, say, send, with_ports};
use crate::components::StartError;
use crate::hop::Hop;
use crate::logging;
use crate::ports;
use crate::service::Service;

const AGENTS: usize = 5;
/// A coordinator decides nothing before: agents that knew another one may still come back.
const GRACE: Duration = Duration::from_secs(9);
/// After the replay, until everything is decided.
const WAIT: Duration = Duration::from_secs(5);
/// How long a process may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent's process, and its hops.
struct Agent {
    process: Child,
    client: Arc<dyn Consumer>,
    /// To the coordinator, to the backend, and of one that would forward to a gateway.
    hops: [Hop; 3],
    forwarding: Arc<dyn Consumer>,
}

pub(super) async fn demo() -> Result<(), StartError> {
    let parts: Vec<_> = recording::requests()?.iter().map(split).collect::<Result<_, _>>()?;
    let [whole, retroactive] = [ports::free::<2>()?, ports::free()?];
    let backends = [Backend::start(whole[1]).await?, Backend::start(retroactive[1]).await?];
    let settings = read_config(&with_ports(whole[0], whole[1]))?;
    logging::start(&settings.telemetry);
    let gateway = Service::start(settings, &LearnedRates::default()).await?;
    let [listen] = ports::free()?;
    let pipeline = with_ports(retroactive[0], retroactive[1]);
    let coordinator = start(&[&pipeline, &coordinator(local(listen))], local(listen)).await?;
    let mut agents = Vec::new();
    for _ in 0..AGENTS {
        agents.push(Agent::start(local(listen), local(retroactive[1]), local(whole[0])).await?);
    }
    say(&format!(
        "One coordinator and {AGENTS} agents are running; traces of the recording lie in pieces at several of them.\n\
         For its first seconds a coordinator decides nothing, since agents of another one might come back to it …"
    ));
    sleep(GRACE).await;
    say(
        "Replaying the recording to the agents, and to a tail-sampling gateway as agents would that forward everything.",
    );
    let begin = Instant::now();
    let requests = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    for (position, parts) in (0_u32..).zip(&parts) {
        for (agent, part) in agents.iter().zip(parts) {
            if let Some(part) = part {
                send(agent.client.as_ref(), part).await?;
                send(agent.forwarding.as_ref(), part).await?;
            }
        }
        sleep_until(begin + REPLAY * position / requests).await;
    }
    sleep(WAIT).await;
    let mut hops = [(0, 0); 3];
    for agent in agents {
        for (sum, (up, down)) in hops.iter_mut().zip(agent.end().await?) {
            *sum = (sum.0 + up, sum.1 + down);
        }
    }
    end(coordinator).await?;
    gateway.stop().await;
    report(&backends[0].kept(), &backends[1].kept(), hops);
    for backend in backends {
        backend.stop().await;
    }
    Ok(())
}

impl Agent {
    async fn start(
        coordinator: SocketAddr,
        backend: SocketAddr,
        gateway: SocketAddr,
    ) -> Result<Self, StartError> {
        let hops = [Hop::to(coordinator).await?, Hop::to(backend).await?, Hop::to(gateway).await?];
        let [listen] = ports::free()?;
        let listen = local(listen);
        let yaml = format!(
            "{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{listen}'}}}}}}}}, processors: {{retroactive_sampling: \
             {{coordinators: {{endpoints: ['{}'], tls: {{insecure: true}}}}}}}}, exporters: {{otlp_grpc: {{endpoint: '{}', \
             tls: {{insecure: true}}, compression: zstd}}}}, service: {{telemetry: {{logs: {{level: warn}}, metrics: {{level: \
             none}}}}, pipelines: {{traces: {{receivers: [otlp], processors: [retroactive_sampling], exporters: \
             [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 128, shards: 1}}}}",
            hops[0].address(),
            hops[1].address(),
        );
        let process = start(&[&yaml], listen).await?;
        let client = super::client(listen, "none")?;
        let forwarding = super::client(hops[2].address(), "zstd")?;
        Ok(Self { process, client, hops, forwarding })
    }

    /// Ends the process, and returns the bytes of each hop.
    async fn end(self) -> Result<[(u64, u64); 3], StartError> {
        self.client.shutdown(Instant::now() + SETTLE).await;
        self.forwarding.shutdown(Instant::now() + SETTLE).await;
        end(self.process).await?;
        Ok(self.hops.each_ref().map(Hop::take))
    }
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// What makes a coordinator of the other demo's pipeline.
fn coordinator(listen: SocketAddr) -> String {
    format!(
        "{{extensions: {{retroactive_coordinator: {{endpoint: '{listen}'}}}}, processors: {{tail_sampling: {{coordinator: \
         retroactive_coordinator}}}}, service: {{extensions: [retroactive_coordinator]}}, forebay: {{memory_limit_mib: 256, \
         shards: 1}}}}"
    )
}

/// Runs this program with configurations, each laid over those before, and waits until it listens.
async fn start(configs: &[&str], listen: SocketAddr) -> Result<Child, StartError> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(configs.iter().map(|yaml| format!("--config=yaml:{yaml}")))
        .arg("--feature-gates=+processor.tailsamplingprocessor.recordpolicy");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
    let begun = Instant::now();
    while TcpStream::connect(listen).await.is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("a process of the fleet has ended with {status}").into());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("nobody listens on {listen}").into());
        }
        sleep(PROGRESS / 10).await;
    }
    Ok(child)
}

/// Lets a process end as SIGTERM does.
async fn end(mut child: Child) -> Result<(), StartError> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        kill_process(pid, rustix::process::Signal::TERM)?;
    }
    timeout(PATIENCE, child.wait()).await??;
    Ok(())
}

/// A request's spans by the agent that they belong to.
fn split(batch: &Batch) -> Result<[Option<Batch>; AGENTS], StartError> {
    let index = batch.index()?;
    let mut splicers: [Splicer<'_>; AGENTS] = std::array::from_fn(|_| Splicer::default());
    for span in &index.spans {
        let resource = index.envelopes.resource_parts(&batch.bytes, span.envelope);
        let attributes = resource
            .flat_map(resource_attribute_messages)
            .filter_map(|message| Attribute::parse(message).ok());
        let service = attributes.filter(|attribute| attribute.key == b"service.name").find_map(|attribute| {
            match attribute.value {
                AnyValue::String(name) => Some(name.iter().map(|&byte| usize::from(byte)).sum::<usize>()),
                _ => None,
            }
        });
        let agent = service.unwrap_or(0) % AGENTS;
        let resource = index.envelopes.resource_number(span.envelope);
        splicers[agent].push(resource, span.envelope, SpanPiece::verbatim(index.body(&batch.bytes, span)));
    }
    Ok(splicers.map(|splicer| {
        let items = splicer.items();
        let request = splicer.finish_indexed(&batch.bytes, &index.envelopes);
        (items > 0).then(|| Batch::new(Signal::Traces, Bytes::from(request), items))
    }))
}

/// Shows what crossed each hop, and what was kept.
fn report(whole: &[(TraceId, KeptTrace)], retroactive: &[(TraceId, KeptTrace)], hops: [(u64, u64); 3]) {
    let [evidence, kept, forwarded] = hops;
    let row = |name: &str, (up, down): (u64, u64)| {
        #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
        let share = (up + down) as f64 * 100.0 / (forwarded.0 + forwarded.1).max(1) as f64;
        say(&format!("  {name:<44} {up:>10} {down:>10} {share:>7.1} %"));
    };
    say(&format!("\nBytes of all {AGENTS} agents, compressed with zstd:\n"));
    say(&format!("  {:<44} {:>10} {:>10} {:>9}", "hop", "sent", "received", "in all"));
    row("everything, to a tail-sampling gateway", forwarded);
    row("retroactive: evidence, to the coordinator", evidence);
    row("retroactive: kept spans, to the backend", kept);
    row("retroactive, together", (evidence.0 + kept.0, evidence.1 + kept.1));
    let spans = |kept: &[(TraceId, KeptTrace)]| -> BTreeMap<_, _> {
        kept.iter().map(|(id, trace)| (*id, trace.spans)).collect()
    };
    let [by_tail, by_fleet] = [spans(whole), spans(retroactive)];
    let same = by_tail.iter().filter(|(id, spans)| by_fleet.get(*id) == Some(spans)).count();
    say(&format!(
        "\nKept: {} traces by the tail sampler, {} by the fleet; {same} are the same, with the same number of spans.",
        by_tail.len(),
        by_fleet.len()
    ));
    say(if by_tail == by_fleet { "The fleet has kept what the tail sampler has." } else { "THEY DIFFER." });
}
