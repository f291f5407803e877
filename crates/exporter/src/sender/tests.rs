use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use http_body::Body;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::*;
use crate::queue::{BatchConfig, QueueConfig};
use crate::retry::RetryConfig;
use crate::testing::{GRACE, context, shut_down, spans};
use crate::transport::{Outcome, Payload};

/// What a scripted destination does with an attempt.
#[derive(Clone, Debug)]
enum Step {
    Answer(Outcome),
    AfterPause(Duration, Outcome),
    Hang,
}

/// Answers attempts by a script, then by `finally`, and remembers them.
#[derive(Clone)]
struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    finally: Step,
    attempts: Arc<Mutex<Vec<(Duration, usize)>>>,
    begun: Instant,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>, finally: Step) -> Self {
        Self {
            steps: Arc::new(Mutex::new(steps.into_iter().collect())),
            finally,
            attempts: Arc::default(),
            begun: Instant::now(),
        }
    }

    /// When attempts were made, and how many bytes each had.
    fn attempts(&self) -> Vec<(Duration, usize)> {
        self.attempts.lock().unwrap().clone()
    }

    fn seconds(&self) -> Vec<f64> {
        self.attempts().iter().map(|(at, _)| at.as_secs_f64()).collect()
    }
}

impl Transport for Script {
    async fn encode(&self, _: Signal, pieces: Vec<Bytes>) -> Result<Payload, String> {
        Ok(Payload::gather(&[], pieces))
    }

    async fn send(&self, _: Signal, payload: Payload) -> Outcome {
        let size = usize::try_from(payload.size_hint().exact().unwrap()).unwrap();
        self.attempts.lock().unwrap().push((self.begun.elapsed(), size));
        let step = self.steps.lock().unwrap().pop_front().unwrap_or_else(|| self.finally.clone());
        match step {
            Step::Answer(outcome) => outcome,
            Step::AfterPause(pause, outcome) => {
                sleep(pause).await;
                outcome
            }
            Step::Hang => std::future::pending().await,
        }
    }
}

fn delivered() -> Step {
    Step::Answer(Outcome::DELIVERED)
}

fn failed() -> Step {
    Step::Answer(Outcome::failed("down"))
}

fn throttled(after: u64) -> Step {
    let after = Some(Duration::from_secs(after));
    Step::Answer(Outcome::Failed { message: "busy".into(), after })
}

/// No jitter, so that times can be told.
fn config() -> SendingConfig {
    SendingConfig {
        retry: Some(RetryConfig { randomization_factor: 0.0, ..RetryConfig::default() }),
        ..SendingConfig::with_timeout(Duration::from_secs(5))
    }
}

fn sender(script: &Script, config: SendingConfig, context: &ExporterContext) -> Sender<Script> {
    Sender::new("otlp", script.clone(), config, context, Rng::with_seed(1))
}

fn batch(items: usize) -> Batch {
    Batch::new(Signal::Traces, Bytes::from(vec![0; items]), items)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    incoming: u64,
    outgoing: u64,
    buffered: i64,
    rejected: u64,
    exhausted: u64,
    shutdown: u64,
}

fn sums(context: &ExporterContext) -> Sums {
    let ledger = context.telemetry.ledger("exporter/otlp", Signal::Traces);
    Sums {
        incoming: ledger.incoming.get(),
        outgoing: ledger.outgoing.get(),
        buffered: ledger.buffered.get(),
        rejected: ledger.dropped("rejected").get(),
        exhausted: ledger.dropped("retries_exhausted").get(),
        shutdown: ledger.dropped("shutdown").get(),
    }
}

fn metric(context: &ExporterContext, line: &str) -> bool {
    let families = context.telemetry.registry().gather();
    let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
    text.lines().any(|have| have == line)
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_is_sent_and_counted() {
    let (script, context) = (Script::new([], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    shut_down(&sender).await;
    assert_eq!(sums(&context), Sums { incoming: 3, outgoing: 3, ..Sums::default() });
    assert_eq!(context.budget.used(), 0);
    for line in [
        "otelcol_exporter_sent_spans{exporter=\"otlp\"} 3",
        "otelcol_exporter_send_failed_spans{exporter=\"otlp\"} 0",
        "otelcol_exporter_queue_size{data_type=\"traces\",exporter=\"otlp\"} 0",
        "otelcol_exporter_queue_capacity{data_type=\"traces\",exporter=\"otlp\"} 1000",
        "otelcol_exporter_in_flight_requests{data_type=\"traces\",exporter=\"otlp\"} 0",
    ] {
        assert!(metric(&context, line), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_pauses() {
    let (script, context) = (Script::new([failed(), failed(), failed()], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(script.seconds(), [0.0, 5.0, 12.5, 23.75]);
    assert_eq!(sums(&context), Sums { incoming: 3, outgoing: 3, ..Sums::default() });
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_names_a_time_is_not_asked_before_it() {
    let (script, context) = (Script::new([throttled(20), throttled(1)], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(script.seconds(), [0.0, 20.0, 27.5], "the longer of both pauses counts");
}

#[tokio::test(start_paused = true)]
async fn retries_end_after_the_elapsed_time() {
    let (script, context) = (Script::new([], failed()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(sums(&context), Sums { incoming: 3, exhausted: 3, ..Sums::default() });
    assert!(script.seconds().last().unwrap() <= &300.0);
    assert!(metric(&context, "otelcol_exporter_send_failed_spans{exporter=\"otlp\"} 3"));
    assert_eq!(context.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_retries_go_on() {
    let (script, context) = (Script::new((0..100).map(|_| failed()), delivered()), context());
    let retry = RetryConfig { max_elapsed_time: None, ..config().retry.unwrap() };
    let sender = sender(&script, SendingConfig { retry: Some(retry), ..config() }, &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(sums(&context).outgoing, 3);
}

#[tokio::test(start_paused = true)]
async fn a_time_beyond_all_clocks_is_only_a_long_wait() {
    let (script, context) = (Script::new([throttled(u64::MAX)], delivered()), context());
    let retry = RetryConfig { max_elapsed_time: None, ..config().retry.unwrap() };
    let sender = sender(&script, SendingConfig { retry: Some(retry), ..config() }, &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(sums(&context).buffered, 3);
    shut_down(&sender).await;
    assert_eq!(sums(&context).outgoing, 3);
}

#[tokio::test(start_paused = true)]
async fn without_retry_the_first_failure_is_the_last() {
    let (script, context) = (Script::new([], failed()), context());
    let sender = sender(&script, SendingConfig { retry: None, ..config() }, &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sums(&context), Sums { incoming: 3, exhausted: 3, ..Sums::default() });
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_not_retried() {
    let rejected = Step::Answer(Outcome::Rejected("no such tenant".into()));
    let (script, context) = (Script::new([], rejected), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(script.attempts().len(), 1);
    assert_eq!(sums(&context), Sums { incoming: 3, rejected: 3, ..Sums::default() });
}

#[tokio::test(start_paused = true)]
async fn partial_success_counts_what_was_rejected() {
    let partial = |rejected| Step::Answer(Outcome::Delivered { rejected, message: "bad".into() });
    let (script, context) = (Script::new([partial(2), partial(100)], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(5)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sums(&context), Sums { incoming: 5, outgoing: 3, rejected: 2, ..Sums::default() });
    sender.consume(batch(5)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sums(&context), Sums { incoming: 10, outgoing: 3, rejected: 7, ..Sums::default() });
    assert_eq!(script.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_attempt_is_given_up_after_the_timeout() {
    let (script, context) = (Script::new([Step::Hang], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(script.seconds(), [0.0, 10.0]);
    assert_eq!(sums(&context).outgoing, 3);
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_are_under_way_as_there_are_consumers() {
    let slow = Step::AfterPause(Duration::from_secs(1), Outcome::DELIVERED);
    let (script, context) = (Script::new([], slow), context());
    let queue = QueueConfig { num_consumers: 3, ..QueueConfig::default() };
    let sender = sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context);
    for _ in 0..7 {
        sender.consume(batch(10_000)).await.unwrap();
    }
    sleep(Duration::from_millis(500)).await;
    assert!(metric(
        &context,
        "otelcol_exporter_in_flight_requests{data_type=\"traces\",exporter=\"otlp\"} 3"
    ));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(script.seconds(), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_takes_nothing() {
    let (script, context) = (Script::new([], Step::Hang), context());
    let queue = QueueConfig { queue_size: 2, ..QueueConfig::default() };
    let sender = sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context);
    sender.consume(batch(10_000)).await.unwrap();
    sender.consume(batch(10_000)).await.unwrap();
    let refusal = sender.consume(batch(10_000)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Retryable { .. }), "{refusal}");
    assert_eq!(sums(&context), Sums { incoming: 20_000, buffered: 20_000, ..Sums::default() });
    assert!(metric(&context, "otelcol_exporter_enqueue_failed_spans{exporter=\"otlp\"} 10000"));
    assert!(metric(&context, "otelcol_exporter_queue_size{data_type=\"traces\",exporter=\"otlp\"} 2"));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_many_small_batches_loses_nothing_and_makes_few_requests() {
    let slow = Step::AfterPause(Duration::from_millis(1), Outcome::DELIVERED);
    let (script, context) = (Script::new([], slow), context());
    let sender = sender(&script, config(), &context);
    for _ in 0..5000 {
        sender.consume(batch(12)).await.unwrap();
    }
    shut_down(&sender).await;
    assert_eq!(sums(&context).outgoing, 60_000);
    assert!(script.attempts().len() < 20, "{}", script.attempts().len());
}

#[tokio::test(start_paused = true)]
async fn batches_wait_for_their_size_or_their_time() {
    let (script, context) = (Script::new([], delivered()), context());
    let batching = BatchConfig { min_size: 100, ..BatchConfig::default() };
    let queue = QueueConfig { batch: Some(batching), ..QueueConfig::default() };
    let sender = sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context);
    for _ in 0..15 {
        sender.consume(batch(10)).await.unwrap();
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_secs(1)).await;
    let flushed = Duration::from_millis(200);
    assert_eq!(script.attempts(), [(Duration::ZERO, 100), (flushed, 50)]);
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_cut_below_the_limit_of_backends() {
    let (script, context) = (Script::new([], delivered()), context());
    let sender = sender(&script, config(), &context);
    let large = spans(5000, 2000);
    assert!(large.bytes.len() > 2 * MESSAGE_LIMIT);
    sender.consume(large).await.unwrap();
    shut_down(&sender).await;
    let sizes: Vec<usize> = script.attempts().iter().map(|(_, size)| *size).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= MESSAGE_LIMIT), "{sizes:?}");
    assert_eq!(sums(&context).outgoing, 5000);
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_cut_to_the_largest_batch() {
    let (script, context) = (Script::new([], delivered()), context());
    let batching = BatchConfig { min_size: 10, max_size: 40, ..BatchConfig::default() };
    let queue = QueueConfig { batch: Some(batching), ..QueueConfig::default() };
    let sender = sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context);
    sender.consume(spans(100, 10)).await.unwrap();
    shut_down(&sender).await;
    assert_eq!(script.attempts().len(), 3);
    assert_eq!(sums(&context).outgoing, 100);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_cut_is_refused_for_good() {
    let (script, context) = (Script::new([], delivered()), context());
    let sender = sender(&script, config(), &context);
    let garbage = Bytes::from(vec![0xff; MESSAGE_LIMIT + 1]);
    let refusal = sender.consume(Batch::new(Signal::Traces, garbage, 1)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Permanent(_)), "{refusal}");
}

fn waiting(queue: bool) -> SendingConfig {
    let queue = queue.then(|| QueueConfig { wait_for_result: true, ..QueueConfig::default() });
    SendingConfig { queue, ..config() }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_told_the_outcome_and_owns_what_failed() {
    for queue in [true, false] {
        let rejected = Step::Answer(Outcome::Rejected("bad".into()));
        let steps = [delivered(), rejected, failed(), delivered()];
        let (script, context) = (Script::new(steps, failed()), context());
        let sender = sender(&script, waiting(queue), &context);
        sender.consume(batch(1)).await.unwrap();
        let refusal = sender.consume(batch(10)).await.unwrap_err();
        assert_eq!(refusal, Refusal::Permanent("bad".into()));
        sender.consume(batch(100)).await.unwrap();
        let refusal = sender.consume(batch(1000)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Retryable { .. }));
        assert_eq!(sums(&context), Sums { incoming: 101, outgoing: 101, ..Sums::default() });
        assert_eq!(context.budget.used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_goes_away_while_it_waits_changes_nothing() {
    for queue in [true, false] {
        let slow = Step::AfterPause(Duration::from_secs(1), Outcome::DELIVERED);
        let (script, context) = (Script::new([], slow), context());
        let sender = sender(&script, waiting(queue), &context);
        let impatient = tokio::time::timeout(Duration::from_millis(1), sender.consume(batch(3)));
        assert!(impatient.await.is_err());
        shut_down(&sender).await;
        let sums = sums(&context);
        assert_eq!((sums.incoming, sums.buffered), (sums.outgoing, 0));
        assert_eq!(context.budget.used(), 0);
        assert!(metric(
            &context,
            "otelcol_exporter_in_flight_requests{data_type=\"traces\",exporter=\"otlp\"} 0"
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_back_off_short_and_delivers_when_the_backend_returns() {
    let (script, context) = (Script::new((0..40).map(|_| failed()), delivered()), context());
    let sender = sender(&script, config(), &context);
    for _ in 0..20 {
        sender.consume(batch(10_000)).await.unwrap();
    }
    sleep(Duration::from_millis(10)).await;
    let before = Instant::now();
    shut_down(&sender).await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(sums(&context), Sums { incoming: 200_000, outgoing: 200_000, ..Sums::default() });
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_keeps_to_times_that_the_destination_names() {
    let (script, context) = (Script::new([throttled(8), throttled(8)], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(3)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    shut_down(&sender).await;
    assert_eq!(script.seconds(), [0.0, 1.0, 9.0]);
    assert_eq!(sums(&context).outgoing, 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_shutdown_cannot_deliver_is_counted_by_its_deadline() {
    for step in [failed(), throttled(100), throttled(0), Step::Hang] {
        let (script, context) = (Script::new([], step), context());
        let sender = sender(&script, config(), &context);
        for _ in 0..20 {
            sender.consume(batch(10_000)).await.unwrap();
        }
        let before = Instant::now();
        shut_down(&sender).await;
        assert_eq!(sums(&context), Sums { incoming: 200_000, shutdown: 200_000, ..Sums::default() });
        assert_eq!(before.elapsed(), GRACE);
        assert_eq!(context.budget.used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_backend_gets_everything_at_shutdown() {
    let slow = Step::AfterPause(Duration::from_secs(1), Outcome::DELIVERED);
    let (script, context) = (Script::new([], slow), context());
    let sender = sender(&script, config(), &context);
    for _ in 0..100 {
        sender.consume(batch(10_000)).await.unwrap();
    }
    shut_down(&sender).await;
    assert_eq!(sums(&context).outgoing, 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn signals_do_not_wait_for_each_other() {
    let (script, context) = (Script::new([], Step::Hang), context());
    let queue = QueueConfig { queue_size: 1, ..QueueConfig::default() };
    let sender = sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context);
    sender.consume(batch(10_000)).await.unwrap();
    assert!(sender.consume(batch(10_000)).await.is_err());
    sender.consume(Batch::new(Signal::Logs, Bytes::from("log"), 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_holds_one_charge_and_nothing_of_its_sender() {
    let (script, context) = (Script::new([], Step::Hang), context());
    let sender = sender(&script, config(), &context);
    let charge = context.budget.charge(500);
    sender.consume(batch(500).charged(charge)).await.unwrap();
    sender.consume(batch(200)).await.unwrap();
    assert_eq!(context.budget.used(), 700);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_keeps_its_charge() {
    let (script, context) = (Script::new([], Step::Hang), context());
    let queue = QueueConfig { queue_size: 1, block_on_overflow: true, ..QueueConfig::default() };
    let sender = sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context);
    sender.consume(batch(10_000)).await.unwrap();
    let charge = context.budget.charge(9000);
    let blocked = sender.consume(batch(9000).charged(charge));
    tokio::pin!(blocked);
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut blocked).await.is_err());
    assert_eq!(context.budget.used(), 19_000);
}

#[tokio::test]
async fn an_empty_request_is_not_worth_sending() {
    let (script, context) = (Script::new([], delivered()), context());
    let sender = sender(&script, config(), &context);
    sender.consume(batch(0)).await.unwrap();
    shut_down(&sender).await;
    assert!(script.attempts().is_empty());
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(delivered()),
        3 => Just(failed()),
        2 => (0_u64..40).prop_map(throttled),
        1 => Just(Step::Answer(Outcome::Rejected("bad".into()))),
        1 => (0_u64..50).prop_map(|rejected| Step::Answer(Outcome::Delivered {
            rejected,
            message: String::new(),
        })),
        1 => Just(Step::Hang),
        1 => (0_u64..10_000).prop_map(|millis| Step::AfterPause(
            Duration::from_millis(millis),
            Outcome::DELIVERED,
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// in = out + buffered + Σ reasons, whatever the destination does and whenever one looks.
    #[test]
    fn the_ledger_adds_up(
        steps in prop::collection::vec(step(), 0..60),
        finally in step(),
        batches in prop::collection::vec((1_usize..3000, 1_u64..20_000), 1..40),
        queue_size in 1_usize..20,
        num_consumers in 1_usize..4,
        batching in any::<bool>(),
        wait_for_result in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (script, context) = (Script::new(steps, finally), context());
            let queue = QueueConfig {
                queue_size,
                num_consumers,
                wait_for_result,
                batch: batching.then(BatchConfig::default),
                ..QueueConfig::default()
            };
            let sender = Arc::new(sender(&script, SendingConfig { queue: Some(queue), ..config() }, &context));
            let mut senders = Vec::new();
            let mut offered = 0;
            for (items, pause) in batches {
                let one = Arc::clone(&sender);
                senders.push(tokio::spawn(async move {
                    one.consume(batch(items)).await.map_or(0, |()| items)
                }));
                offered += items;
                sleep(Duration::from_millis(pause)).await;
                let now = sums(&context);
                let elsewhere = now.outgoing + now.rejected + now.exhausted + now.shutdown;
                assert_eq!(now.incoming, elsewhere + now.buffered.cast_unsigned());
            }
            shut_down(sender.as_ref()).await;
            let mut taken = 0;
            for sender in senders {
                taken += sender.await.unwrap();
            }
            let end = sums(&context);
            assert!(taken <= offered);
            assert_eq!(end.incoming, taken as u64);
            assert_eq!(end.incoming, end.outgoing + end.rejected + end.exhausted + end.shutdown);
            assert_eq!((end.buffered, context.budget.used()), (0, 0));
        });
    }
}
