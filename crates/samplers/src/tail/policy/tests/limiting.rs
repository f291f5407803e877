//! Policies that keep a rate: budgets hold, and what was kept says how much there was.

use super::*;

const RATE: &str = "type: rate_limiting, rate_limiting: {spans_per_second: 100, burst_capacity: 100}";

/// So many traces of `spans` spans each, with ids that `seed` decides.
fn traffic(seed: u64, traces: u64, spans: u64) -> Vec<Span> {
    let id = |number: u64| {
        let high = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
        let mixed = (high ^ high >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        [&number.to_be_bytes()[..], &(mixed ^ mixed >> 31).to_be_bytes()].concat()
    };
    (1..=traces)
        .flat_map(|number| {
            (1..=spans).map(move |span_id| Span { trace_id: id(number), ..span(trace(1, 0), span_id) })
        })
        .collect()
}

/// A sampler whose traces wait for a second.
fn limited(policies: &str) -> Tail {
    Tail::new(&format!("decision_wait: 1s\npolicies: [{policies}]"))
}

fn weight(span: &Span) -> f64 {
    let threshold = span.trace_state.strip_prefix("ot=th:").expect("a known probability");
    let digits = format!("{threshold:0<14}");
    let threshold = u64::from_str_radix(&digits, 16).unwrap();
    (1_u64 << 56) as f64 / ((1_u64 << 56) - threshold) as f64
}

#[test]
fn a_rate_is_kept_second_by_second() {
    let mut tail = limited(&format!("{{name: rate, {RATE}}}"));
    let mut kept = Vec::new();
    for second in 0..10 {
        tail.accept(second * SECOND, &request(traffic(second, 100, 5)));
        kept.push(tail.decide_due(second * SECOND + SECOND - MILLISECOND).len());
    }
    kept.push(tail.decide_due(12 * SECOND).len());
    assert!(kept[1..].iter().all(|&spans| spans <= 100), "{kept:?}");
    assert!(kept.iter().sum::<usize>() >= 900, "{kept:?}");
}

#[test]
fn bytes_are_limited_by_their_number() {
    let mut tail = limited(
        "{name: rate, type: bytes_limiting, bytes_limiting: {bytes_per_second: 1000, burst_capacity: 1000}}",
    );
    tail.accept(0, &request(traffic(1, 100, 1)));
    let kept = tail.decide_due(2 * SECOND);
    let bytes: usize = kept
        .iter()
        .map(|kept| prost::Message::encoded_len(&Span { trace_state: String::new(), ..kept.clone() }))
        .sum();
    assert!(bytes <= 1000 && bytes > 900, "{bytes}");
}

#[test]
fn limits_within_and_look_only_at_what_the_others_ask_for() {
    let mut tail = limited(&format!(
        "{{name: both, type: and, and: {{and_sub_policy: [{{name: rate, {RATE}}}, \
            {{name: large, type: span_count, span_count: {{min_spans: 10}}}}]}}}}"
    ));
    let spans = [traffic(1, 100, 5), traffic(2, 10, 10)].concat();
    tail.accept(0, &request(spans));
    assert_eq!(tail.decide_due(3 * SECOND).len(), 100);
}

#[test]
fn the_parts_of_a_composite_have_their_shares_and_the_whole_its_bound() {
    let composite = |total, shares: &str| {
        format!(
            "{{name: it, type: composite, composite: {{max_total_spans_per_second: {total}, \
                policy_order: [errors, rest], rate_allocation: [{shares}], composite_sub_policy: [\
                {{name: rest, type: always_sample}}, \
                {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}]}}}}"
        )
    };
    let run = |total, shares: &str| {
        let mut tail = limited(&composite(total, shares));
        let failed = traffic(1, 100, 5)
            .into_iter()
            .map(|span| Span { status: Some(Status { code: 2, ..Status::default() }), ..span });
        let spans = [failed.collect(), traffic(2, 200, 5)].concat();
        tail.accept(0, &request(spans));
        let kept = tail.decide_due(3 * SECOND);
        let errors = kept.iter().filter(|span| span.status.is_some()).count();
        (errors, kept.len() - errors)
    };
    assert_eq!(run(200, "{policy: errors, percent: 75}, {policy: rest, percent: 25}"), (150, 50));
    assert_eq!(
        run(200, "{policy: errors, percent: 25}"),
        (50, 100),
        "what is not allocated is an equal part"
    );
    let (errors, rest) = run(100, "{policy: errors, percent: 100}, {policy: rest, percent: 100}");
    assert!(errors + rest == 100 && errors > 0 && rest > 0, "{errors} and {rest}");
}

/// Sums of weights over 200 sets of ids: how many standard errors the mean is off.
fn z(policies: &str, traces: u64, spans: u64) -> f64 {
    let estimates: Vec<f64> = (0..200)
        .map(|seed| {
            let mut tail = limited(policies);
            tail.accept(0, &request(traffic(seed, traces, spans)));
            tail.decide_due(3 * SECOND).iter().map(weight).sum()
        })
        .collect();
    let mean = estimates.iter().sum::<f64>() / 200.0;
    let variance = estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>() / 199.0;
    assert!(variance > 0.0);
    (mean - (traces * spans) as f64) / (variance / 200.0).sqrt()
}

#[test]
fn weights_of_what_a_limit_keeps_estimate_the_traffic() {
    for policies in [
        format!("{{name: rate, {RATE}}}"),
        format!(
            "{{name: rate, {RATE}}}, {{name: floor, type: probabilistic, probabilistic: {{sampling_percentage: 25}}}}"
        ),
        format!(
            "{{name: both, type: and, and: {{and_sub_policy: [{{name: rate, {RATE}}}, \
            {{name: half, type: probabilistic, probabilistic: {{sampling_percentage: 50}}}}]}}}}"
        ),
    ] {
        let z = z(&policies, 300, 2);
        assert!(z.abs() < 4.0, "{z} for {policies}");
    }
    let bytes =
        "{name: rate, type: bytes_limiting, bytes_limiting: {bytes_per_second: 3000, burst_capacity: 3000}}";
    assert!(z(bytes, 300, 2).abs() < 4.0);
}
