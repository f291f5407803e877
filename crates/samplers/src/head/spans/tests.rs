//! Which spans are left of a request, and what they leave with.

use forebay_otlp::threshold::Randomness;
use forebay_otlp::tracestate::TraceState;
use proptest::prelude::*;

use super::*;
use crate::head::{Mode, Policy};
use crate::testing::raw::{around, elaborate, messages};
use crate::testing::{
    Span, Value, attribute, decode, encode, random, request, span, span_with_state, text, trace, under,
};

/// The highest randomness.
const HIGH: u64 = (1 << 56) - 1;

const FULL: ProbabilisticConfig = keeping(100.0);
const HALF: ProbabilisticConfig = keeping(50.0);
const NONE: ProbabilisticConfig = keeping(0.0);

const fn keeping(sampling_percentage: f32) -> ProbabilisticConfig {
    ProbabilisticConfig {
        mode: Mode::Proportional,
        sampling_percentage,
        hash_seed: 0,
        fail_closed: true,
        sampling_precision: 4,
        hashes_trace_id: true,
        from_attribute: String::new(),
        sampling_priority: String::new(),
    }
}

fn sample(config: &ProbabilisticConfig, request: &[u8]) -> Sampled {
    let sampled = SpanSampler::new(config).unwrap().sample(request, &SpanIndex::scan(request).unwrap());
    assert_eq!(decode(&sampled.request).len(), sampled.items);
    sampled
}

fn spans(config: &ProbabilisticConfig, spans: Vec<Span>) -> Vec<Span> {
    decode(&sample(config, &request(spans)).request).into_iter().map(|located| located.span).collect()
}

/// The `tracestate` with which a span of the highest randomness leaves, if it is kept.
fn state(config: &ProbabilisticConfig, trace_state: &str) -> Option<String> {
    spans(config, vec![span_with_state(trace(1, HIGH), 1, trace_state)]).pop().map(|span| span.trace_state)
}

fn with_priority(value: Value, trace_state: &str) -> Span {
    let attributes = vec![attribute("other", text("x")), attribute("sampling.priority", value)];
    Span { attributes, ..span_with_state(trace(1, HIGH), 1, trace_state) }
}

#[test]
fn thresholds_are_those_of_the_specification() {
    for (sampling_percentage, threshold) in
        [(10.0, "e666"), (1.0, "fd70a"), (0.1, "ffbe77"), (25.0, "c"), (50.0, "8"), (100.0, "0"), (1e9, "0")]
    {
        for mode in [Mode::Proportional, Mode::Equalizing] {
            let config = ProbabilisticConfig { mode, sampling_percentage, ..FULL };
            assert_eq!(state(&config, ""), Some(format!("ot=th:{threshold}")));
        }
    }
    let precise = ProbabilisticConfig { sampling_percentage: 40.0, sampling_precision: 7, ..FULL };
    assert_eq!(state(&precise, ""), Some("ot=th:999999a".to_owned()));
}

#[test]
fn the_hash_leaves_its_threshold_and_its_number() {
    let config = ProbabilisticConfig { mode: Mode::HashSeed, sampling_percentage: 100.0, ..FULL };
    let trace_state = state(&config, "a=b").unwrap();
    let rv = trace_state.strip_prefix("ot=th:0;rv:").and_then(|rest| rest.strip_suffix(",a=b"));
    assert_eq!(rv.map(str::len), Some(14), "{trace_state}");
    let tenth = ProbabilisticConfig { sampling_percentage: 10.0, ..config };
    let kept = spans(
        &tenth,
        random(3).take(200).map(|number| span(trace(number | 1, number), number | 1)).collect(),
    );
    assert!(!kept.is_empty());
    // 1638 of 16384.
    assert!(kept.iter().all(|span| span.trace_state.starts_with("ot=th:e668;rv:")));
}

#[test]
fn zero_percent_keeps_nothing_and_a_hundred_or_more_everything() {
    let all: Vec<_> =
        random(1).take(100).map(|number| span(trace(number | 1, number >> 8), number | 1)).collect();
    for mode in [Mode::HashSeed, Mode::Proportional, Mode::Equalizing] {
        assert_eq!(spans(&ProbabilisticConfig { mode, ..NONE }, all.clone()), []);
        for sampling_percentage in [100.0, 100.1, f32::MAX] {
            assert_eq!(
                spans(&ProbabilisticConfig { mode, sampling_percentage, ..FULL }, all.clone()).len(),
                all.len()
            );
        }
    }
    let nothing = sample(&NONE, &request(all));
    assert_eq!(
        (nothing.request, nothing.items, nothing.counts.of(Policy::TraceIdW3c)),
        (Vec::new(), 0, (0, 100))
    );
}

#[test]
fn a_percentage_without_a_threshold_is_an_error() {
    for mode in [Mode::Proportional, Mode::Equalizing] {
        assert!(SpanSampler::new(&ProbabilisticConfig { mode, sampling_percentage: 1e-20, ..FULL }).is_err());
    }
}

#[test]
fn the_explicit_number_of_a_trace_goes_before_its_id_and_stays() {
    assert_eq!(state(&HALF, "ot=rv:7fffffffffffff"), None);
    let low = span_with_state(trace(1, 0), 1, "ot=rv:80000000000000");
    assert_eq!(spans(&HALF, vec![low])[0].trace_state, "ot=th:8;rv:80000000000000");
}

#[test]
fn stages_compose_as_their_mode_says() {
    let composed = |mode, before| state(&ProbabilisticConfig { mode, ..HALF }, before);
    assert_eq!(composed(Mode::Proportional, "ot=th:8"), Some("ot=th:c".to_owned()));
    assert_eq!(composed(Mode::Proportional, "ot=th:0"), Some("ot=th:8".to_owned()));
    assert_eq!(composed(Mode::Equalizing, "ot=th:8"), Some("ot=th:8".to_owned()));
    assert_eq!(composed(Mode::Equalizing, "ot=th:c"), Some("ot=th:c".to_owned()));
    assert_eq!(composed(Mode::Equalizing, "ot=th:4"), Some("ot=th:8".to_owned()));
    assert_eq!(composed(Mode::HashSeed, "ot=th:8"), Some("ot=th:c".to_owned()));
}

#[test]
fn what_others_wrote_into_the_trace_state_stays() {
    assert_eq!(state(&HALF, "a=1,b=2"), Some("ot=th:8,a=1,b=2".to_owned()));
    assert_eq!(
        state(&HALF, "a=1,ot=x:y;th:4;z:1,b=2"),
        Some("ot=th:c;x:y;z:1,a=1,b=2".replace("th:c", "th:a"))
    );
}

#[test]
fn what_cannot_be_read_or_is_inconsistent_is_dropped_or_kept_as_configured() {
    let open = ProbabilisticConfig { fail_closed: false, ..HALF };
    for (before, after) in [
        ("=", "="),
        ("ot=th:4,ot=th:8", "ot=th:4,ot=th:8"),
        ("ot=th:G", "ot=th:G"),
        ("ot=th:", "ot=th:"),
        ("ot=rv:ABC,a=b", "ot=rv:ABC,a=b"),
        // Inconsistent: nobody can have kept that.
        ("ot=th:c;rv:90000000000000;x:y,a=b", "ot=rv:90000000000000;x:y,a=b"),
        ("a=b,ot=th:c;rv:90000000000000", "ot=rv:90000000000000,a=b"),
    ] {
        assert_eq!(state(&HALF, before), None, "{before}");
        assert_eq!(state(&open, before), Some(after.to_owned()), "{before}");
    }
    let inconsistent = span_with_state(trace(1, 0), 1, "ot=th:c");
    assert_eq!(spans(&open, vec![inconsistent.clone()]), [span(trace(1, 0), 1)]);
    let malformed = span_with_state(trace(1, 0), 1, "=");
    for (span, policy) in [(inconsistent, Policy::TraceIdW3c), (malformed, Policy::MissingRandomness)] {
        let counts = |config| sample(config, &request(vec![span.clone()])).counts.of(policy);
        assert_eq!((counts(&open), counts(&HALF)), ((1, 0), (0, 1)));
    }
}

#[test]
fn a_priority_of_zero_drops_and_more_keeps() {
    for value in
        [Value::IntValue(1), Value::DoubleValue(0.1), text("1"), text("2.5"), Value::IntValue(i64::MAX)]
    {
        let kept = sample(&NONE, &request(vec![with_priority(value.clone(), "")]));
        assert_eq!((kept.items, kept.counts.of(Policy::SamplingPriority)), (1, (1, 0)), "{value:?}");
    }
    for value in
        [Value::IntValue(0), Value::DoubleValue(0.0), Value::DoubleValue(-0.0), text("0"), text("0.0")]
    {
        let kept = sample(&FULL, &request(vec![with_priority(value.clone(), "")]));
        assert_eq!((kept.items, kept.counts.of(Policy::SamplingPriority)), (0, (0, 1)), "{value:?}");
    }
}

#[test]
fn a_priority_that_is_no_number_or_negative_says_nothing() {
    let odd =
        [Value::IntValue(-1), Value::DoubleValue(f64::NAN), text("high"), text(""), Value::BoolValue(true)];
    for value in odd {
        for (config, spans) in [(&NONE, 0), (&FULL, 1)] {
            let sampled = sample(config, &request(vec![with_priority(value.clone(), "")]));
            assert_eq!(
                (sampled.items, sampled.counts.of(Policy::SamplingPriority)),
                (spans, (0, 0)),
                "{value:?}"
            );
        }
    }
}

#[test]
fn a_priority_goes_before_everything_else() {
    let state = |value, trace_state| {
        let left = spans(&HALF, vec![with_priority(Value::IntValue(value), trace_state)]);
        left.first().map(|span| span.trace_state.clone())
    };
    for dropped in ["", "=", "ot=th:c;rv:90000000000000", "ot=rv:ffffffffffffff"] {
        assert_eq!(state(0, dropped), None);
    }
    // Kept for certain, so its weight is what it was before.
    for (before, after) in [
        ("", "ot=th:0"),
        ("a=b", "ot=th:0,a=b"),
        ("ot=rv:00000000000000", "ot=th:0;rv:00000000000000"),
        ("ot=th:c", "ot=th:c"),
        ("ot=th:c;rv:90000000000000", "ot=rv:90000000000000"),
        ("=", "="),
        ("ot=th:G", "ot=th:G"),
    ] {
        assert_eq!(state(1, before).as_deref(), Some(after), "{before}");
    }
}

#[test]
fn only_a_span_attribute_of_that_name_is_a_priority() {
    let named = |key: &str| vec![attribute(key, Value::IntValue(1))];
    let plain = span(trace(1, 0), 1);
    let value = Span { attributes: vec![attribute("x", text("sampling.priority"))], ..plain.clone() };
    let longer = Span { attributes: named("sampling.priority.x"), ..plain.clone() };
    let kept = sample(&HALF, &encode(vec![under(named("sampling.priority"), vec![value, longer, plain])]));
    assert_eq!((kept.items, kept.counts.of(Policy::TraceIdW3c)), (0, (0, 3)));
}

#[test]
fn the_priority_of_one_span_says_nothing_of_the_next() {
    let (low, high) = (trace(1, 0), trace(2, HIGH));
    let priority = |id, number, value| Span {
        attributes: vec![attribute("sampling.priority", Value::IntValue(value))],
        ..span(id, number)
    };
    let kept = spans(
        &HALF,
        vec![
            span(low, 1),
            priority(low, 2, 1),
            span(low, 3),
            span(high, 4),
            priority(high, 5, 0),
            span(high, 6),
            span_with_state(low, 7, "ot=rv:ffffffffffffff"),
            span(low, 8),
        ],
    );
    let names: Vec<_> = kept.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["span 2", "span 4", "span 6", "span 7"]);
}

#[test]
fn surroundings_and_order_stay() {
    let request = encode(vec![
        under(
            vec![attribute("service.name", text("shop"))],
            vec![span(trace(1, HIGH), 1), span(trace(2, 0), 2), span(trace(3, HIGH), 3)],
        ),
        under(vec![attribute("service.name", text("bank"))], vec![span(trace(4, 0), 4)]),
        under(vec![attribute("service.name", text("post"))], vec![span(trace(5, HIGH), 5)]),
    ]);
    let stamped = |id, number| span_with_state(trace(id, HIGH), number, "ot=th:8");
    let expected = encode(vec![
        under(vec![attribute("service.name", text("shop"))], vec![stamped(1, 1), stamped(3, 3)]),
        under(vec![attribute("service.name", text("post"))], vec![stamped(5, 5)]),
    ]);
    assert_eq!(decode(&sample(&HALF, &request).request), decode(&expected));
}

#[test]
fn spans_leave_as_the_bytes_they_came_as_with_the_stamp_at_the_end() {
    let request =
        around(&[elaborate(trace(1, HIGH), 1), elaborate(trace(2, 0), 2), elaborate(trace(3, HIGH), 3)]);
    let mut expected = messages(&request);
    expected.remove(1);
    expected.iter_mut().for_each(|(body, ..)| body.extend_from_slice(b"\x1a\x07ot=th:8"));
    assert_eq!(messages(&sample(&HALF, &request).request), expected);
}

proptest! {
    #[test]
    fn what_is_kept_reaches_the_threshold_it_leaves_with(
        mode in prop_oneof![Just(Mode::HashSeed), Just(Mode::Proportional), Just(Mode::Equalizing)],
        sampling_percentage in prop_oneof![0.001..150.0_f32, 99.0..=100.0_f32],
        sampling_precision in 1..=14_u32,
        hash_seed: u32,
        states in prop::collection::vec("(a=b,)?(ot=(x:y;)?(th:[0-9a-f]{1,14})?(;rv:[0-9a-f]{14})?)?", 1..20),
        seed: u64,
    ) {
        let config = ProbabilisticConfig { mode, sampling_percentage, sampling_precision, hash_seed, ..FULL };
        let incoming: Vec<_> = states.iter().zip(random(seed)).map(|(state, number)| span_with_state(trace(number | 1, number), number | 1, state)).collect();
        for span in spans(&config, incoming.clone()) {
            let before = incoming.iter().find(|before| before.span_id == span.span_id).unwrap();
            let ot = TraceState::parse(span.trace_state.as_bytes()).unwrap().ot();
            let threshold = ot.th.unwrap().expect("a threshold, which is never empty");
            let id = TraceId(u128::from_be_bytes(span.trace_id.as_slice().try_into().unwrap()));
            prop_assert!(threshold.keeps(ot.rv.unwrap().unwrap_or(Randomness::from_trace_id(id.to_bytes()))));
            let passed = TraceState::parse(before.trace_state.as_bytes()).unwrap().ot().th.unwrap();
            prop_assert!(passed.is_none_or(|passed| passed <= threshold));
            prop_assert_eq!(Span { trace_state: String::new(), ..span }, Span { trace_state: String::new(), ..before.clone() });
        }
    }
}
