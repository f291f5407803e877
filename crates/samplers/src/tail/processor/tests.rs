//! The sampler among tasks: a clock, shards, a next component that is not always there, and the end.

mod rules;

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};

use tokio::time::sleep;

use super::*;
use crate::Compatibility;
use crate::testing::model::{Grouped, grouped, trace_of};
use crate::testing::pipeline::{Account, Answer, Downstream, batch};
use crate::testing::{Span, Status, configured, decode, random, request, span, trace};

const STAGE: &str = "processor/tail_sampling";
const ALL: &str = "{decision_wait: 1s, policies: [{name: all, type: always_sample}]}";
const MIXED: &str = "{decision_wait: 1s, policies: [
    {name: bad, type: status_code, status_code: {status_codes: [ERROR]}},
    {name: some, type: probabilistic, probabilistic: {sampling_percentage: 30}}]}";

const GRACE: Duration = Duration::from_secs(5);

struct Setup {
    processor: TailProcessor,
    downstream: Arc<Downstream>,
    budget: Budget,
    telemetry: Telemetry,
}

impl Setup {
    fn new(yaml: &str, shards: usize) -> Self {
        Self::bounded(yaml, shards, 64 << 20)
    }

    fn bounded(yaml: &str, shards: usize, pending_bytes: usize) -> Self {
        Self::after(LearnedRates::default(), yaml, shards, pending_bytes)
    }

    /// One that begins with what others have learned.
    fn after(learned: LearnedRates, yaml: &str, shards: usize, pending_bytes: usize) -> Self {
        let config = configured(yaml, |table| TailConfig::read(table, Compatibility::default()));
        Self::of(learned, config, shards, pending_bytes)
    }

    fn of(learned: LearnedRates, config: TailConfig, shards: usize, pending_bytes: usize) -> Self {
        let (downstream, budget, telemetry) =
            (Arc::new(Downstream::default()), Budget::new(1 << 30), Telemetry::new());
        let grant = Grant { budget: budget.clone(), pending_bytes, shards, record_policy: false, learned };
        let processor = TailProcessor::start("tail_sampling", config, &grant, &telemetry, downstream.clone());
        Self { processor, downstream, budget, telemetry }
    }

    async fn consume(&self, request: Vec<u8>) {
        self.processor.consume(batch(request)).await.unwrap();
    }

    async fn shut_down(&self) {
        self.processor.shutdown(Instant::now() + GRACE).await;
    }

    /// The accounts once everything that can happen now has happened.
    async fn account(&self) -> Account {
        millis(1).await;
        let account = Account::of(&self.telemetry, STAGE);
        assert!(account.balances(), "{account:?}");
        account
    }
}

async fn millis(count: u64) {
    sleep(Duration::from_millis(count)).await;
}

fn dropped(reason: &str, spans: i64) -> BTreeMap<String, i64> {
    [(reason.to_owned(), spans)].into()
}

/// A request of spans of some of 200 traces, some of them in error.
fn traffic(seed: u64) -> Vec<u8> {
    let ids: Vec<_> = random(0).take(200).collect();
    let spans = random(seed + 1).take(30).map(|number| {
        let id = ids[usize::try_from(number % 200).unwrap()];
        let status = (number % 97 == 0).then(|| Status { code: 2, ..Status::default() });
        Span { status, ..span(trace(id | 1, id), number | 1) }
    });
    request(spans.collect())
}

/// What is left of ten seconds of traffic.
async fn run(shards: usize) -> Grouped {
    let setup = Setup::new(MIXED, shards);
    for seed in 0..100 {
        setup.consume(traffic(seed)).await;
        millis(99).await;
        setup.account().await;
    }
    setup.shut_down().await;
    let account = setup.account().await;
    assert_eq!((account.incoming, account.buffered), (3_000, 0));
    assert_eq!(account.dropped, dropped("not_sampled", 3_000 - account.outgoing));
    grouped(setup.downstream.located())
}

#[tokio::test(start_paused = true)]
async fn any_number_of_shards_keeps_the_same_spans_and_whole_traces() {
    let one = run(1).await;
    assert_eq!(one, run(4).await);
    assert_eq!(one, run(7).await);

    let mut taken: HashMap<_, usize> = HashMap::new();
    for span in (0..100).flat_map(|seed| decode(&traffic(seed))).map(|located| located.span) {
        *taken.entry(trace_of(&span)).or_default() += 1;
    }
    assert!((50..150).contains(&one.len()), "{} of {} traces", one.len(), taken.len());
    for ((trace_id, _), spans) in one {
        assert_eq!(spans.len(), taken[&trace_id]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trace_leaves_at_the_tick_after_its_wait() {
    let setup = Setup::new("{decision_wait: 250ms, policies: [{name: all, type: always_sample}]}", 1);
    millis(3).await;
    setup.consume(request(vec![span(trace(1, 0), 1)])).await;
    millis(100).await;
    setup.consume(request(vec![span(trace(1, 0), 2), span(trace(2, 0), 3)])).await;
    // Since the start: 250 ms after the 3rd are up at 253, and the next tick is at 260.
    millis(156).await;
    assert_eq!(setup.downstream.asked(), 0);
    millis(2).await;
    assert_eq!(setup.downstream.spans().len(), 2);
    millis(100).await;
    assert_eq!(setup.downstream.spans().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn accounts_balance_while_spans_wait_are_late_and_are_dropped() {
    let setup = Setup::new(MIXED, 2);
    let (kept, lost) = (trace(1, u64::MAX >> 8), trace(2, 0));
    setup.consume(request(vec![span(kept, 1), span(lost, 2), span(lost, 3)])).await;
    let account = setup.account().await;
    assert_eq!((account.incoming, account.outgoing, account.buffered), (3, 0, 3));
    millis(1_010).await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered, account.dropped), (1, 0, dropped("not_sampled", 2)));
    setup.consume(request(vec![span(kept, 4), span(lost, 5)])).await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered, account.dropped), (2, 0, dropped("not_sampled", 3)));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_a_while_is_delivered_later_in_order() {
    let setup = Setup::new(ALL, 1);
    setup.downstream.answer(Answer::Refuse { after: None });
    for number in 1..=3 {
        setup.consume(request(vec![span(trace(number, 0), number)])).await;
        millis(20).await;
    }
    millis(60_000).await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered), (0, 3));
    setup.downstream.answer(Answer::Take);
    millis(200).await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered), (3, 0));
    let names: Vec<_> = setup.downstream.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["span 1", "span 2", "span 3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_counted_and_does_not_stand_in_the_way() {
    let setup = Setup::new(ALL, 1);
    setup.downstream.answer(Answer::Reject);
    setup.consume(request(vec![span(trace(1, 0), 1), span(trace(1, 0), 2)])).await;
    millis(1_100).await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered, account.dropped), (0, 0, dropped("refused", 2)));
    setup.downstream.answer(Answer::Take);
    setup.consume(request(vec![span(trace(2, 0), 3)])).await;
    millis(1_100).await;
    assert_eq!(setup.account().await.outgoing, 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_decides_what_is_pending_and_delivers_it() {
    let setup = Setup::new(MIXED, 3);
    for seed in 0..5 {
        setup.consume(traffic(seed)).await;
    }
    let begun = Instant::now();
    setup.shut_down().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let account = setup.account().await;
    assert_eq!((account.incoming, account.buffered), (150, 0));
    assert_eq!(account.outgoing, setup.downstream.spans().len() as i64);
    assert!(account.outgoing > 0 && account.dropped.contains_key("not_sampled"));
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_up_what_is_pending_if_asked_to_but_not_what_is_decided() {
    let yaml = "{decision_wait: 1s, drop_pending_traces_on_shutdown: true, policies: [{name: all, type: always_sample}]}";
    let setup = Setup::new(yaml, 2);
    setup.downstream.answer(Answer::Refuse { after: Some(Duration::from_secs(600)) });
    setup.consume(request(vec![span(trace(1, 0), 1)])).await;
    millis(1_100).await;
    setup.consume(request(vec![span(trace(2, 0), 2), span(trace(3, 0), 3), span(trace(3, 0), 4)])).await;
    setup.downstream.answer(Answer::Take);
    setup.shut_down().await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered, account.dropped), (1, 0, dropped("shutdown", 3)));
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_next_component_no_longer_than_the_deadline() {
    let setup = Setup::new(ALL, 2);
    // It says to come back long after.
    setup.downstream.answer(Answer::Refuse { after: Some(Duration::from_secs(3_600)) });
    for number in 1..=20 {
        setup.consume(request(vec![span(trace(number, 0), number)])).await;
        millis(100).await;
    }
    let begun = Instant::now();
    setup.shut_down().await;
    assert!((GRACE..=GRACE + Duration::from_millis(200)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered, account.dropped), (0, 0, dropped("shutdown", 20)));
}

#[tokio::test(start_paused = true)]
async fn a_next_component_that_recovers_before_the_deadline_gets_everything() {
    let setup = Arc::new(Setup::new(ALL, 2));
    setup.downstream.answer(Answer::Refuse { after: None });
    for number in 1..=20 {
        setup.consume(request(vec![span(trace(number, 0), number)])).await;
    }
    let ending = tokio::spawn({
        let setup = Arc::clone(&setup);
        async move { setup.shut_down().await }
    });
    sleep(GRACE / 2).await;
    assert!(!ending.is_finished());
    setup.downstream.answer(Answer::Take);
    ending.await.unwrap();
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.buffered), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn after_shutdown_nothing_is_taken() {
    let setup = Setup::new(ALL, 2);
    setup.shut_down().await;
    let refusal = setup.processor.consume(batch(traffic(1))).await;
    assert!(matches!(refusal, Err(Refusal::Retryable { .. })), "{refusal:?}");
    assert_eq!(setup.account().await, Account::default());
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_request_are_refused_for_good() {
    let setup = Setup::new(ALL, 2);
    let refusal =
        setup.processor.consume(Batch::new(Signal::Traces, Bytes::from_static(b"\x0a\xff"), 1)).await;
    assert!(matches!(refusal, Err(Refusal::Permanent(_))), "{refusal:?}");
    assert_eq!(setup.account().await, Account::default());
}

#[tokio::test(start_paused = true)]
async fn whatever_waits_is_on_the_budget_and_nothing_else_is() {
    let setup = Setup::new(ALL, 2);
    let requests: Vec<_> = (0..50).map(traffic).collect();
    let bytes: usize = requests.iter().map(Vec::len).sum();
    for request in requests {
        let charge = setup.budget.reserve(request.len()).unwrap();
        setup.processor.consume(batch(request).charged(charge)).await.unwrap();
    }
    millis(1).await;
    let pending = setup.budget.used();
    assert!(pending > bytes / 2, "{pending} for {bytes}");
    setup.downstream.answer(Answer::Refuse { after: None });
    millis(2_000).await;
    assert!(setup.budget.used() > bytes / 2, "what is refused still waits");
    setup.downstream.answer(Answer::Take);
    millis(200).await;
    setup.downstream.clear();
    setup.shut_down().await;
    assert_eq!(setup.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_collectors_metrics_say_what_happened() {
    let setup = Setup::new(MIXED, 2);
    let (kept, lost) = (trace(1, u64::MAX >> 8), trace(2, 0));
    setup.consume(request(vec![span(kept, 1), span(lost, 2), span(lost, 3)])).await;
    millis(1_100).await;
    setup.consume(request(vec![span(kept, 4), span(lost, 5), span(trace(3, 0), 6)])).await;
    millis(1).await;
    let text = prometheus::TextEncoder::new().encode_to_string(&setup.telemetry.registry().gather()).unwrap();
    for line in [
        "new_trace_id_received{processor=\"tail_sampling\"} 3",
        "global_count_traces_sampled{decision=\"sampled\",processor=\"tail_sampling\",sampled=\"true\"} 1",
        "global_count_traces_sampled{decision=\"not_sampled\",processor=\"tail_sampling\",sampled=\"false\"} 1",
        "count_traces_sampled{decision=\"sampled\",policy=\"some\",processor=\"tail_sampling\",sampled=\"true\"} 1",
        "count_traces_sampled{decision=\"not_sampled\",policy=\"bad\",processor=\"tail_sampling\",sampled=\"false\"} 2",
        "count_spans_sampled{decision=\"not_sampled\",policy=\"some\",processor=\"tail_sampling\",sampled=\"false\"} 2",
        "sampling_policy_execution_count{policy=\"some\",processor=\"tail_sampling\"} 2",
        "sampling_trace_removal_age_bucket{processor=\"tail_sampling\",reason=\"due\",le=\"1\"} 2",
        "sampling_trace_removal_age_sum{processor=\"tail_sampling\",reason=\"due\"} 2",
        "early_releases_from_cache_decision{processor=\"tail_sampling\",sampled=\"true\"} 1",
        "early_releases_from_cache_decision{processor=\"tail_sampling\",sampled=\"false\"} 1",
        "sampling_traces_on_memory{processor=\"tail_sampling\"} 1",
    ] {
        assert!(text.contains(&format!("\notelcol_processor_tail_sampling_{line}\n")), "{line}\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_that_policies_take_is_counted_where_they_judge_many_traces() {
    let setup =
        Setup::new(&ALL.replace("type: always_sample", "type: latency, latency: {threshold_ms: 1}"), 1);
    let microseconds = || {
        let families = setup.telemetry.registry().gather();
        let family =
            families.iter().find(|family| family.name().ends_with("policy_execution_time_sum")).unwrap();
        family.get_metric()[0].get_counter().get_value()
    };
    setup.consume(request(vec![span(trace(1, 0), 1)])).await;
    millis(1_100).await;
    assert_eq!(microseconds(), 0.0);
    // No machine judges five thousand traces within a microsecond.
    setup.consume(request((2..5_000).map(|number| span(trace(number, 0), number)).collect())).await;
    millis(1_100).await;
    assert!(microseconds() > 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_pending_traces_may_hold_stands_beside_what_they_do() {
    let setup = Setup::bounded(ALL, 2, 64 << 20);
    let gauge = |name: &str| {
        let families = setup.telemetry.registry().gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric()[0].get_gauge().get_value()
    };
    setup.consume(request(vec![span(trace(1, 0), 1)])).await;
    millis(1).await;
    let (used, limit) =
        (gauge("forebay_tail_sampling_pending_bytes"), gauge("forebay_tail_sampling_pending_bytes_limit"));
    // A part of it is for decisions that are remembered.
    assert!(limit > f64::from(56 << 20) && limit <= f64::from(64 << 20), "{limit}");
    assert!(used > 0.0 && used < limit, "{used}");
}

#[tokio::test(start_paused = true)]
async fn bounds_are_shared_by_the_shards() {
    let yaml = "{decision_wait: 1h, num_traces: 80, policies: [{name: all, type: always_sample}]}";
    let (setup, bound) = (Setup::bounded(yaml, 4, 8 << 20), 8 << 20);
    for number in 1..=1_000 {
        setup.consume(request(vec![span(trace(number, 0), number)])).await;
    }
    let account = setup.account().await;
    assert!((40..=80).contains(&account.buffered), "{account:?}");
    assert_eq!(account.outgoing + account.buffered, 1_000);

    for number in 1..=1_000 {
        let large = Span { name: "x".repeat(200_000), ..span(trace(number + 1_000, 0), number) };
        setup.consume(request(vec![large])).await;
    }
    millis(1).await;
    setup.downstream.clear();
    assert!((bound / 2..bound / 2 * 3).contains(&setup.budget.used()), "{} of {bound}", setup.budget.used());
}

#[tokio::test(start_paused = true)]
async fn with_block_on_overflow_senders_wait_for_decisions_and_nothing_deadlocks() {
    let yaml = "{decision_wait: 1s, num_traces: 5, block_on_overflow: true, policies: [{name: all, type: always_sample}]}";
    let setup = Setup::new(yaml, 1);
    // More than shards may have queued, each a trace of its own.
    for number in 1..=200 {
        setup.consume(request(vec![span(trace(number, 0), number)])).await;
    }
    millis(60_000).await;
    let account = setup.account().await;
    assert_eq!((account.outgoing, account.dropped), (200, BTreeMap::new()));
}

#[tokio::test(start_paused = true)]
async fn what_a_budget_has_learned_is_there_for_the_next_processor_of_that_name() {
    let yaml = |goal| {
        format!(
            "{{decision_wait: 1s, policies: [{{name: budget, type: adaptive_throughput, adaptive_throughput: {{\
                goal_throughput: {goal}, adjustment_interval: 2s, \
                fingerprint_attributes: ['resource.attributes[\"service.name\"]']}}}}]}}"
        )
    };
    let learned = LearnedRates::default();
    let old = Setup::after(learned.clone(), &yaml(1), 4, 64 << 20);
    for seed in 0..100 {
        old.consume(traffic(seed)).await;
        millis(99).await;
    }
    old.shut_down().await;
    let rates = learned.get("tail_sampling", "budget").unwrap().rates;
    assert!(rates.len() == 1 && rates[0].1 > 50.0, "{rates:?}");
    assert_eq!(learned.get("tail_sampling/other", "budget"), None);

    let new = Setup::after(learned, &yaml(3), 4, 64 << 20);
    new.consume(traffic(1_000)).await;
    millis(3_000).await;
    // One of thirty or so, where one that knows nothing would have kept one of ten.
    let account = new.account().await;
    assert!(account.outgoing < 3, "{account:?}");
}
