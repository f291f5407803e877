use std::net::SocketAddr;
use std::path::Path;

use forebay_tls::ClientTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;

use super::*;

const ID: &[u8] = &[1; 16];

/// Writes `ca.crt` and pairs for `server` and `client` into `dir`.
fn issue(dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.crt"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        std::fs::write(dir.join(name).with_extension("crt"), certificate.pem()).unwrap();
        std::fs::write(dir.join(name).with_extension("key"), key.serialize_pem()).unwrap();
    }
}

/// A connection to `address` with the client settings `yaml`, in which `DIR` stands for `dir`.
async fn connect(dir: &Path, yaml: &str, address: SocketAddr) -> TlsStream<TcpStream> {
    let (client, diagnostics) = read_str(&yaml.replace("DIR", dir.to_str().unwrap()), ClientTls::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    let connector = TlsConnector::from(client.config(&[b"h2"]).unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    connector.connect(ServerName::try_from("server").unwrap(), stream).await.unwrap()
}

#[tokio::test]
async fn tls_serves_both_protocols() {
    let dir = tempfile::tempdir().unwrap();
    issue(dir.path());
    let tls = "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key}";
    let yaml = BOTH.replace("'127.0.0.1:0'", &format!("'127.0.0.1:0', {tls}"));
    let fixture = Fixture::start(&yaml.replace("DIR", dir.path().to_str().unwrap())).await;
    let ca = "ca_file: DIR/ca.crt";

    let stream = connect(dir.path(), ca, fixture.receiver.grpc_addr().unwrap()).await;
    let client = Client::over(stream).await;
    assert_eq!(client.call(TRACES, None, framed(false, &request(&[ID]))).await.code, Code::Ok);

    let stream = connect(dir.path(), ca, fixture.receiver.http_addr().unwrap()).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = Client::over(stream).await;
    let headers = [("content-type", "application/x-protobuf")];
    assert_eq!(client.post("/v1/traces", &headers, request(&[ID])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn mutual_tls_lets_nobody_in_without_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    issue(dir.path());
    let yaml = "protocols: {grpc: {endpoint: '127.0.0.1:0', tls: {
        cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/ca.crt}}}";
    let fixture = Fixture::start(&yaml.replace("DIR", dir.path().to_str().unwrap())).await;
    let address = fixture.receiver.grpc_addr().unwrap();

    let identity = "{ca_file: DIR/ca.crt, cert_file: DIR/client.crt, key_file: DIR/client.key}";
    let client = Client::over(connect(dir.path(), identity, address).await).await;
    assert_eq!(client.call(TRACES, None, framed(false, &request(&[ID]))).await.code, Code::Ok);

    // With TLS 1.3 the server's opinion of the client's certificate comes after the client's handshake.
    let mut stream = connect(dir.path(), "ca_file: DIR/ca.crt", address).await;
    assert!(stream.read_u8().await.is_err());
}

#[tokio::test]
async fn unix_sockets_serve_and_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otlp.sock");
    let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(stale);
    let yaml = format!("protocols: {{grpc: {{endpoint: 'unix://{}'}}}}", path.display());
    let fixture = Fixture::start(&yaml).await;
    assert_eq!(fixture.receiver.grpc_addr(), None);
    let client = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(client.call(TRACES, None, framed(false, &request(&[ID]))).await.code, Code::Ok);
    fixture.shut_down().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_says_so() {
    let first = Fixture::start(BOTH).await;
    let address = first.receiver.http_addr().unwrap();
    let yaml = format!("protocols: {{http: {{endpoint: '{address}'}}}}");
    let (config, _) = read_str(&yaml, OtlpConfig::read);
    let started =
        OtlpReceiver::start("otlp/2", config, Outputs::default(), Budget::new(1), &Telemetry::new()).await;
    let message = started.unwrap_err().to_string();
    assert!(message.contains(&format!("receiver otlp/2 cannot listen on {address} for http")), "{message}");
    assert!(message.contains("choose another port"), "{message}");
}

#[tokio::test]
async fn shutdown_lets_calls_in_flight_finish_and_takes_no_new_ones() {
    let fixture = Fixture::start(BOTH).await;
    fixture.sink.gate.forget_permits(1_000_000);
    let (client, address) = (fixture.grpc().await, fixture.receiver.grpc_addr().unwrap());
    let call = tokio::spawn(async move { client.call(TRACES, None, framed(false, &request(&[ID]))).await });
    fixture.sink.arrived.acquire().await.unwrap().forget();
    let sink = Arc::clone(&fixture.sink);
    let shutdown = tokio::spawn(fixture.shut_down());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!shutdown.is_finished());
    sink.gate.add_permits(1);
    assert_eq!(call.await.unwrap().code, Code::Ok);
    shutdown.await.unwrap();
}

#[tokio::test]
async fn shutdown_cuts_who_does_not_finish() {
    let fixture = Fixture::start(BOTH).await;
    let (grpc, http) = (fixture.grpc().await, fixture.http2().await);
    let stalled = [
        tokio::spawn(async move { grpc.stall(TRACES, "application/grpc", vec![0]).await.map(drop) }),
        tokio::spawn(async move { http.stall("/v1/traces", "application/json", "{").await.map(drop) }),
    ];
    let mut silent = fixture.http1().await;
    // Both calls are there when a third one on their way has been answered.
    let answered =
        fixture.http2().await.post("/v1/traces", &[("content-type", "application/json")], "{}").await;
    assert_eq!(answered.status, StatusCode::OK);
    let budget = fixture.budget.clone();
    fixture.receiver.shutdown(Instant::now() + Duration::from_millis(50)).await;
    for call in stalled {
        assert!(call.await.unwrap().is_err());
    }
    assert!(silent.read_u8().await.is_err());
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_consumer_that_never_returns() {
    let fixture = Fixture::start(BOTH).await;
    fixture.sink.gate.forget_permits(1_000_000);
    let (grpc, http) = (fixture.grpc().await, fixture.http2().await);
    let (message, body) = (framed(false, &request(&[ID])), request(&[ID]));
    let calls = [
        tokio::spawn(async move {
            grpc.send(TRACES, &[("content-type", "application/grpc")], message, false).await.map(drop)
        }),
        tokio::spawn(async move {
            let headers = [("content-type", "application/x-protobuf")];
            http.send("/v1/traces", &headers, body, false).await.map(drop)
        }),
    ];
    fixture.sink.arrived.acquire_many(2).await.unwrap().forget();
    let sink = Arc::clone(&fixture.sink);
    fixture.receiver.shutdown(Instant::now() + Duration::from_millis(50)).await;
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
    // What they were handing on has not been torn off.
    sink.gate.add_permits(2);
    while sink.taken.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn old_and_idle_connections_are_told_to_go() {
    for limit in ["max_connection_idle: 20ms", "max_connection_age: 20ms"] {
        let yaml = format!("{{keepalive: {{server_parameters: {{{limit}}}}}, endpoint: '127.0.0.1:0'}}");
        let fixture = Fixture::start(&format!("protocols: {{grpc: {yaml}}}")).await;
        let client = fixture.grpc().await;
        assert_eq!(client.call(TRACES, None, framed(false, &request(&[ID]))).await.code, Code::Ok);
        let mut sender = client.0;
        while sender.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
