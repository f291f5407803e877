use std::sync::Arc;

use forebay_otlp::response::PartialSuccess;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;

use super::*;

const ID: &[u8] = &[1; 16];

#[tokio::test]
async fn what_a_tonic_client_exports_arrives_byte_for_byte() {
    let fixture = Fixture::start(BOTH).await;
    let endpoint = format!("http://{}", fixture.receiver.grpc_addr().unwrap());
    let message = ExportTraceServiceRequest::decode(request(&[ID]).as_slice()).unwrap();
    let mut client = TraceServiceClient::connect(endpoint.clone()).await.unwrap();
    let answer = client.export(message).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    assert_eq!(fixture.sink.bytes(), [request(&[ID])]);

    let mut logs = LogsServiceClient::connect(endpoint).await.unwrap();
    let status = logs.export(ExportLogsServiceRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("no pipeline"), "{status}");
}

#[tokio::test]
async fn every_compression_is_understood() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    for (encoding, body) in encoded(&request(&[ID])) {
        let outcome = client.call(TRACES, Some(encoding), framed(true, &body)).await;
        assert_eq!((outcome.code, &outcome.body[..]), (Code::Ok, &[0; 5][..]), "{outcome:?}");
    }
    // A compressed call may carry an uncompressed message.
    assert_eq!(client.call(TRACES, Some("gzip"), framed(false, &request(&[ID]))).await.code, Code::Ok);
    assert_eq!(fixture.sink.bytes(), vec![request(&[ID]); 4]);
}

#[tokio::test]
async fn metrics_pass_as_bytes_and_an_empty_request_is_a_success_of_nothing() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    // resource_metrics { scope_metrics { metrics { gauge { data_points {} } } } }
    let metrics = [0x0a, 8, 0x12, 6, 0x12, 4, 0x2a, 2, 0x0a, 0];
    let outcome = client.call(Signal::Metrics.grpc_path(), None, framed(false, &metrics)).await;
    assert_eq!(outcome.code, Code::Ok, "{outcome:?}");
    assert_eq!(client.call(TRACES, None, framed(false, b"")).await.code, Code::Ok);
    assert_eq!(fixture.sink.bytes(), [&metrics[..]]);
    let accepted = "otelcol_receiver_accepted_metric_points{receiver=\"otlp\",transport=\"grpc\"}";
    assert_eq!(fixture.metric(accepted), 1);
}

#[tokio::test]
async fn a_unary_call_has_exactly_one_message() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    for body in [Vec::new(), framed(false, &request(&[ID])).repeat(2)] {
        let outcome = client.call(TRACES, None, body).await;
        assert_eq!(outcome.code, Code::Unimplemented, "{outcome:?}");
        assert!(outcome.message.contains("one message"), "{outcome:?}");
    }
    assert!(fixture.sink.bytes().is_empty());
}

#[tokio::test]
async fn what_is_unknown_is_unimplemented() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    let message = framed(true, &request(&[ID]));
    let outcome = client.call(TRACES, Some("snappy"), message.clone()).await;
    assert_eq!(outcome.code, Code::Unimplemented);
    assert_eq!(outcome.headers["grpc-accept-encoding"], "identity,gzip,deflate,zstd");
    let outcome = client.call("/some.Service/Method", None, message.clone()).await;
    assert_eq!(outcome.code, Code::Unimplemented);
    assert!(outcome.message.contains("/some.Service/Method"), "{outcome:?}");
    let answered = client.post(TRACES, &[("content-type", "application/json")], message).await;
    assert_eq!(answered.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn bad_data_is_not_to_be_sent_again_and_the_answer_says_why() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    let good = request(&[ID]);
    for (encoding, body, said) in [
        (None, framed(false, &good[..good.len() - 1]), "not valid protobuf"),
        (None, framed(false, &good)[..9].to_vec(), "ends within a message"),
        (None, vec![0, 0, 0], "ends within a message"),
        (None, framed(true, &good), "grpc-encoding does not say how"),
        (None, [&[2][..], &framed(false, &good)[1..]].concat(), "not a gRPC compression flag"),
        (Some("gzip"), framed(true, &good), "gzip data is malformed"),
        (Some("deflate"), framed(true, &deflate(&good)[..20]), "deflate data ends early"),
        (Some("zstd"), framed(true, b"no frame"), "zstd data is malformed"),
    ] {
        let outcome = client.call(TRACES, encoding, body).await;
        assert_eq!(outcome.code, Code::InvalidArgument, "{said}: {outcome:?}");
        assert!(outcome.message.contains(said), "{said}: {outcome:?}");
        assert_eq!(outcome.details.retry_delay, None);
    }
    assert!(fixture.sink.bytes().is_empty());
    assert_eq!(fixture.budget.used(), 0);
}

#[tokio::test]
async fn a_bad_span_is_a_partial_success_and_its_neighbours_are_kept() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    let outcome = client.call(TRACES, None, framed(false, &request(&[ID, &[1; 15], ID, &[0; 16]]))).await;
    assert_eq!(outcome.code, Code::Ok);
    let partial = PartialSuccess::decode(&outcome.body[5..]).unwrap().unwrap();
    assert_eq!(partial.rejected, 2);
    assert!(partial.message.contains("trace_id"), "{}", partial.message);
    assert_eq!(fixture.sink.taken.lock().unwrap()[0].items, 2);

    let outcome = client.call(TRACES, None, framed(false, &request(&[&[1; 15]]))).await;
    assert_eq!(PartialSuccess::decode(&outcome.body[5..]).unwrap().unwrap().rejected, 1);
    assert_eq!(fixture.sink.bytes().len(), 1);

    let stage = "stage=\"receiver/otlp\"";
    assert_eq!(fixture.metric(&format!("forebay_stage_incoming_items{{signal=\"traces\",{stage}}}")), 5);
    assert_eq!(fixture.metric(&format!("forebay_stage_outgoing_items{{signal=\"traces\",{stage}}}")), 2);
    let dropped =
        "forebay_stage_dropped_items{reason=\"malformed\",signal=\"traces\",stage=\"receiver/otlp\"}";
    assert_eq!(fixture.metric(dropped), 3);
}

#[tokio::test]
async fn refusals_of_the_pipeline_reach_the_client() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.grpc().await;
    let after = Some(Duration::from_millis(2500));
    fixture.sink.refusals.lock().unwrap().extend([
        Refusal::Permanent("never".into()),
        Refusal::retryable("queue full"),
        Refusal::Retryable { message: "later".into(), after },
    ]);
    let message = framed(false, &request(&[ID]));
    let outcome = client.call(TRACES, None, message.clone()).await;
    assert_eq!((outcome.code, outcome.message.as_str()), (Code::InvalidArgument, "never"));
    let outcome = client.call(TRACES, None, message.clone()).await;
    assert_eq!((outcome.code, outcome.message.as_str()), (Code::Unavailable, "queue full"));
    assert_eq!(outcome.details.retry_delay, Some(Duration::from_secs(1)));
    let outcome = client.call(TRACES, None, message.clone()).await;
    assert_eq!(outcome.details.retry_delay, after);
    assert_eq!(client.call(TRACES, None, message).await.code, Code::Ok);

    let label = "{receiver=\"otlp\",transport=\"grpc\"}";
    assert_eq!(fixture.metric(&format!("otelcol_receiver_accepted_spans{label}")), 1);
    assert_eq!(fixture.metric(&format!("otelcol_receiver_refused_spans{label}")), 3);
    let dropped = "forebay_stage_dropped_items{reason=\"refused\",signal=\"traces\",stage=\"receiver/otlp\"}";
    assert_eq!(fixture.metric(dropped), 3);
    let refused = "otelcol_receiver_requests{outcome=\"refused\",receiver=\"otlp\",transport=\"grpc\"}";
    assert_eq!(fixture.metric(refused), 2);
}

#[tokio::test]
async fn a_batch_is_delivered_and_counted_even_if_the_client_goes_away() {
    let fixture = Fixture::start(BOTH).await;
    fixture.sink.gate.forget_permits(1_000_000);
    let client = fixture.grpc().await;
    let call = tokio::spawn(async move { client.call(TRACES, None, framed(false, &request(&[ID]))).await });
    fixture.sink.arrived.acquire().await.unwrap().forget();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    fixture.sink.gate.add_permits(1);
    let (sink, telemetry) = (Arc::clone(&fixture.sink), fixture.telemetry.clone());
    fixture.shut_down().await;
    assert_eq!(sink.bytes(), [request(&[ID])]);
    assert_eq!(telemetry.ledger("receiver/otlp", Signal::Traces).outgoing.get(), 1);
}
