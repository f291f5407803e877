use std::sync::Arc;

use forebay_config::read_str;
use futures_util::FutureExt;

use super::*;

const LARGE: usize = 1024 * 1024 * 1024;

fn queue(config: QueueConfig) -> Queue {
    Queue::new(config, Budget::new(LARGE))
}

fn batched(batch: BatchConfig) -> Queue {
    queue(QueueConfig { batch: Some(batch), ..QueueConfig::default() })
}

/// A batch of `items` items in `items` bytes.
fn batch(items: usize) -> Vec<(Bytes, usize)> {
    vec![(Bytes::from(vec![0; items]), items)]
}

fn push(queue: &Queue, parts: Vec<(Bytes, usize)>) -> Result<(), Refusal> {
    queue.push(parts).now_or_never().expect("an attempt does not wait").map(drop)
}

fn next(queue: &Queue) -> Option<Request> {
    queue.next().now_or_never().expect("there is something to take")
}

fn is_waiting(queue: &Queue) -> bool {
    queue.next().now_or_never().is_none()
}

#[tokio::test]
async fn without_batch_a_lone_request_goes_at_once() {
    let queue = queue(QueueConfig::default());
    push(&queue, batch(3)).unwrap();
    assert_eq!(next(&queue).unwrap().load, Load::request(3, 3));
    assert!(is_waiting(&queue));
}

#[tokio::test]
async fn a_burst_of_small_batches_takes_few_places() {
    let queue = queue(QueueConfig { queue_size: 3, ..QueueConfig::default() });
    for _ in 0..5000 {
        push(&queue, batch(4)).unwrap();
    }
    let loads: Vec<usize> = std::iter::from_fn(|| queue.next().now_or_never().flatten())
        .map(|request| request.load.items)
        .collect();
    assert_eq!(loads, [8192, 8192, 3616]);
}

#[tokio::test]
async fn merged_requests_keep_their_order_and_bytes() {
    let queue = queue(QueueConfig::default());
    for byte in 0..10_u8 {
        push(&queue, vec![(Bytes::from(vec![byte; 2]), 1)]).unwrap();
    }
    let request = next(&queue).unwrap();
    assert_eq!(request.pieces.concat(), (0..10).flat_map(|byte| [byte; 2]).collect::<Vec<u8>>());
    assert_eq!(request.load, Load::request(10, 20));
}

#[tokio::test]
async fn merging_never_passes_the_limit_of_a_message() {
    let queue = queue(QueueConfig::default());
    let nearly = MESSAGE_LIMIT - 10;
    push(&queue, vec![(Bytes::from(vec![0; 100]), 1)]).unwrap();
    push(&queue, vec![(Bytes::from(vec![0; nearly]), 1)]).unwrap();
    push(&queue, vec![(Bytes::from(vec![0; 5]), 1)]).unwrap();
    let sizes: Vec<usize> = (0..3).map(|_| next(&queue).unwrap().load.bytes).collect();
    assert_eq!(sizes, [100, nearly, 5]);
}

#[tokio::test]
async fn each_sizer_bounds_what_it_counts() {
    for (sizer, queue_size, fit) in
        [(Sizer::Requests, 4, 4), (Sizer::Items, 30_000, 3), (Sizer::Bytes, 40_000, 4)]
    {
        let queue = queue(QueueConfig { sizer, queue_size, ..QueueConfig::default() });
        let taken = (0..10).take_while(|_| push(&queue, batch(10_000)).is_ok()).count();
        assert_eq!(taken, fit, "{sizer:?}");
        assert!(matches!(push(&queue, batch(10_000)), Err(Refusal::Retryable { .. })));
    }
}

#[tokio::test]
async fn bytes_are_bounded_by_a_share_of_the_budget_whatever_the_sizer() {
    let budget = Budget::new(4_000);
    let queue = Queue::new(QueueConfig::default(), budget.clone());
    push(&queue, batch(600)).unwrap();
    push(&queue, batch(400)).unwrap();
    let refusal = push(&queue, batch(1)).unwrap_err();
    assert!(refusal.to_string().contains("1000 bytes"), "{refusal}");
    assert_eq!(budget.used(), 1000, "what waits is charged");
    drop(next(&queue));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn room_comes_back_when_a_request_is_settled_not_when_it_is_taken() {
    let queue = queue(QueueConfig { queue_size: 1, ..QueueConfig::default() });
    push(&queue, batch(10_000)).unwrap();
    let request = next(&queue).unwrap();
    assert!(push(&queue, batch(1)).is_err());
    queue.release(request.load);
    push(&queue, batch(1)).unwrap();
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_is_taken_when_nothing_else_waits() {
    let queue = queue(QueueConfig { sizer: Sizer::Items, queue_size: 10, ..QueueConfig::default() });
    push(&queue, batch(50)).unwrap();
    assert!(push(&queue, batch(1)).is_err());
}

#[tokio::test]
async fn a_batch_cut_to_size_is_taken_whole_or_not_at_all() {
    let queue = queue(QueueConfig { queue_size: 3, ..QueueConfig::default() });
    push(&queue, batch(9000)).unwrap();
    let parts = vec![(Bytes::from("a"), 1), (Bytes::from("b"), 1), (Bytes::from("c"), 1)];
    assert!(push(&queue, parts.clone()).is_err());
    assert_eq!(queue.size(), 1);
    push(&queue, parts[..2].to_vec()).unwrap();
    assert_eq!(queue.size(), 3, "parts are not merged again");
}

#[tokio::test]
async fn a_blocked_sender_gets_the_room_that_is_given_back() {
    let config = QueueConfig { queue_size: 1, block_on_overflow: true, ..QueueConfig::default() };
    let queue = Arc::new(queue(config));
    push(&queue, batch(9000)).unwrap();
    let blocked = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.push(batch(9001)).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert!(!blocked.is_finished());
    let first = next(&queue).unwrap();
    queue.release(first.load);
    blocked.await.unwrap().unwrap();
    assert_eq!(next(&queue).unwrap().load.items, 9001);
}

#[tokio::test]
async fn closing_turns_senders_away_and_ends_after_what_waits() {
    let queue = batched(BatchConfig::default());
    push(&queue, batch(1)).unwrap();
    assert!(is_waiting(&queue));
    queue.close();
    assert!(push(&queue, batch(1)).is_err());
    assert_eq!(next(&queue).unwrap().load.items, 1);
    assert!(next(&queue).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_size_or_its_time() {
    let queue = batched(BatchConfig { min_size: 10, ..BatchConfig::default() });
    push(&queue, batch(9)).unwrap();
    assert!(is_waiting(&queue));
    push(&queue, batch(1)).unwrap();
    assert_eq!(next(&queue).unwrap().load.items, 10);

    push(&queue, batch(9)).unwrap();
    let before = Instant::now();
    assert_eq!(queue.next().await.unwrap().load.items, 9);
    assert_eq!(before.elapsed(), Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_batch_stays_below_its_largest_size() {
    let queue = batched(BatchConfig { min_size: 5, max_size: 6, ..BatchConfig::default() });
    for _ in 0..3 {
        push(&queue, batch(4)).unwrap();
    }
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(queue.next().await.unwrap().load.items);
    }
    assert_eq!(sizes, [4, 4, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_counted_in_bytes_does_not_look_at_items() {
    let queue = batched(BatchConfig { min_size: 10, sizer: Sizer::Bytes, ..BatchConfig::default() });
    push(&queue, vec![(Bytes::from("12345"), 1000)]).unwrap();
    assert!(is_waiting(&queue));
    push(&queue, vec![(Bytes::from("67890"), 1)]).unwrap();
    assert_eq!(next(&queue).unwrap().load.bytes, 10);
}

#[test]
fn defaults_are_the_collectors() {
    let (config, diagnostics) = read_str("{}", QueueConfig::read);
    assert_eq!(config, Some(QueueConfig::default()));
    assert!(diagnostics.is_empty());
    let (config, _) = read_str("batch:", QueueConfig::read);
    assert_eq!(config.unwrap().batch, Some(BatchConfig::default()));
    assert_eq!(read_str("enabled: false", QueueConfig::read).0, None);
}

#[test]
fn settings_that_cannot_work_are_errors() {
    for (yaml, problem) in [
        ("num_consumers: 0", "num_consumers"),
        ("queue_size: 0", "queue_size"),
        ("sizer: spans", "one of requests, items, bytes"),
        ("storage: file_storage", "persistent queue"),
        ("{sizer: items, queue_size: 100, batch: }", "would never be full"),
        ("batch: {min_size: 100, max_size: 10}", "is less than `min_size`"),
        ("batch: {flush_timeout: 0s}", "must be more than 0"),
        ("batch: {sizer: requests}", "one of items, bytes"),
    ] {
        let (_, diagnostics) = read_str(yaml, QueueConfig::read);
        assert!(diagnostics.has_errors(), "{yaml}");
        assert!(diagnostics.render(false).contains(problem), "{}", diagnostics.render(false));
    }
}
