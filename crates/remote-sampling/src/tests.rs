//! The server over real sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use forebay_config::read_str;
use forebay_exporter::fetch::{FetchError, Fetcher};
use forebay_exporter::grpc::{Channel, ChannelConfig};
use forebay_pipeline::{Budget, Telemetry};
use forebay_tls::ClientTls;
use http::StatusCode;
use tokio::time::Instant;

use crate::adaptive::controller::Root;
use crate::wire::{self, METHOD};
use crate::{RemoteSampling, RemoteSamplingConfig, Strategy};

const SERVERS: &str = "http: {endpoint: '127.0.0.1:0'}, grpc: {endpoint: '127.0.0.1:0'}";

fn read(source: &str) -> RemoteSamplingConfig {
    let yaml = format!("{{{SERVERS}, source: {source}}}");
    let (config, diagnostics) = read_str(&yaml, RemoteSamplingConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config
}

async fn start(source: &str) -> RemoteSampling {
    let budget = Budget::new(16 << 20);
    RemoteSampling::start("jaegerremotesampling", read(source), &budget, &Telemetry::new()).await.unwrap()
}

fn file(directory: &Path, probability: f64) -> String {
    let path = directory.join("strategies.json");
    let text = format!(r#"{{"default_strategy": {{"type": "probabilistic", "param": {probability}}}}}"#);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

async fn get(address: SocketAddr, path: &str) -> Result<Bytes, FetchError> {
    let fetcher = Fetcher::new(&ClientTls::default(), Duration::from_secs(10), 1 << 20).unwrap();
    fetcher.fetch(&format!("http://{address}{path}").parse().unwrap()).await
}

async fn call(address: SocketAddr, message: Vec<u8>) -> Result<Strategy, String> {
    let yaml = format!("{{endpoint: '{address}', tls: {{insecure: true}}}}");
    let (config, _) = read_str(&yaml, ChannelConfig::read);
    let channel = Channel::new(&config, Some(Duration::from_secs(10))).unwrap();
    let answer = channel.call(METHOD, message.into()).await.map_err(|error| error.to_string())?;
    Ok(wire::decode(&answer).unwrap())
}

/// Asks until the default is as wanted.
async fn until(server: &RemoteSampling, probability: f64) {
    let wanted = Strategy::probabilistic(probability).encode().json;
    let asking = async {
        while get(server.http_addr().unwrap(), "/sampling?service=any").await != Ok(wanted.clone()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the strategy in time");
}

#[tokio::test]
async fn strategies_are_told_over_both_protocols() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(&format!("{{file: '{}'}}", file(directory.path(), 0.5))).await;
    let (http, grpc) = (server.http_addr().unwrap(), server.grpc_addr().unwrap());
    let expected = Strategy::probabilistic(0.5);
    for path in ["/sampling?service=shop", "/api/sampling?service=shop"] {
        assert_eq!(get(http, path).await, Ok(expected.encode().json));
    }
    assert_eq!(call(grpc, wire::encode_request("shop")).await, Ok(expected));
    server.shutdown(Instant::now() + Duration::from_secs(1)).await;
    assert!(get(http, "/sampling?service=shop").await.is_err());
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(&format!("{{file: '{}'}}", file(directory.path(), 0.5))).await;
    let (http, grpc) = (server.http_addr().unwrap(), server.grpc_addr().unwrap());
    for (path, status) in [
        ("/sampling", StatusCode::BAD_REQUEST),
        ("/sampling?service=", StatusCode::BAD_REQUEST),
        ("/sampling?service=a&service=b", StatusCode::BAD_REQUEST),
        ("/", StatusCode::NOT_FOUND),
        (crate::adaptive::fleet::COUNTS_PATH, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(get(http, path).await, Err(FetchError::Status(status)), "{path}");
    }
    let answer =
        exchange(http, "POST /sampling?service=a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET"), "{answer}");
    // As Node.js writes a name, which is not a URI.
    let answer = exchange(http, "GET /sampling?service=a b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let error = call(grpc, Vec::new()).await.unwrap_err();
    assert!(error.contains("INVALID_ARGUMENT") && error.contains("serviceName"), "{error}");
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_a_broken_one_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), 0.5);
    let server = start(&format!("{{file: '{path}', reload_interval: 10ms}}")).await;
    until(&server, 0.5).await;
    std::fs::write(&path, "{").unwrap();
    file(directory.path(), 0.25);
    until(&server, 0.25).await;
}

#[tokio::test]
async fn a_server_of_strategies_may_come_later() {
    // A port that is free for the moment.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = start(&format!("{{file: 'http://{address}/s.json', reload_interval: 10ms}}")).await;
    until(&server, 0.001).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let answering =
        tokio::spawn(answer(listener, r#"{"default_strategy": {"type": "probabilistic", "param": 1}}"#));
    until(&server, 1.0).await;
    answering.abort();
}

/// What comes back for these bytes, until the server closes the connection.
async fn exchange(server: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Answers every connection once with a document.
async fn answer(listener: tokio::net::TcpListener, document: &'static str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let length = document.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(format!("{head}{document}").as_bytes()).await;
    }
}

#[tokio::test]
async fn a_remote_server_is_asked_and_its_last_answer_stays_while_it_is_away() {
    let directory = tempfile::tempdir().unwrap();
    let backing = start(&format!("{{file: '{}'}}", file(directory.path(), 0.5))).await;
    let address = backing.grpc_addr().unwrap();
    let proxy = start(&format!("{{remote: {{endpoint: '{address}', tls: {{insecure: true}}}}}}")).await;
    let http = proxy.http_addr().unwrap();
    let expected = Ok(Strategy::probabilistic(0.5).encode().json);
    assert_eq!(get(http, "/sampling?service=shop").await, expected);
    backing.shutdown(Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(get(http, "/sampling?service=shop").await, expected);
    let unavailable = Err(FetchError::Status(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(get(http, "/sampling?service=unheard-of").await, unavailable);
    let error = call(proxy.grpc_addr().unwrap(), wire::encode_request("unheard-of")).await.unwrap_err();
    assert!(error.contains("UNAVAILABLE"), "{error}");
}

#[tokio::test]
async fn adaptive_strategies_follow_the_traffic_of_all_peers() {
    let config = read("{adaptive: {calculation_interval: 1s}}");
    let adaptive = config.adaptive().unwrap().clone();
    let root = Root { service: "shop", operation: "GET /", threshold: Some(1.0), tagged: None };
    adaptive.observe(&[root; 10_000]);
    let budget = Budget::new(16 << 20);
    let busy = RemoteSampling::start("busy", config, &budget, &Telemetry::new()).await.unwrap();
    let peer = busy.http_addr().unwrap();
    let idle = start(&format!("{{adaptive: {{calculation_interval: 1s, peers: ['http://{peer}']}}}}")).await;
    // The initial probability is more than the traffic of the other one allows.
    let asking = async {
        loop {
            let told = call(idle.grpc_addr().unwrap(), wire::encode_request("shop")).await.unwrap();
            if let Some(operations) = told.operations
                && operations.probabilities.iter().any(|(name, told)| name == "GET /" && *told < 0.001)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("a strategy of the peer's traffic");
}

#[tokio::test]
async fn what_adaptive_sampling_has_learned_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let source = format!("{{adaptive: {{state_file: '{}'}}}}", state.display());
    let config = read(&source);
    let saved = [("shop".to_owned(), [("GET /".to_owned(), 0.125)].into())].into();
    config.adaptive().unwrap().controller().restore(&saved);
    let budget = Budget::new(16 << 20);
    let server = RemoteSampling::start("a", config, &budget, &Telemetry::new()).await.unwrap();
    server.shutdown(Instant::now() + Duration::from_secs(1)).await;

    let server = start(&source).await;
    let told = call(server.grpc_addr().unwrap(), wire::encode_request("shop")).await.unwrap();
    assert_eq!(told.operations.unwrap().probabilities, [("GET /".to_owned(), 0.125)]);
    drop(server);

    std::fs::write(&state, "not what was written").unwrap();
    let server = start(&source).await;
    let told = call(server.grpc_addr().unwrap(), wire::encode_request("shop")).await;
    assert_eq!(told, Ok(Strategy::probabilistic(0.001)));
}
