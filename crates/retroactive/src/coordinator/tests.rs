//! A coordinator that decides, and agents that say whatever they like.

use std::time::Duration;

use forebay_config::read_str;
use forebay_exporter::grpc::{Incoming, Outgoing, StreamChannel};
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Telemetry};
use forebay_samplers::Compatibility;
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::{Piece, Report};
use forebay_samplers::retroactive::program::ProgramId;
use forebay_samplers::tail::decision::Kept;
use forebay_samplers::tail::digest::Digest;
use forebay_samplers::tail::{Grant, LearnedRates, TailConfig, TailProcessor};
use tokio::time::timeout;

use super::*;
use crate::wire::message::{FromCoordinator, decode_from_coordinator, encode_hello, encode_report};
use crate::{Hello, METHOD, MembersConfig, Reach, VERSIONS};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
/// Room for a thousand pieces.
const PENDING_BYTES: usize = 192_000;

/// Takes everything.
struct Sink;

impl Consumer for Sink {
    fn consume(&self, _: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A coordinator that keeps what is slow.
struct Setup {
    extension: CoordinatorExtension,
    _processor: TailProcessor,
    telemetry: Telemetry,
}

/// An agent without a mind of its own.
struct Agent {
    outgoing: Outgoing,
    incoming: Incoming,
    program: ProgramId,
}

impl Setup {
    async fn new() -> Self {
        let (telemetry, budget, link) = (Telemetry::new(), Budget::new(256 << 20), CoordinatorLink::new());
        let (config, diagnostics) = read_str("endpoint: 127.0.0.1:0", CoordinatorConfig::read);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let extension = CoordinatorExtension::start("x", &config, link.clone(), &budget, &telemetry);
        let extension = extension.await.unwrap();
        let processor = processor(&link, budget, &telemetry);
        Self { extension, _processor: processor, telemetry }
    }

    /// An agent of this id, once it has a program; how it was cut off if it was not let in.
    async fn connect(&self, id: u8) -> Result<Agent, String> {
        let address = self.extension.server.address().unwrap();
        let yaml = format!("{{endpoints: ['{address}'], tls: {{insecure: true}}}}");
        let (config, _) = read_str(&yaml, MembersConfig::read);
        let member = config.unwrap().follow().members().borrow()[0].clone();
        let Reach::Channel(channel) = &member.reach else { panic!("{member:?}") };
        let channel = StreamChannel::new(channel, LONG, 1 << 20).unwrap();
        let (outgoing, incoming) = channel.open(METHOD).await.unwrap();
        let agent = AgentId([id; 16]);
        let hello = Hello { versions: VERSIONS.to_vec(), agent, name: format!("agent {id}"), program: None };
        outgoing.send(&encode_hello(&hello)).await.unwrap();
        let mut agent = Agent { outgoing, incoming, program: ProgramId::default() };
        loop {
            if let FromCoordinator::Program(_, id) = agent.next().await? {
                agent.program = id;
                return Ok(agent);
            }
        }
    }

    fn metric(&self, name: &str) -> String {
        metric(&self.telemetry, name)
    }
}

/// What decides for the agents of a link: what is slow is kept.
fn processor(link: &CoordinatorLink, budget: Budget, telemetry: &Telemetry) -> TailProcessor {
    let yaml =
        "{decision_wait: 500ms, policies: [{name: slow, type: latency, latency: {threshold_ms: 500}}]}";
    let (config, _) = read_str(yaml, |table| TailConfig::read(table, Compatibility::default()));
    let policies = Arc::clone(&config.policies);
    let learned = LearnedRates::default();
    let grant = Grant { budget, pending_bytes: PENDING_BYTES, shards: 1, record_policy: false, learned };
    let (processor, port) = TailProcessor::coordinate("t", config, &grant, telemetry, Arc::new(Sink));
    link.join(port, &policies.program(false)).unwrap();
    processor
}

/// A metric's value, whatever sort it is of.
fn metric(telemetry: &Telemetry, name: &str) -> String {
    let name = format!("forebay_retroactive_coordinator_{name}");
    let families = telemetry.registry().gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let metric = &family.get_metric()[0];
    (metric.get_counter().get_value() + metric.get_gauge().get_value()).to_string()
}

impl Agent {
    /// What it is told next, or how the stream ends.
    async fn next(&mut self) -> Result<FromCoordinator, String> {
        match timeout(LONG, self.incoming.next()).await.expect("in time") {
            Ok(Some(message)) => Ok(decode_from_coordinator(&message).unwrap()),
            Ok(None) => Err("the stream has ended".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn report(&self, window: u64, pieces: Vec<Piece>) {
        let report = report(self.program, window, pieces);
        // The stream may be gone before it is sent.
        let _ = self.outgoing.send(&encode_report(&report)).await;
    }

    /// The traces that it is told to keep until a window is settled.
    async fn kept_until(&mut self, window: u64) -> Vec<u64> {
        let mut kept = Vec::new();
        loop {
            let FromCoordinator::Decisions(decisions) = self.next().await.unwrap() else { continue };
            kept.extend(decisions.kept.iter().map(|(key, _)| key.get()));
            if decisions.settled >= window {
                kept.sort_unstable();
                return kept;
            }
        }
    }
}

fn report(program: ProgramId, window: u64, pieces: Vec<Piece>) -> Report {
    // Who cannot hold anything for long is not waited for for long.
    let horizon = Duration::from_secs(2);
    Report { window, program, horizon, pieces, ..Report::default() }
}

/// What an agent holds of a trace that has lasted for so many milliseconds.
fn piece(key: u64, milliseconds: u64) -> Piece {
    let mut digest = Digest::EMPTY;
    (digest.start, digest.end) = (1_000_000_000, 1_000_000_000 + milliseconds * 1_000_000);
    let trace_id = TraceKey::new(key).unwrap().to_trace_id();
    Piece::new(trace_id, digest)
}

fn claimed(key: u64) -> Piece {
    Piece { kept: Some(Kept { policy: 0, part: None, threshold: Some(Threshold::ALWAYS) }), ..piece(key, 1) }
}

#[tokio::test]
async fn an_agent_that_makes_up_traces_is_cut_off_and_others_do_not_notice() {
    let setup = Setup::new().await;
    let (mut honest, mut hostile) = (setup.connect(1).await.unwrap(), setup.connect(2).await.unwrap());
    let mut other = setup.connect(3).await.unwrap();
    honest.report(1, (0..20).map(|key| piece(key, 100)).collect()).await;
    other.report(1, (0..20).map(|key| piece(key, if key < 5 { 600 } else { 100 })).collect()).await;
    hostile.report(1, (1000..6000).map(|key| piece(key, 900)).collect()).await;
    let ended = loop {
        if let Err(ended) = hostile.next().await {
            break ended;
        }
    };
    assert!(ended.contains("it has told of 5000 undecided traces"), "{ended}");
    let again = setup.connect(2).await.err().expect("it is not let in");
    assert!(again.contains("it was cut off a moment ago"), "{again}");
    assert_eq!(honest.kept_until(1).await, [0, 1, 2, 3, 4]);
    assert_eq!(other.kept_until(1).await, [0, 1, 2, 3, 4]);
    assert_eq!(["floods", "reports", "agents"].map(|name| setup.metric(name)), ["1", "3", "2"]);
}

#[tokio::test]
async fn who_claims_to_have_kept_what_nobody_else_holds_makes_nobody_keep_it() {
    let setup = Setup::new().await;
    let (mut honest, mut hostile) = (setup.connect(1).await.unwrap(), setup.connect(2).await.unwrap());
    hostile.report(1, (1000..1100).map(claimed).collect()).await;
    honest.report(1, vec![piece(1, 100), piece(2, 900)]).await;
    assert_eq!(hostile.kept_until(1).await.len(), 100, "it knows that already");
    assert_eq!(honest.kept_until(1).await, [2]);
}

#[tokio::test]
async fn an_agent_that_is_let_go_is_not_waited_for() {
    let (telemetry, link) = (Telemetry::new(), CoordinatorLink::new());
    let _processor = processor(&link, Budget::new(256 << 20), &telemetry);
    let (agents, seen) = mpsc::channel(8);
    let fleet = tokio::spawn(coordinate(link, seen, Metrics::new("x", &telemetry)));
    let see = async |agent, what| {
        agents.send(Attendance { agent: server::AgentNumber(agent), what }).await.unwrap();
    };
    let join = async |id: u8, room| {
        let (handle, queue) = server::queue(&Budget::new(room));
        let name = format!("agent {id}");
        let hello = Hello { versions: VERSIONS.to_vec(), agent: AgentId([id; 16]), name, program: None };
        see(id.into(), What::Joined(hello, handle)).await;
        queue
    };
    let mut good = join(1, 1 << 20).await;
    let first = good.next().await.unwrap();
    let FromCoordinator::Program(_, program) = decode_from_coordinator(&first).unwrap() else {
        panic!("{first:?}")
    };
    // It never reads the program, and there is room for nothing else.
    let _stuck = join(2, first.len()).await;
    let stable = async {
        for window in 1.. {
            let told = decode_from_coordinator(&good.next().await.unwrap()).unwrap();
            let FromCoordinator::Decisions(decisions) = told else { panic!("{told:?}") };
            if decisions.stable > 0 {
                break;
            }
            let report = Report { applied: decisions.tick, ..report(program, window, vec![]) };
            see(1, What::Report { report, charge: Budget::new(1).reserve(0).unwrap() }).await;
        }
    };
    timeout(LONG, stable).await.expect("what is decided gets stable");
    assert_eq!(metric(&telemetry, "agents"), "1");
    fleet.abort();
}

#[test]
fn the_fuller_the_queues_the_less_is_kept() {
    let halvings = [0.0, 0.5, 0.549, 0.551, 0.751, 0.999, 1.0, 7.0].map(shed_halvings);
    assert_eq!(halvings, [0, 0, 0, 1, 5, 9, 10, 10]);
    assert_eq!((share(0), share(3).probability()), (Threshold::ALWAYS, 0.125));
}
