//! Agents and coordinators over real sockets.

use std::path::Path;
use std::time::Duration;

use forebay_config::read_str;
use forebay_exporter::grpc::{ChannelConfig, Incoming, Outgoing, StreamChannel};
use forebay_otlp::TraceId;
use forebay_otlp::threshold::Threshold;
use forebay_pipeline::Budget;
use forebay_receiver::{Endpoint, GrpcConfig, Server, Streams};
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::{Decisions, Piece, Report};
use forebay_samplers::retroactive::program::{Program, ProgramId, Question};
use forebay_samplers::tail::decision::Kept;
use forebay_samplers::tail::digest::Digest;
use forebay_samplers::tail::predicate::Predicate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::server::Service;
use crate::wire::message::{encode_hello, encode_report, encode_welcome};
use crate::wire::program;
use crate::{
    AgentHandle, AgentId, AgentNumber, Attendance, Coordinator, CoordinatorConfig, CoordinatorId, Event,
    Heard, Hello, Identity, METHOD, Member, MembersConfig, Reach, Session, VERSIONS, Welcome, What,
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
const HERE: CoordinatorId = CoordinatorId([7; 16]);

/// A coordinator at a free port, or at a given one.
async fn coordinator(yaml: &str) -> (Coordinator, mpsc::Receiver<Attendance>) {
    coordinator_within(256 << 20, yaml).await
}

/// One that may hold so many bytes.
async fn coordinator_within(budget: usize, yaml: &str) -> (Coordinator, mpsc::Receiver<Attendance>) {
    let (config, diagnostics) = read_str(yaml, CoordinatorConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    Coordinator::start("processor p", &config, HERE, &Budget::new(budget)).await.unwrap()
}

fn member(yaml: &str) -> Member {
    let (config, diagnostics) = read_str(yaml, MembersConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    let membership = config.unwrap().follow();
    membership.members().borrow()[0].clone()
}

fn channel(member: &Member) -> &ChannelConfig {
    match &member.reach {
        Reach::Channel(channel) => channel,
        Reach::Loopback(_) => panic!("{member:?}"),
    }
}

fn plain(coordinator: &Coordinator) -> Member {
    member(&format!("{{endpoints: ['{}'], tls: {{insecure: true}}}}", coordinator.address().unwrap()))
}

fn session(member: &Member, name: &str) -> (Session, mpsc::Receiver<Heard>) {
    let (heard, receiver) = mpsc::channel(8);
    let identity = Identity { agent: AgentId([1; 16]), name: name.to_owned() };
    (Session::start(member, identity, heard).unwrap(), receiver)
}

/// A client that says whatever it likes.
async fn raw(member: &Member) -> (Outgoing, Incoming) {
    StreamChannel::new(channel(member), LONG, 1 << 20).unwrap().open(METHOD).await.unwrap()
}

async fn next<T>(receiver: &mut mpsc::Receiver<T>) -> T {
    timeout(LONG, receiver.recv()).await.expect("in time").expect("somebody is there")
}

async fn joined(seen: &mut mpsc::Receiver<Attendance>) -> (AgentNumber, Hello, AgentHandle) {
    match next(seen).await {
        Attendance { agent, what: What::Joined(hello, handle) } => (agent, hello, handle),
        other => panic!("{other:?}"),
    }
}

async fn connected(heard: &mut mpsc::Receiver<Heard>) -> mpsc::Sender<Report> {
    match next(heard).await.event {
        Event::Connected { coordinator: HERE, reports } => reports,
        other => panic!("{other:?}"),
    }
}

async fn left(seen: &mut mpsc::Receiver<Attendance>) -> AgentNumber {
    loop {
        if let Attendance { agent, what: What::Left } = next(seen).await {
            return agent;
        }
    }
}

/// How a call ends.
async fn end(incoming: &mut Incoming) -> String {
    let ended = async {
        loop {
            match incoming.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return "OK".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    };
    timeout(LONG, ended).await.expect("in time")
}

fn hello(versions: &[u32]) -> Vec<u8> {
    let agent = AgentId([1; 16]);
    encode_hello(&Hello { versions: versions.to_vec(), agent, name: "raw".into(), program: None })
}

fn report(window: u64, pieces: u64) -> Report {
    let piece = |number: u64| {
        let mut digest = Digest::EMPTY;
        (digest.start, digest.end) = (1000 + number, 2000 + number);
        let trace_id = TraceKey::of(TraceId(u128::from(number) << 20)).to_trace_id();
        Piece::new(trace_id, digest)
    };
    Report {
        window,
        program: ProgramId(1),
        horizon: Duration::from_secs(60),
        pieces: (0..pieces).map(piece).collect(),
        ..Report::default()
    }
}

fn decisions(tick: u64) -> Decisions {
    let kept = Kept { policy: 1, part: None, threshold: Threshold::new(1 << 55) };
    Decisions {
        tick,
        settled: tick,
        stable: 0,
        silence: Duration::ZERO,
        kept: vec![(TraceKey::new(5).unwrap(), kept)],
    }
}

#[tokio::test]
async fn two_agents_and_a_coordinator_tell_each_other_everything() {
    let (coordinator, mut seen) = coordinator("endpoint: 127.0.0.1:0").await;
    let member = plain(&coordinator);
    let questions = vec![Question::Predicate(Predicate::SampledFlag)];
    let program = Program { questions, ..Program::default() };
    let encoded = program::encode(&program).unwrap();
    let mut agents = Vec::new();
    for name in ["a", "bb"] {
        let (session, mut heard) = session(&member, name);
        let (number, hello, handle) = joined(&mut seen).await;
        assert_eq!((hello.name.as_str(), hello.program), (name, None));
        let reports = connected(&mut heard).await;
        agents.push((session, heard, number, handle, reports));
    }
    assert_ne!(agents[0].2, agents[1].2);
    for (_session, heard, number, handle, reports) in &mut agents {
        handle.tell_program(&encoded).unwrap();
        let Event::Program(told, id) = next(heard).await.event else { panic!() };
        assert_eq!((*told, id), (program.clone(), encoded.id));
        for window in 1..=3 {
            reports.send(report(window, 100)).await.unwrap();
            let Attendance { agent, what: What::Report { report: seen, charge } } = next(&mut seen).await
            else {
                panic!()
            };
            assert_eq!((agent, &seen), (*number, &report(window, 100)));
            assert!(charge.bytes() >= 100 * size_of::<Piece>());
            handle.tell_decisions(&decisions(window)).unwrap();
            let Event::Decisions(told) = next(heard).await.event else { panic!() };
            assert_eq!(told, decisions(window));
        }
    }
    let (gone, mut heard, number, ..) = agents.swap_remove(0);
    drop(gone);
    assert_eq!(left(&mut seen).await, number);
    assert!(heard.recv().await.is_none(), "nothing is heard of a session that is dropped");
    coordinator.shutdown(Instant::now() + LONG).await;
    assert!(matches!(next(&mut agents[0].1).await.event, Event::Disconnected));
}

/// Writes `ca.crt` and a pair for `server` into `dir`.
fn issue(dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.crt"), ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["server".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    std::fs::write(dir.join("server.crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn tls_and_a_token_open_the_door_and_nothing_less() {
    let dir = tempfile::tempdir().unwrap();
    issue(dir.path());
    let at = dir.path().display();
    let yaml = format!(
        "{{endpoint: 127.0.0.1:0, tls: {{cert_file: {at}/server.crt, key_file: {at}/server.key}}, \
         bearertokenauth: {{tokens: [secret, other]}}}}"
    );
    let (coordinator, mut seen) = coordinator(&yaml).await;
    let address = coordinator.address().unwrap();
    let tls = format!("tls: {{ca_file: {at}/ca.crt, server_name_override: server}}");
    let open = |headers: &str| member(&format!("{{endpoints: ['{address}'], {tls}{headers}}}"));
    for (headers, admitted) in [
        ("", false),
        (", headers: {authorization: Bearer wrong}", false),
        (", headers: {authorization: Bearer other}", true),
    ] {
        let channel = StreamChannel::new(channel(&open(headers)), LONG, 1 << 20).unwrap();
        match channel.open(METHOD).await {
            Ok(_) => assert!(admitted, "{headers}"),
            Err(error) => assert!(!admitted && error.to_string().contains("UNAUTHENTICATED"), "{error}"),
        }
    }
    let plaintext = member(&format!("{{endpoints: ['{address}'], tls: {{insecure: true}}}}"));
    assert!(StreamChannel::new(channel(&plaintext), LONG, 1 << 20).unwrap().open(METHOD).await.is_err());

    let (_session, mut heard) = session(&open(", headers: {authorization: Bearer secret}"), "a");
    let (_, _, handle) = joined(&mut seen).await;
    connected(&mut heard).await;
    handle.tell_decisions(&decisions(1)).unwrap();
    assert!(matches!(next(&mut heard).await.event, Event::Decisions(_)));
}

#[tokio::test]
async fn who_breaks_the_protocol_is_cut_off() {
    let (coordinator, mut seen) = coordinator("{endpoint: 127.0.0.1:0, max_recv_msg_size_mib: 1}").await;
    let member = plain(&coordinator);
    let ok = hello(VERSIONS);
    let welcome = encode_welcome(&Welcome { version: 1, coordinator: HERE });
    let bad_pieces = {
        let mut message = encode_report(&report(1, 3));
        let end = message.len() - 20;
        message[end..].fill(0xff);
        message
    };
    for (messages, problem) in [
        (vec![hello(&[2, 99])], "FAILED_PRECONDITION"),
        (vec![b"garbage".to_vec()], "INVALID_ARGUMENT"),
        (vec![encode_report(&report(1, 1))], "INVALID_ARGUMENT"),
        (vec![ok.clone(), ok.clone()], "INVALID_ARGUMENT"),
        (vec![ok.clone(), encode_report(&report(0, 1))], "INVALID_ARGUMENT"),
        (vec![ok.clone(), welcome], "INVALID_ARGUMENT"),
        (vec![ok.clone(), bad_pieces], "INVALID_ARGUMENT"),
        (vec![ok.clone(), vec![0; 2 << 20]], "RESOURCE_EXHAUSTED"),
        (
            std::iter::once(ok).chain((1..200).map(|window| encode_report(&report(window, 1)))).collect(),
            "RESOURCE_EXHAUSTED",
        ),
    ] {
        let (outgoing, mut incoming) = raw(&member).await;
        let sending = async {
            for message in &messages {
                // The stream may be gone before all are sent.
                let _ = outgoing.send(message).await;
            }
        };
        let mut handles = Vec::new();
        let looking = async {
            loop {
                // Without its handle an agent is let go.
                if let What::Joined(_, handle) = next(&mut seen).await.what {
                    handles.push(handle);
                }
            }
        };
        let ended = tokio::select! {
            ((), ended) = async { tokio::join!(sending, end(&mut incoming)) } => ended,
            () = looking => unreachable!(),
        };
        assert!(ended.contains(problem), "{ended}, not {problem}");
    }
}

#[tokio::test]
async fn a_report_that_will_never_have_room_is_not_put_off() {
    let (coordinator, mut seen) = coordinator_within(1 << 20, "endpoint: 127.0.0.1:0").await;
    let (outgoing, mut incoming) = raw(&plain(&coordinator)).await;
    outgoing.send(&hello(VERSIONS)).await.unwrap();
    let _joined = joined(&mut seen).await;
    outgoing.send(&encode_report(&report(1, 20_000))).await.unwrap();
    let ended = end(&mut incoming).await;
    assert!(ended.contains("RESOURCE_EXHAUSTED") && ended.contains("memory_limit_mib"), "{ended}");
}

#[tokio::test]
async fn an_agent_can_be_cut_off_for_a_reason_or_let_go() {
    let (coordinator, mut seen) = coordinator("endpoint: 127.0.0.1:0").await;
    for (reason, problem) in
        [(Some("beyond its share"), "RESOURCE_EXHAUSTED (8): beyond its share"), (None, "let go")]
    {
        let (outgoing, mut incoming) = raw(&plain(&coordinator)).await;
        outgoing.send(&hello(VERSIONS)).await.unwrap();
        let (number, _, handle) = joined(&mut seen).await;
        if let Some(reason) = reason {
            handle.cut_off(reason);
        }
        drop(handle);
        let ended = end(&mut incoming).await;
        assert!(ended.contains(problem), "{ended}");
        assert_eq!(left(&mut seen).await, number);
    }
}

#[tokio::test]
async fn who_does_not_read_fills_a_queue_and_is_cut_off_after_a_while() {
    let (coordinator, mut seen) = coordinator("endpoint: 127.0.0.1:0").await;
    let (outgoing, mut incoming) = raw(&plain(&coordinator)).await;
    outgoing.send(&hello(VERSIONS)).await.unwrap();
    let (_, _, handle) = joined(&mut seen).await;
    let large = program::Encoded { id: ProgramId(1), bytes: vec![0; 200_000].into() };
    // Some megabytes fit what TCP and HTTP/2 buffer.
    let filled = async {
        while handle.tell_program(&large).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, filled).await.expect("a queue that does not grow without end");
    assert!(handle.fill() > 0.8, "{}", handle.fill());
    tokio::time::pause();
    // Paused time runs ahead of sockets, so it does not say how long that took.
    let gone = timeout(100 * LONG, seen.recv()).await.expect("whoever does not read is cut off");
    assert!(matches!(gone, Some(Attendance { what: What::Left, .. })), "{gone:?}");
    tokio::time::resume();
    assert_ne!(end(&mut incoming).await, "OK");
    assert!(handle.tell_decisions(&decisions(2)).is_err(), "it is gone");
}

#[tokio::test]
async fn an_agent_comes_back_to_a_coordinator_that_was_away() {
    let (first, mut seen) = coordinator("endpoint: 127.0.0.1:0").await;
    let member = plain(&first);
    let address = first.address().unwrap();
    let (_session, mut heard) = session(&member, "a");
    let (_, _, handle) = joined(&mut seen).await;
    let reports = connected(&mut heard).await;
    let encoded = program::encode(&Program::default()).unwrap();
    handle.tell_program(&encoded).unwrap();
    assert!(matches!(next(&mut heard).await.event, Event::Program(..)));
    first.shutdown(Instant::now() + LONG).await;
    assert!(matches!(next(&mut heard).await.event, Event::Disconnected));
    assert!(reports.send(report(1, 1)).await.is_err(), "reports of the old connection go nowhere");

    let (_second, mut seen) = coordinator(&format!("endpoint: '{address}'")).await;
    let (_, hello, _handle) = joined(&mut seen).await;
    assert_eq!(hello.program, Some(encoded.id));
    let reports = connected(&mut heard).await;
    reports.send(report(1, 1)).await.unwrap();
    assert!(matches!(next(&mut seen).await.what, What::Report { .. }));
}

#[tokio::test]
async fn an_agent_that_finds_no_place_is_refused_until_there_is_one() {
    let budget = Budget::new(64 << 20);
    let (service, mut seen) = Service::new(HERE, 1, &budget);
    let (server, config) = (Server::new(), GrpcConfig::at("127.0.0.1:0".parse::<Endpoint>().unwrap()));
    let address = server.streams("test", &config, None, &budget, service).await.unwrap().unwrap();
    let member = member(&format!("{{endpoints: ['{address}'], tls: {{insecure: true}}}}"));
    let first = raw(&member).await;
    first.0.send(&hello(VERSIONS)).await.unwrap();
    let (_, _, _handle) = joined(&mut seen).await;
    let (outgoing, mut incoming) = raw(&member).await;
    outgoing.send(&hello(VERSIONS)).await.unwrap();
    let end = end(&mut incoming).await;
    assert!(end.contains("1 agents are connected, 1 of them from there"), "{end}");
    drop(first);
    left(&mut seen).await;
    let (outgoing, _incoming) = raw(&member).await;
    outgoing.send(&hello(VERSIONS)).await.unwrap();
    joined(&mut seen).await;
}

/// A coordinator that says whatever it likes to whoever says hello.
struct Hostile(Vec<Vec<u8>>);

impl Streams for Hostile {
    async fn serve(
        &self,
        _method: &str,
        mut incoming: forebay_receiver::Incoming,
        outgoing: forebay_receiver::Outgoing,
    ) -> Result<(), Status> {
        incoming.next().await?;
        for message in &self.0 {
            let _ = outgoing.send(message).await;
        }
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_hostile_coordinator_is_left_alone() {
    let welcome = |version| encode_welcome(&Welcome { version, coordinator: HERE });
    for (messages, connects) in [
        (vec![welcome(9)], false),
        (vec![b"garbage".to_vec()], false),
        (vec![welcome(1), welcome(1)], true),
        (vec![welcome(1), b"garbage".to_vec()], true),
        (vec![welcome(1), vec![0; 5 << 20]], true),
    ] {
        let server = Server::new();
        let config = GrpcConfig::at("127.0.0.1:0".parse::<Endpoint>().unwrap());
        let budget = Budget::new(64 << 20);
        let address =
            server.streams("test", &config, None, &budget, Hostile(messages)).await.unwrap().unwrap();
        let member = member(&format!("{{endpoints: ['{address}'], tls: {{insecure: true}}}}"));
        let (_session, mut heard) = session(&member, "a");
        if connects {
            // And once more, since it tries again.
            for _ in 0..2 {
                connected(&mut heard).await;
                assert!(matches!(next(&mut heard).await.event, Event::Disconnected));
            }
        } else {
            assert!(timeout(Duration::from_millis(300), heard.recv()).await.is_err());
        }
    }
}
