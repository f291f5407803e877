use std::sync::Mutex as StdMutex;

use forebay_config::read_str;
use forebay_otlp::wire::put_bytes;

use super::*;

/// Remembers what it was given; refuses while `refusing`.
#[derive(Default)]
struct Sink {
    batches: StdMutex<Vec<Batch>>,
    refusing: StdMutex<bool>,
}

impl Sink {
    fn sizes(&self) -> Vec<usize> {
        self.batches.lock().unwrap().iter().map(|batch| batch.items).collect()
    }
}

impl Consumer for Sink {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        let answer = if *self.refusing.lock().unwrap() {
            Err(Refusal::retryable("full"))
        } else {
            self.batches.lock().unwrap().push(batch);
            Ok(())
        };
        Box::pin(std::future::ready(answer))
    }
}

/// A request of `items` spans under one scope.
fn request(items: usize) -> Batch {
    let mut scope = Vec::new();
    (0..items).for_each(|_| put_bytes(&mut scope, 2, b"\x2a\x01x"));
    let mut resource = Vec::new();
    put_bytes(&mut resource, 2, &scope);
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &resource);
    Batch::new(Signal::Traces, Bytes::from(request), items)
}

struct Fixture {
    processor: BatchProcessor,
    sink: Arc<Sink>,
    budget: Budget,
    ledger: Ledger,
}

fn start(yaml: &str) -> Fixture {
    let (config, problems) = read_str(yaml, BatchConfig::read);
    assert!(!problems.has_errors(), "{}", problems.render(false));
    let (sink, budget, telemetry) = (Arc::new(Sink::default()), Budget::new(1 << 20), Telemetry::new());
    let next = Arc::clone(&sink) as Arc<dyn Consumer>;
    let processor = BatchProcessor::start("batch", config, Signal::Traces, budget.clone(), &telemetry, next);
    Fixture { processor, sink, budget, ledger: telemetry.ledger("processor/batch", Signal::Traces) }
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_it_is_large_enough() {
    let Fixture { processor, sink, .. } = start("{send_batch_size: 10, timeout: 1h}");
    for _ in 0..4 {
        processor.consume(request(6)).await.unwrap();
    }
    processor.shutdown(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(sink.sizes(), [12, 12]);
    let bytes: usize = (0..2).map(|_| request(6).bytes.len()).sum();
    assert_eq!(sink.batches.lock().unwrap()[0].bytes.len(), bytes);
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_its_first_item_has_waited_long_enough() {
    let Fixture { processor, sink, .. } = start("{timeout: 200ms}");
    processor.consume(request(3)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(199)).await;
    processor.consume(request(4)).await.unwrap();
    assert!(sink.sizes().is_empty());
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(sink.sizes(), [7]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_cut_to_the_largest_size() {
    let Fixture { processor, sink, .. } = start("{send_batch_size: 4, send_batch_max_size: 4, timeout: 1h}");
    processor.consume(request(10)).await.unwrap();
    processor.shutdown(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(sink.sizes(), [4, 4, 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_while_the_next_component_refuses() {
    let Fixture { processor, sink, budget, ledger } = start("{send_batch_size: 1}");
    *sink.refusing.lock().unwrap() = true;
    let mut taken = 0;
    while processor.consume(request(2)).await.is_ok() {
        taken += 2;
    }
    assert!(taken > 0);
    assert_eq!(ledger.buffered.get(), i64::from(taken));
    *sink.refusing.lock().unwrap() = false;
    processor.shutdown(Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(sink.sizes().iter().sum::<usize>(), usize::try_from(taken).unwrap());
    assert_eq!((ledger.incoming.get(), ledger.buffered.get()), (ledger.outgoing.get(), 0));
    sink.batches.lock().unwrap().clear();
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_largest_size_below_the_usual_one_is_a_mistake() {
    let (_, problems) = read_str("{send_batch_max_size: 2048}", BatchConfig::read);
    assert!(problems.render(false).contains("send_batch_size"), "{}", problems.render(false));
}
