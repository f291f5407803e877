use super::*;
use crate::head::{Limit, Mode};
use crate::testing::pipeline::{Account, Answer, Downstream, batch};
use crate::testing::{Span, Value, attribute, random, request, span, span_with_state, trace};

const STAGE: &str = "processor/probabilistic_sampler";

struct Setup {
    processor: HeadProcessor,
    downstream: Arc<Downstream>,
    budget: Budget,
    telemetry: Telemetry,
}

impl Setup {
    fn new() -> Self {
        let config = ProbabilisticConfig {
            mode: Mode::Equalizing,
            sampling_percentage: 50.0,
            ..ProbabilisticConfig::default()
        };
        let (downstream, budget, telemetry) =
            (Arc::new(Downstream::default()), Budget::new(1 << 20), Telemetry::new());
        let processor = HeadProcessor::probabilistic(
            "probabilistic_sampler",
            Signal::Traces,
            &config,
            budget.clone(),
            &telemetry,
            downstream.clone(),
        );
        Self { processor: processor.unwrap(), downstream, budget, telemetry }
    }

    fn account(&self) -> Account {
        Account::of(&self.telemetry, STAGE)
    }
}

/// A request of 100 traces with one span each.
fn mixed(seed: u64) -> Vec<u8> {
    request(random(seed).take(100).map(|number| span(trace(number | 1, number), number | 1)).collect())
}

#[tokio::test]
async fn what_is_kept_is_handed_on_and_the_rest_is_accounted_for() {
    let setup = Setup::new();
    for seed in 0..10 {
        setup.processor.consume(batch(mixed(seed))).await.unwrap();
        let account = setup.account();
        assert!(account.balances(), "{account:?}");
    }
    let kept = setup.downstream.spans();
    assert!((400..600).contains(&kept.len()));
    assert!(kept.iter().all(|span| span.trace_state == "ot=th:8" && span.trace_id[9] >= 0x80));
    let account = setup.account();
    assert_eq!((account.incoming, account.outgoing, account.buffered), (1_000, kept.len() as i64, 0));
    assert_eq!(account.dropped, [("not_sampled".to_owned(), 1_000 - account.outgoing)].into());
}

#[tokio::test]
async fn what_is_refused_is_not_taken_and_comes_back_whole() {
    let setup = Setup::new();
    for (answer, retryable) in [(Answer::Refuse { after: None }, true), (Answer::Reject, false)] {
        setup.downstream.answer(answer);
        let refusal = setup.processor.consume(batch(mixed(1))).await.unwrap_err();
        assert_eq!(matches!(refusal, Refusal::Retryable { .. }), retryable);
        assert_eq!(setup.account(), Account::default());
    }
    setup.downstream.answer(Answer::Take);
    setup.processor.consume(batch(mixed(1))).await.unwrap();
    assert_eq!(setup.account().incoming, 100);
}

#[tokio::test]
async fn a_request_of_which_nothing_is_kept_goes_no_further() {
    let setup = Setup::new();
    setup.processor.consume(batch(request(vec![span(trace(1, 0), 1)]))).await.unwrap();
    assert_eq!((setup.downstream.asked(), setup.account().incoming), (0, 1));
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused_for_good() {
    let setup = Setup::new();
    let refusal =
        setup.processor.consume(Batch::new(Signal::Traces, Bytes::from_static(b"\x0a\xff"), 1)).await;
    assert!(matches!(refusal, Err(Refusal::Permanent(_))));
    assert_eq!(setup.account(), Account::default());
}

#[tokio::test]
async fn only_what_is_kept_stays_on_the_budget() {
    let setup = Setup::new();
    let incoming = mixed(1);
    let charge = setup.budget.reserve(incoming.len()).unwrap();
    setup.processor.consume(batch(incoming.clone()).charged(charge)).await.unwrap();
    assert!(setup.budget.used() > 0 && setup.budget.used() < incoming.len());
    setup.downstream.clear();
    assert_eq!(setup.budget.used(), 0);
}

#[tokio::test]
async fn spans_are_counted_by_how_they_were_decided() {
    let setup = Setup::new();
    let priority = |number, value| {
        let attributes = vec![attribute("sampling.priority", Value::IntValue(value))];
        Span { attributes, ..span(trace(number, 0), number) }
    };
    let spans = vec![
        span(trace(1, 0), 1),
        span(trace(2, u64::MAX), 2),
        priority(3, 1),
        priority(4, 1),
        priority(5, 0),
        span_with_state(trace(6, 0), 6, "="),
    ];
    setup.processor.consume(batch(request(spans))).await.unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&setup.telemetry.registry().gather()).unwrap();
    for (policy, kept, dropped) in [
        ("trace_id_w3c", 1, 1),
        ("trace_id_hash", 0, 0),
        ("sampling_randomness", 0, 0),
        ("sampling_priority", 2, 1),
        ("missing_randomness", 0, 1),
    ] {
        for (sampled, count) in [("true", kept), ("false", dropped)] {
            let line = format!(
                "otelcol_processor_probabilistic_sampler_count_traces_sampled\
                 {{policy=\"{policy}\",processor=\"probabilistic_sampler\",sampled=\"{sampled}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}

#[tokio::test]
async fn log_records_are_counted_by_the_attribute_that_was_hashed() {
    let config = ProbabilisticConfig {
        sampling_percentage: 100.0,
        hashes_trace_id: false,
        from_attribute: "user.id".to_owned(),
        ..ProbabilisticConfig::default()
    };
    let (downstream, telemetry) = (Arc::new(Downstream::default()), Telemetry::new());
    let budget = Budget::new(1 << 20);
    let processor = HeadProcessor::probabilistic(
        "sampler",
        Signal::Logs,
        &config,
        budget,
        &telemetry,
        downstream.clone(),
    );
    // Request, resource, scope, record, attribute: `user.id` is `a`.
    let record = b"\x32\x0e\x0a\x07user.id\x12\x03\x0a\x01a";
    let request = [b"\x0a\x14\x12\x12\x12\x10", record.as_slice()].concat();
    processor.unwrap().consume(Batch::new(Signal::Logs, request.into(), 1)).await.unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&telemetry.registry().gather()).unwrap();
    let line = "otelcol_processor_probabilistic_sampler_count_logs_sampled\
                {policy=\"user.id\",processor=\"sampler\",sampled=\"true\"} 1\n";
    assert!(text.contains(line), "{text}");
    assert!(
        text.contains("forebay_stage_outgoing_items{signal=\"logs\",stage=\"processor/sampler\"} 1\n"),
        "{text}"
    );
    assert_eq!(downstream.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_as_time_goes_by() {
    let config = RateConfig { limit: Limit { per_second: 100.0, burst: 100.0 }, counts_traces: false };
    let (downstream, telemetry) = (Arc::new(Downstream::default()), Telemetry::new());
    let budget = Budget::new(1 << 20);
    let processor = HeadProcessor::rate_limiting("limit", &config, budget, &telemetry, downstream.clone());
    for seed in 0..100 {
        processor.consume(batch(mixed(seed))).await.unwrap();
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
    }
    let kept = downstream.spans().len();
    // A burst, and ten seconds.
    assert!((900..1_300).contains(&kept), "{kept}");
    let account = Account::of(&telemetry, "processor/limit");
    assert!(account.balances() && account.incoming == 10_000, "{account:?}");
}
