//! How the time to stop is shared.

use std::sync::Mutex;

use forebay_pipeline::{Batch, BoxFuture, Refusal};
use tokio::time::sleep_until;

use super::*;

/// What has stopped, in order, and how long after the beginning, in milliseconds.
#[derive(Clone)]
struct Log {
    begun: Instant,
    stopped: Arc<Mutex<Vec<(&'static str, u128)>>>,
}

/// A component that needs some time to stop, and takes no more than it may.
struct Part {
    name: &'static str,
    needs: Duration,
    log: Log,
}

impl Log {
    fn new() -> Self {
        Self { begun: Instant::now(), stopped: Arc::default() }
    }

    fn part(&self, name: &'static str, needs: Duration) -> Part {
        Part { name, needs, log: self.clone() }
    }
}

impl Part {
    async fn end(&self, deadline: Instant) {
        sleep_until(deadline.min(Instant::now() + self.needs)).await;
        self.log.stopped.lock().unwrap().push((self.name, self.log.begun.elapsed().as_millis()));
    }
}

impl Receiver for Part {
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.end(deadline).await })
    }
}

impl Consumer for Part {
    fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn shutdown(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        Box::pin(self.end(deadline))
    }
}

/// Stops what a configuration of nothing starts, and these parts, within 20 s; says what stopped when.
async fn stop(receiver: Part, pipelines: Vec<Vec<Part>>, exporters: Vec<Part>) -> Vec<(&'static str, u128)> {
    let log = receiver.log.clone();
    let consumer = |part| Arc::new(part) as Arc<dyn Consumer>;
    let budget = Budget::new(1);
    let learned = LearnedRates::default();
    let tail = Grant { budget: budget.clone(), pending_bytes: 1, shards: 1, record_policy: false, learned };
    let service = Service {
        receivers: vec![Box::new(receiver)],
        processors: pipelines.into_iter().map(|parts| parts.into_iter().map(consumer).collect()).collect(),
        exporters: exporters
            .into_iter()
            .map(|exporter| (exporter.name.parse().unwrap(), consumer(exporter)))
            .collect(),
        extensions: Vec::new(),
        context: Arc::new(Context { budget, telemetry: Telemetry::new(), tail }),
        grace: Duration::from_secs(20),
        metrics: None,
    };
    service.stop().await;
    let stopped = log.stopped.lock().unwrap();
    stopped.clone()
}

const AT_ONCE: Duration = Duration::ZERO;
const STUCK: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn what_is_stuck_everywhere_ends_at_the_deadline_and_each_stage_has_had_time() {
    let log = Log::new();
    let part = |name| log.part(name, STUCK);
    let stopped =
        stop(part("receiver"), vec![vec![part("batch"), part("tail")]], vec![part("exporter")]).await;
    assert_eq!(stopped, [("receiver", 5_000), ("batch", 12_500), ("tail", 16_250), ("exporter", 20_000)]);
}

#[tokio::test(start_paused = true)]
async fn time_that_is_not_needed_is_left_to_the_stages_behind() {
    let log = Log::new();
    let tail = vec![log.part("tail", Duration::from_secs(1))];
    let stopped = stop(log.part("receiver", AT_ONCE), vec![tail], vec![log.part("exporter", STUCK)]).await;
    assert_eq!(stopped, [("receiver", 0), ("tail", 1_000), ("exporter", 20_000)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_stuck_is_nothing_to_wait_for() {
    let log = Log::new();
    let part = |name| log.part(name, AT_ONCE);
    let stopped = stop(part("receiver"), vec![vec![part("tail")]], vec![part("exporter")]).await;
    assert_eq!(stopped, [("receiver", 0), ("tail", 0), ("exporter", 0)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stuck_takes_no_time_from_its_neighbours() {
    let log = Log::new();
    let pipelines = vec![vec![log.part("stuck", STUCK)], vec![log.part("tail", AT_ONCE)]];
    let exporters = vec![log.part("dead", STUCK), log.part("slow", Duration::from_secs(9))];
    let stopped = stop(log.part("receiver", AT_ONCE), pipelines, exporters).await;
    assert_eq!(
        stopped,
        [("receiver", 0), ("tail", 0), ("stuck", 10_000), ("slow", 19_000), ("dead", 20_000)]
    );
}
