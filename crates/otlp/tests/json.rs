//! OTLP/JSON against two oracles: `prost` for the protobuf side, and the `serde` implementation of
//! `opentelemetry-proto`, which is what the Rust SDK sends, for the JSON side.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod common;

use std::fmt::Debug;

use forebay_otlp::wire::put_bytes;
use forebay_otlp::{Signal, count_items, json};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use serde::Serialize;

fn to_json(signal: Signal, request: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    json::encode(signal, request, &mut out).unwrap();
    out
}

fn from_json<M: Message + Default>(signal: Signal, json: &[u8]) -> M {
    let bytes = json::decode(signal, json)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(json)));
    M::decode(&*bytes).unwrap()
}

/// What we write is JSON, and what we and `serde` write reads as the request.
fn check<M>(signal: Signal, request: &M, items: usize) -> Result<(), TestCaseError>
where
    M: Message + Default + PartialEq + Serialize + Debug,
{
    let bytes = request.encode_to_vec();
    prop_assert_eq!(count_items(signal, &bytes), Ok(items));
    let ours = to_json(signal, &bytes);
    prop_assert!(serde_json::from_slice::<serde_json::Value>(&ours).is_ok());
    prop_assert_eq!(&from_json::<M>(signal, &ours), request);
    // `serde` writes infinities as null, which is unset.
    if !format!("{request:?}").contains("inf") {
        let theirs = serde_json::to_vec_pretty(request).unwrap();
        prop_assert_eq!(&from_json::<M>(signal, &theirs), request);
    }
    Ok(())
}

fn spans(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

fn data_points(request: &ExportMetricsServiceRequest) -> usize {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let data = scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
    data.map(|data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    })
    .sum()
}

fn log_records(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    scopes.map(|scope| scope.log_records.len()).sum()
}

/// A request with one item, which is all of `parts` in one message: protobuf merges them.
fn merged(parts: &[impl Message]) -> Vec<u8> {
    let item = parts.iter().flat_map(Message::encode_to_vec).collect::<Vec<_>>();
    [2, 2, 1].iter().fold(item, |inner, &number| {
        let mut outer = Vec::new();
        put_bytes(&mut outer, number, &inner);
        outer
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn trace_requests_survive(request in common::trace_request()) {
        check(Signal::Traces, &request, spans(&request))?;
    }

    #[test]
    fn metrics_requests_survive(request in common::metrics_request()) {
        check(Signal::Metrics, &request, data_points(&request))?;
    }

    #[test]
    fn logs_requests_survive(request in common::logs_request()) {
        check(Signal::Logs, &request, log_records(&request))?;
    }

    #[test]
    fn messages_in_parts_are_merged(
        spans in vec(common::span(), 2..4),
        metrics in vec(common::metric(), 2..4),
        log_records in vec(common::log_record(), 2..4),
    ) {
        let bytes = merged(&spans);
        let request: ExportTraceServiceRequest = from_json(Signal::Traces, &to_json(Signal::Traces, &bytes));
        prop_assert_eq!(request, Message::decode(&*bytes).unwrap());

        let bytes = merged(&metrics);
        let request: ExportMetricsServiceRequest = from_json(Signal::Metrics, &to_json(Signal::Metrics, &bytes));
        prop_assert_eq!(count_items(Signal::Metrics, &bytes), Ok(data_points(&request)));
        prop_assert_eq!(request, Message::decode(&*bytes).unwrap());

        let bytes = merged(&log_records);
        let request: ExportLogsServiceRequest = from_json(Signal::Logs, &to_json(Signal::Logs, &bytes));
        prop_assert_eq!(request, Message::decode(&*bytes).unwrap());
    }

    #[test]
    fn damaged_documents_and_requests_never_panic(
        request in common::metrics_request(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = request.encode_to_vec();
        let mut json = to_json(Signal::Metrics, &bytes);
        let place = at.index(json.len());
        json[place] = byte;
        let _ = json::decode(Signal::Metrics, &json);
        let _ = json::decode(Signal::Metrics, &json[..place]);
        if !bytes.is_empty() {
            let place = at.index(bytes.len());
            bytes[place] = byte;
            let mut out = b"before".to_vec();
            if json::encode(Signal::Metrics, &bytes, &mut out).is_ok() {
                prop_assert!(json::decode(Signal::Metrics, &out[6..]).is_ok());
            } else {
                prop_assert_eq!(out, b"before");
            }
        }
    }
}

#[test]
fn recorded_requests_read_as_serde_reads_them_and_survive() {
    for line in common::recorded_requests() {
        let request: ExportTraceServiceRequest = from_json(Signal::Traces, line.as_bytes());
        assert_eq!(request, serde_json::from_str(&line).unwrap());
        let bytes = request.encode_to_vec();
        assert_eq!(count_items(Signal::Traces, &bytes), Ok(spans(&request)));
        let ours = to_json(Signal::Traces, &bytes);
        assert_eq!(request, serde_json::from_slice(&ours).unwrap());
        assert_eq!(request, from_json(Signal::Traces, &ours));
    }
}
