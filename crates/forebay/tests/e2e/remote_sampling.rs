//! What SDKs are told to sample, and that they do. `interop/` does the same with the SDKs of other languages.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use forebay_otlp::Signal;
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_sdk::runtime;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use serde_json::Value;

use crate::harness::{DEADLINE, Forebay, eventually, forebay, free_port, get, request_of, span};

/// A pipeline that passes everything on, and a sampling server.
fn configuration(extension: &str, processors: &str) -> String {
    format!(
        "{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, exporters: {{nop: }}, processors: {processors}, \
          extensions: {{jaegerremotesampling: {extension}}}, \
          service: {{pipelines: {{traces: {{receivers: [otlp], processors: {}, exporters: [nop]}}}}}}}}",
        if processors.contains("adaptive") { "[adaptive_sampling]" } else { "[]" }
    )
}

/// A process with a sampling server at an address.
async fn start(source: &str, processors: &str) -> (Forebay, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let extension =
        format!("{{http: {{endpoint: '{address}'}}, grpc: {{enabled: false}}, source: {source}}}");
    let config = format!("--config=yaml:{}", configuration(&extension, processors));
    let extensions = "--set=service.extensions=[health_check, jaegerremotesampling]";
    (Forebay::start_with(&[&config, extensions], &[]).await, address)
}

async fn told(server: SocketAddr, service: &str) -> Value {
    let answer = get(server, &format!("/sampling?service={service}")).await.unwrap();
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

fn write_strategies(path: &Path, cart: f64) {
    let text = format!(
        r#"{{"service_strategies": [{{"service": "check out", "type": "probabilistic", "param": {cart},
            "operation_strategies": [{{"operation": "GET /healthz", "type": "probabilistic", "param": 0}}]}}],
            "default_strategy": {{"type": "probabilistic", "param": 0}}}}"#
    );
    fs::write(path, text).unwrap();
}

/// A tracer that asks for its strategy often, and samples nothing until it knows one.
fn tracer(server: SocketAddr, service: &str) -> (SdkTracerProvider, SdkTracer) {
    let client = HyperClient::with_default_connector(DEADLINE, None);
    let sampler = Sampler::jaeger_remote(runtime::Tokio, client, Sampler::AlwaysOff, service)
        .with_endpoint(format!("http://{server}/sampling"))
        .with_update_interval(Duration::from_millis(20));
    let provider = SdkTracerProvider::builder().with_sampler(sampler.build().unwrap()).build();
    let tracer = provider.tracer("e2e");
    (provider, tracer)
}

fn samples(tracer: &SdkTracer, operation: &'static str) -> bool {
    tracer.start(operation).span_context().is_sampled()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_samples_what_the_file_says_and_what_it_says_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("strategies.json");
    write_strategies(&path, 1.0);
    let source = format!("{{file: '{}', reload_interval: 20ms}}", path.display());
    let (process, server) = start(&source, "{}").await;
    let (_known, tracer_of_known) = tracer(server, "check out");
    let (_unknown, tracer_of_unknown) = tracer(server, "search");
    let until = async |wanted: bool| {
        eventually("the SDK obeys", async || {
            (samples(&tracer_of_known, "GET /cart") == wanted).then_some(())
        })
        .await;
    };
    until(true).await;
    assert!(!samples(&tracer_of_known, "GET /healthz"));
    assert!(!samples(&tracer_of_unknown, "GET /cart"));
    write_strategies(&path, 0.0);
    until(false).await;
    // A broken file is told once, and changes nothing.
    fs::write(&path, r#"{"default_strategy": {"type": "probabilistic", "param": 7}}"#).unwrap();
    process.until_logged("strategies stay as they are").await;
    assert_eq!(told(server, "check+out").await["probabilisticSampling"]["samplingRate"], 0.0);
    process.stop().await;
}

#[tokio::test]
async fn adaptive_sampling_learns_from_the_traces_that_pass() {
    let source = "{adaptive: {calculation_interval: 1s, initial_sampling_probability: 0.5}}";
    let (process, server) = start(source, "{adaptive_sampling: }").await;
    assert_eq!(told(server, "checkout").await["probabilisticSampling"]["samplingRate"], 0.5);
    let many = (1..=20_000).map(span);
    process.client().export(Signal::Traces, request_of(many)).await.unwrap();
    eventually("a lower probability of the operation", async || {
        let operations = told(server, "checkout").await["operationSampling"]["perOperationStrategies"].take();
        let operation = operations.as_array().and_then(|operations| operations.first())?;
        let probability = operation["probabilisticSampling"]["samplingRate"].as_f64()?;
        (operation["operation"] == "GET /1" && probability < 0.1).then_some(())
    })
    .await;
    let metrics = process.metrics().await;
    assert_eq!(metrics.sum("forebay_adaptive_sampling_operations", &[]), 1);
    process.stop().await;
}

#[tokio::test]
async fn a_processor_needs_an_extension_to_show_traces_to() {
    let validate = async |extension: &str, processor: &str| {
        let config = configuration(extension, &format!("{{adaptive_sampling: {processor}}}"));
        let config = format!("--config=yaml:{config}");
        forebay(Path::new("/"), &["validate", &config], &[]).await
    };
    let adaptive = "{source: {adaptive: {}}}";
    for (extension, processor, said) in [
        ("{source: {file: 'http://strategies/s.json'}}", "{}", "declare one: `jaegerremotesampling:"),
        (adaptive, "{extension: jaegerremotesampling/2}", "declared: jaegerremotesampling"),
        (adaptive, "{extension: 5}", "the id of a component"),
    ] {
        let output = validate(extension, processor).await;
        assert_eq!(output.code, Some(1), "{extension} {processor}\n{}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    let output = validate(adaptive, "{}").await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stderr.contains("is not in `service::extensions`"), "{}", output.stderr);
}
