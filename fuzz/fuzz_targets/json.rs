//! OTLP/JSON, differential against `prost`.
//!
//! The first byte chooses the signal; the rest is read as JSON and as protobuf. What either reader
//! takes has to mean the same after a round trip through the other encoding.

#![no_main]

use std::fmt::Debug;

use forebay_otlp::{Signal, json};
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

fuzz_target!(|input: &[u8]| {
    let Some((selector, data)) = input.split_first() else {
        return;
    };
    match selector % 3 {
        0 => check::<ExportTraceServiceRequest>(Signal::Traces, data),
        1 => check::<ExportMetricsServiceRequest>(Signal::Metrics, data),
        _ => check::<ExportLogsServiceRequest>(Signal::Logs, data),
    }
});

fn check<M: Message + Default + Debug>(signal: Signal, data: &[u8]) {
    if let Ok(bytes) = json::decode(signal, data) {
        let request = M::decode(&*bytes).expect("what is made of JSON is protobuf");
        assert_survives(signal, &bytes, &request);
    }
    if let Ok(request) = M::decode(data) {
        assert_survives(signal, data, &request);
    }
    let mut out = Vec::new();
    if json::encode(signal, data, &mut out).is_ok() {
        json::decode(signal, &out).expect("what is written is JSON");
    }
}

fn assert_survives<M: Message + Default + Debug>(signal: Signal, bytes: &[u8], request: &M) {
    let mut out = Vec::new();
    json::encode(signal, bytes, &mut out).expect("prost has read it");
    let bytes = json::decode(signal, &out).expect("what is written is JSON");
    let read = M::decode(&*bytes).expect("what is made of JSON is protobuf");
    // As text, in which NaN equals NaN.
    assert_eq!(format!("{read:?}"), format!("{request:?}"), "by way of {}", String::from_utf8_lossy(&out));
}
