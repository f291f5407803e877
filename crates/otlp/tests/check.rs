//! What is checked to the bottom against `prost`, the strictest decoder in use: the one takes what the other takes.

mod common;

use forebay_otlp::{Signal, check};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use common::{logs_request, metrics_request, trace_request};

/// Requests of every signal, encoded.
fn request() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        trace_request().prop_map(|request| request.encode_to_vec()),
        metrics_request().prop_map(|request| request.encode_to_vec()),
        logs_request().prop_map(|request| request.encode_to_vec()),
    ]
}

fn assert_checked_like_prost(request: &[u8]) {
    let prost = [
        ExportTraceServiceRequest::decode(request).map(drop),
        ExportMetricsServiceRequest::decode(request).map(drop),
        ExportLogsServiceRequest::decode(request).map(drop),
    ];
    for (signal, prost) in Signal::ALL.into_iter().zip(prost) {
        let ours = check(signal, request);
        assert_eq!(ours.is_ok(), prost.is_ok(), "{signal:?}: {ours:?}, prost: {prost:?}");
    }
}

proptest! {
    /// A request of one signal is one with strange fields of another.
    #[test]
    fn requests_are_taken_as_prost_takes_them(request in request()) {
        assert_checked_like_prost(&request);
    }

    #[test]
    fn damaged_requests_are_refused_as_prost_refuses_them(
        mut request in request(),
        damages in prop::collection::vec((any::<Index>(), any::<u8>()), 1..3),
    ) {
        prop_assume!(!request.is_empty());
        for (place, byte) in damages {
            let place = place.index(request.len());
            request[place] = byte;
        }
        assert_checked_like_prost(&request);
    }
}
