use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;

use super::*;

fn partial(rejected: u64, message: &str) -> PartialSuccess {
    PartialSuccess { rejected, message: message.to_owned() }
}

#[test]
fn full_success_is_an_empty_response() {
    assert_eq!(partial(0, "").encode(), b"");
    assert_eq!(PartialSuccess::decode(b""), Ok(None));
    for signal in Signal::ALL {
        assert_eq!(partial(0, "").encode_json(signal), b"{}");
        assert_eq!(PartialSuccess::decode_json(signal, b"{}"), None);
        assert_eq!(PartialSuccess::decode_json(signal, br#"{"partialSuccess":{"errorMessage":""}}"#), None);
    }
}

#[test]
fn a_partial_success_is_what_prost_reads_and_writes() {
    for (rejected, message) in [(3, "three bad ones"), (0, "a warning"), (7, "")] {
        let ours = partial(rejected, message);
        let partial_success = ExportTracePartialSuccess {
            rejected_spans: i64::try_from(rejected).unwrap(),
            error_message: message.to_owned(),
        };
        let theirs = ExportTraceServiceResponse { partial_success: Some(partial_success) };
        assert_eq!(ours.encode(), theirs.encode_to_vec());
        assert_eq!(PartialSuccess::decode(&theirs.encode_to_vec()), Ok(Some(ours)));
    }
}

#[test]
fn json_names_what_was_rejected() {
    for (signal, name) in
        Signal::ALL.into_iter().zip(["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"])
    {
        let json = format!(r#"{{"partialSuccess":{{"{name}":"3","errorMessage":"why"}}}}"#);
        assert_eq!(String::from_utf8(partial(3, "why").encode_json(signal)).unwrap(), json);
        assert_eq!(PartialSuccess::decode_json(signal, json.as_bytes()), Some(partial(3, "why")));
    }
}

#[test]
fn odd_responses_are_read_for_what_they_say() {
    let negative = ExportTracePartialSuccess { rejected_spans: -1, error_message: "odd".to_owned() };
    let response = ExportTraceServiceResponse { partial_success: Some(negative) };
    assert_eq!(PartialSuccess::decode(&response.encode_to_vec()), Ok(Some(partial(0, "odd"))));
    assert_eq!(PartialSuccess::decode(b"\x0a\x05"), Err(WireError::Truncated));
    assert_eq!(PartialSuccess::decode_json(Signal::Traces, b"<html>"), None);
}

#[test]
fn a_status_survives_with_its_delay() {
    for retry_delay in [None, Some(Duration::ZERO), Some(Duration::new(3, 500_000_000))] {
        let status = Status { code: 14, message: "busy".to_owned(), retry_delay };
        assert_eq!(Status::decode(&status.encode()), Ok(status));
    }
    let status = Status { code: -1, ..Status::default() };
    assert_eq!(Status::decode(&status.encode()), Ok(status));
    assert_eq!(Status::default().encode(), b"");
}

/// The bytes that Go's `status.WithDetails` makes.
#[test]
fn a_status_has_the_bytes_of_other_implementations() {
    let bytes = b"\x08\x0e\x12\x04busy\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x03";
    let status = Status { code: 14, message: "busy".to_owned(), retry_delay: Some(Duration::from_secs(3)) };
    assert_eq!(status.encode(), bytes);
    assert_eq!(Status::decode(bytes), Ok(status));
}

#[test]
fn other_details_and_impossible_delays_are_passed_over() {
    let mut any = Vec::new();
    put_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.Help");
    put_bytes(&mut any, 2, b"\x0a\x02\x08\x03");
    assert_eq!(retry_delay(&any), Ok(None));
    let mut any = Vec::new();
    put_bytes(&mut any, 1, RETRY_INFO.as_bytes());
    assert_eq!(retry_delay(&any), Ok(Some(Duration::ZERO)));
    put_bytes(&mut any, 2, b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_eq!(retry_delay(&any), Ok(None));
}

#[test]
fn a_status_in_json_is_the_body_of_an_http_error() {
    let json = |retry_delay| {
        let status = Status { code: 8, message: "over \"budget\"".to_owned(), retry_delay };
        String::from_utf8(status.encode_json()).unwrap()
    };
    assert_eq!(json(None), r#"{"code":8,"message":"over \"budget\""}"#);
    let details = |delay| {
        format!(
            r#"{{"code":8,"message":"over \"budget\"","details":[{{"@type":"{RETRY_INFO}","retryDelay":"{delay}"}}]}}"#
        )
    };
    assert_eq!(json(Some(Duration::from_secs(3))), details("3s"));
    assert_eq!(json(Some(Duration::from_millis(1_500))), details("1.500000000s"));
}
