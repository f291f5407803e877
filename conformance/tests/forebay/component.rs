//! Forebay's processors without a process around them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use forebay_config::{Diagnostics, Table};
use forebay_conformance::{
    case::{Case, Processor},
    traffic::{Sort, Traffic},
};
use forebay_otlp::{Signal, SpanIndex, count_items};
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Refusal, Telemetry};
use forebay_samplers::{
    Compatibility,
    head::{HeadProcessor, ProbabilisticConfig},
    tail::{Grant, LearnedRates, TailConfig, TailProcessor},
};
use tokio::time::{Instant, sleep};

/// By then everything is decided, in virtual time.
const DECIDED: Duration = Duration::from_secs(60);

/// The requests of both acts, those of spans scanned once for all cases.
pub(crate) fn batches(sort: Sort, traffic: &Traffic) -> [Vec<Batch>; 2] {
    let batch = |request: &Bytes| match sort {
        Sort::Traces | Sort::Spans => Batch::scanned(request.clone(), SpanIndex::scan(request).unwrap()),
        Sort::Records => {
            let items = count_items(Signal::Logs, request).unwrap();
            Batch::new(Signal::Logs, request.clone(), items)
        }
    };
    traffic.acts.each_ref().map(|act| act.iter().map(batch).collect())
}

/// Sends the traffic through the processors of a case; what came out, or what is wrong with its configuration.
pub(crate) fn run(case: &Case, acts: &[Vec<Batch>; 2]) -> Result<Vec<Bytes>, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let sink = Arc::new(Sink::default());
        let mut stages: Vec<Arc<dyn Consumer>> = vec![sink.clone()];
        for processor in case.processors.iter().rev() {
            let next = Arc::clone(&stages[stages.len() - 1]);
            stages.push(start(case, processor, next)?);
        }
        let first = &stages[stages.len() - 1];
        for act in acts {
            for batch in act {
                first.consume(batch.clone()).await.unwrap();
            }
            sleep(DECIDED).await;
        }
        for stage in stages.iter().rev() {
            stage.shutdown(Instant::now() + DECIDED).await;
        }
        Ok(std::mem::take(&mut *sink.0.lock().unwrap()))
    })
}

fn start(case: &Case, processor: &Processor, next: Arc<dyn Consumer>) -> Result<Arc<dyn Consumer>, String> {
    let (budget, telemetry) = (Budget::new(1 << 30), Telemetry::new());
    match processor.kind {
        "tail_sampling" => {
            let config = read(processor, |table| TailConfig::read(table, compatibility(case)))?;
            let record_policy = case.gates.contains("processor.tailsamplingprocessor.recordpolicy");
            let learned = LearnedRates::default();
            let grant = Grant { budget, pending_bytes: 1 << 28, shards: 2, record_policy, learned };
            Ok(Arc::new(TailProcessor::start("tail_sampling", config, &grant, &telemetry, next)))
        }
        _ => {
            let (id, config) = ("probabilistic_sampler", read(processor, ProbabilisticConfig::read)?);
            let processor =
                HeadProcessor::probabilistic(id, case.sort.signal(), &config, budget, &telemetry, next);
            Ok(Arc::new(processor.map_err(|error| error.to_string())?))
        }
    }
}

fn read<T>(processor: &Processor, read: impl FnOnce(&Table<'_>) -> T) -> Result<T, String> {
    let diagnostics = Diagnostics::new();
    let value = read(&Table::root(&processor.settings, &diagnostics));
    if diagnostics.has_errors() {
        let found: Vec<_> = diagnostics.sorted().iter().map(ToString::to_string).collect();
        return Err(format!("refused: {}", found.join("; ")));
    }
    Ok(value)
}

fn compatibility(case: &Case) -> Compatibility {
    Compatibility {
        attribute_coercion: case.compat.contains("attribute_coercion"),
        latency_milliseconds: case.compat.contains("latency_milliseconds"),
        probabilistic_hash: case.compat.contains("probabilistic_hash"),
    }
}

/// Keeps what it takes.
#[derive(Default)]
struct Sink(Mutex<Vec<Bytes>>);

impl Consumer for Sink {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        self.0.lock().unwrap().push(batch.bytes);
        Box::pin(std::future::ready(Ok(())))
    }
}
