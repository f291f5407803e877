//! What comes in comes out: bytes, surroundings, order.

use forebay_otlp::wire::put_bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::*;
use crate::testing::raw::{around, elaborate, message, messages};
use crate::testing::{Located, ResourceSpans, ScopeSpans, attribute, decode, encode, text, under};

const OT: &[u8] = b"\x1a\x07ot=th:0";

/// Spans in forms that no encoder writes but that decode to a span of trace 1.
fn unusual() -> Vec<Vec<u8>> {
    let id = trace(1, 0).to_bytes();
    let plain = span(trace(1, 0), 2).encode_to_vec();
    let last = message(|out| {
        put_bytes(out, 2, &[1; 8]);
        put_bytes(out, 1, &id);
    });
    let twice = message(|out| {
        put_bytes(out, 1, &[7; 16]);
        put_bytes(out, 2, &[2; 8]);
        put_bytes(out, 1, &id);
    });
    let overlong_length = [&b"\x0a\x90\x00"[..], &id, b"\x12\x08\x03\x03\x03\x03\x03\x03\x03\x03"].concat();
    let overlong_tag = [&b"\x8a\x00\x10"[..], &id, b"\x12\x08\x04\x04\x04\x04\x04\x04\x04\x04"].concat();
    let short_id_first = message(|out| {
        put_bytes(out, 1, b"short");
        out.extend_from_slice(&plain);
    });
    let states = message(|out| {
        put_bytes(out, 3, b"a=b");
        out.extend_from_slice(&plain);
        put_bytes(out, 3, b"");
    });
    vec![last, twice, overlong_length, overlong_tag, short_id_first, states, elaborate(trace(1, 0), 9)]
}

#[test]
fn spans_leave_as_the_bytes_they_came_as_with_the_stamp_at_the_end() {
    let request = around(&[elaborate(trace(1, 0), 1), elaborate(trace(1, 0), 2)]);
    let stamped: Vec<_> = messages(&request)
        .into_iter()
        .map(|(body, resource, scope)| ([&body, OT].concat(), resource, scope))
        .collect();
    let mut tail = Tail::new(ALL);
    tail.accept(0, &request);
    tail.decide_all();
    assert_eq!(messages(&tail.outputs[0].request), stamped);
    tail.accept(0, &request);
    assert_eq!(messages(&tail.outputs[0].request), stamped, "late");
}

#[test]
fn unusual_encodings_stay_and_mean_the_same_afterwards() {
    let spans = unusual();
    // Each alone, so that none hides behind another, and all in one run.
    for spans in spans.iter().map(|span| vec![span.clone()]).chain([spans.clone()]) {
        let request = around(&spans);
        let mut tail = Tail::new(ALL);
        let expected: Vec<_> = decode(&request)
            .into_iter()
            .map(|located| Located {
                span: Span { trace_state: "ot=th:0".to_owned(), ..located.span },
                ..located
            })
            .collect();
        tail.accept(0, &request);
        tail.decide_all();
        let stamped: Vec<_> = spans.iter().map(|span| [span, OT].concat()).collect();
        let bodies = |tail: &Tail| {
            messages(&tail.outputs[0].request).into_iter().map(|(body, ..)| body).collect::<Vec<_>>()
        };
        assert_eq!((tail.located(), bodies(&tail)), (expected.clone(), stamped.clone()));
        tail.accept(0, &request);
        assert_eq!((tail.located(), bodies(&tail)), (expected, stamped), "late");
    }
}

#[test]
fn resources_and_scopes_keep_their_schema_urls_and_spans_their_order() {
    let scope = |name: &str, spans| ScopeSpans {
        scope: Some(InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }),
        spans,
        schema_url: format!("https://{name}"),
    };
    let resource = |name: &str, scope_spans| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", text(name))],
            ..Resource::default()
        }),
        scope_spans,
        schema_url: format!("https://{name}"),
    };
    let spans = |numbers: &[u64]| numbers.iter().map(|&number| span(trace(1, 0), number)).collect::<Vec<_>>();
    let mut tail = Tail::new(ALL);
    tail.accept(
        0,
        &encode(vec![
            resource("shop", vec![scope("http", spans(&[1, 2])), scope("sql", spans(&[3]))]),
            resource("bank", vec![scope("http", spans(&[4]))]),
            ResourceSpans {
                scope_spans: vec![ScopeSpans { spans: spans(&[5]), ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            },
        ]),
    );
    tail.accept(
        0,
        &encode(vec![
            resource("shop", vec![scope("http", spans(&[6]))]),
            resource("bank", vec![scope("http", spans(&[7]))]),
        ]),
    );
    tail.decide_all();
    let stamped = |numbers: &[u64]| {
        let stamped = spans(numbers).into_iter();
        stamped.map(|span| Span { trace_state: "ot=th:0".to_owned(), ..span }).collect::<Vec<_>>()
    };
    // Each envelope is written once, as its bytes came.
    let expected = encode(vec![
        resource("shop", vec![scope("http", stamped(&[1, 2, 6])), scope("sql", stamped(&[3]))]),
        resource("bank", vec![scope("http", stamped(&[4, 7]))]),
        ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: stamped(&[5]), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        },
    ]);
    assert_eq!(decode(&tail.outputs[0].request), decode(&expected));
    assert_eq!(tail.outputs[0].request.len(), expected.len());
}

#[test]
fn an_envelope_is_held_once_and_freed_with_its_last_span() {
    let mut tail = Tail::new(ALL);
    let large = "x".repeat(50_000);
    let request = |number: u64| {
        encode(vec![under(
            vec![attribute("service.name", text(&large))],
            vec![span(trace(number, 0), number)],
        )])
    };
    tail.accept(0, &request(1));
    let before = tail.sampler.pending_bytes();
    for number in 2..=100 {
        tail.accept(SECOND, &request(number));
    }
    assert_eq!(tail.sampler.pending_bytes(), before);
    tail.decide_all();
    assert!(tail.sampler.pending.store.envelopes.is_empty());
}

#[test]
fn predicates_of_a_resource_are_those_of_every_trace_under_it() {
    let yaml = "policies: [{name: shop, type: string_attribute, string_attribute: {key: service.name, values: [shop]}}]";
    let mut tail = Tail::new(yaml);
    let request = |name: &str, number| {
        encode(vec![under(vec![attribute("service.name", text(name))], vec![span(trace(number, 0), number)])])
    };
    for (name, number) in [("shop", 1), ("bank", 2), ("shop", 3), ("bank", 4)] {
        tail.accept(0, &request(name, number));
    }
    let kept: Vec<_> = tail.decide_all().into_iter().map(|span| span.name).collect();
    assert_eq!(kept, ["span 1", "span 3"]);
}
