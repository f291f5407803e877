//! What becomes of a fleet when agents are killed or cut off.

use std::collections::BTreeMap;

use forebay::hop::Hop;
use opentelemetry_proto::tonic::trace::v1::Span;
use tempfile::TempDir;
use tonic::Code;

use super::{
    UNLUCKY, address, agent, agent_with, arrived, coordinator, failed, send, timed, until_decided,
    until_pieces,
};
use crate::harness::{Backend, Forebay, GrpcClient, Metrics, eventually, free_port};

/// A span of a trace that has begun elsewhere.
fn child(trace: u128, start: u64, end: u64) -> Span {
    let parent_span_id = vec![1; 8];
    Span { span_id: vec![2; 8], parent_span_id, ..timed(trace, start, end) }
}

#[tokio::test]
async fn an_agent_that_is_cut_off_says_so_once_keeps_what_is_certain_and_recovers() {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let coordinator = coordinator(listen, backend.address, "2s").await;
    let hop = Hop::to(listen).await.unwrap();
    let agents = [agent(&[hop.address()], backend.address).await, agent(&[listen], backend.address).await];
    agents[0].until_logged("a coordinator decides").await;
    hop.set_cut(true);
    agents[0]
        .until("nobody decides", |metrics| metrics.sum("forebay_retroactive_sampling_attended", &[]) == 0)
        .await;
    agents[0].until_logged("no coordinator can be reached").await;
    let (error, slow) = (UNLUCKY | 1 << 8, UNLUCKY | 2 << 8);
    send(&agents[0], vec![failed(error), timed(slow, 0, 300)]).await;
    eventually("what is certain", async || (arrived(&backend) == BTreeMap::from([(error, 1)])).then_some(()))
        .await;
    hop.set_cut(false);
    agents[0].until_logged_times(2, "a coordinator decides").await;
    send(&agents[1], vec![timed(slow, 400, 600), timed(error, 0, 1)]).await;
    let expected = BTreeMap::from([(error, 2), (slow, 2)]);
    eventually("whole traces", async || (arrived(&backend) == expected).then_some(())).await;
    until_decided(&agents).await;
    let [first, second] = agents;
    second.stop().await;
    let log = first.stop().await;
    assert_eq!(log.matches("no coordinator can be reached").count(), 1, "{log}");
    coordinator.stop().await;
}

/// Kills one of two agents that hold a trace each and one together, and starts it again; so many spans of the three
/// arrive. Gives the coordinator.
async fn is_kept_after_a_kill(directory: Option<&TempDir>, spans: [usize; 3]) -> Forebay {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let coordinator = coordinator(listen, backend.address, "6s").await;
    let storage = directory.map_or(String::new(), |directory| {
        format!(", storage: {{directory: '{}', size_mib: 32}}", directory.path().display())
    });
    let first = agent_with(&[listen], backend.address, &storage).await;
    let second = agent(&[listen], backend.address).await;
    let traces @ [alone, both, other] = [1, 2, 3].map(|number| UNLUCKY | number << 8);
    send(&first, vec![timed(alone, 0, 700), timed(both, 0, 300)]).await;
    send(&second, vec![timed(other, 0, 700), timed(both, 400, 600)]).await;
    // A latency over the bound is certain, so one of them has left.
    let certain = BTreeMap::from([(alone, 1), (other, 1)]);
    eventually("what is certain", async || (arrived(&backend) == certain).then_some(())).await;
    until_pieces(&first, 2).await;
    until_pieces(&second, 2).await;
    first.signal("KILL").await;
    first.ended().await;
    let again = agent_with(&[listen], backend.address, &storage).await;
    let agents = [again, second];
    until_decided(&agents).await;
    let expected = traces.into_iter().zip(spans).collect::<BTreeMap<_, _>>();
    eventually("what is left", async || (arrived(&backend) == expected).then_some(())).await;
    coordinator
}

#[tokio::test]
async fn an_agent_that_is_killed_ships_what_it_has_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = is_kept_after_a_kill(Some(&directory), [1, 2, 1]).await;
    let metrics = coordinator.metrics().await;
    assert_eq!(metrics.sum("forebay_retroactive_coordinator_lost_pieces", &[]), 0);
    coordinator.stop().await;
}

#[tokio::test]
async fn what_an_agent_without_a_disk_held_when_it_was_killed_is_counted() {
    // A half is all that is left.
    let coordinator = is_kept_after_a_kill(None, [1, 1, 1]).await;
    let lost = |metrics: &Metrics| metrics.sum("forebay_retroactive_coordinator_lost_pieces", &[]) == 2;
    coordinator.until("what is lost is counted", lost).await;
    coordinator.until_logged("an agent has come back without what it held undecided").await;
    coordinator.stop().await;
}

/// How many pieces an agent has told, and of how many traces it has told nothing.
fn told(metrics: &Metrics) -> [i64; 2] {
    ["pieces", "silent_traces"].map(|name| metrics.sum(&format!("forebay_retroactive_sampling_{name}"), &[]))
}

#[tokio::test]
async fn agents_are_silent_while_all_are_there_and_keep_the_same() {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let coordinator = coordinator(listen, backend.address, "2s, evidence: economical").await;
    let agents = [agent(&[listen], backend.address).await, agent(&[listen], backend.address).await];
    let third = agent(&[listen], backend.address).await;
    let silence = async |wanted| {
        let is = |metrics: &Metrics| metrics.sum("forebay_retroactive_coordinator_silence", &[]) == wanted;
        coordinator.until("agents may be silent, or may not", is).await;
    };
    // Roots come to one agent, of which a tenth fails, and what they call comes to the other.
    let traffic = async |from: u128| {
        let mut expected = BTreeMap::new();
        for number in from..from + 100 {
            let trace = UNLUCKY | number << 8;
            let fails = number % 10 == 0;
            send(&agents[0], vec![if fails { failed(trace) } else { timed(trace, 0, 10) }]).await;
            send(&agents[1], vec![child(trace, 0, 1)]).await;
            if fails {
                expected.insert(trace, 2);
            }
        }
        expected
    };
    silence(1).await;
    let mut expected = traffic(1000).await;
    eventually("whole traces", async || (arrived(&backend) == expected).then_some(())).await;
    until_decided(&agents).await;
    let [pieces, silent] = told(&agents[1].metrics().await);
    assert!(silent >= 80 && pieces <= 20, "{silent} traces in silence, {pieces} pieces");
    third.signal("KILL").await;
    third.ended().await;
    silence(0).await;
    expected.extend(traffic(2000).await);
    eventually("whole traces", async || (arrived(&backend) == expected).then_some(())).await;
    let all_told = |metrics: &Metrics| {
        let [pieces_now, silent_now] = told(metrics);
        pieces_now >= pieces + 100 && silent_now == silent
    };
    agents[1].until("everything is told", all_told).await;
    for process in agents.into_iter().chain([coordinator]) {
        process.stop().await;
    }
}

#[tokio::test]
async fn an_agent_that_sends_garbage_is_cut_off_and_named_in_the_log() {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let coordinator = coordinator(listen, backend.address, "2s").await;
    // `FromAgent { hello: { versions: [1], agent: 16 bytes, name: "broken" } }`, and something else.
    let mut hello = vec![0x0a, 28, 0x08, 1, 0x12, 16];
    hello.extend([7; 16]);
    hello.extend(b"\x1a\x06broken");
    let method = "/forebay.retroactive.v1.Coordination/Attend";
    let client = GrpcClient::new(listen);
    let ended = client.stream(method, vec![hello.into(), vec![0xff; 64].into()]).await;
    assert_eq!(ended.code(), Code::InvalidArgument, "{ended}");
    coordinator.until_logged("cut off an agent").await;
    let log = coordinator.stop().await;
    let line = log.lines().find(|line| line.contains("cut off an agent")).unwrap();
    assert!(line.contains("broken") && line.contains(ended.message()), "{line}");
}
