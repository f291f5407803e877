use forebay_config::read_str;

use super::*;

fn read(yaml: &str) -> OtlpConfig {
    let (config, diagnostics) = read_str(yaml, OtlpConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config
}

fn findings(yaml: &str) -> String {
    let (_, diagnostics) = read_str(yaml, OtlpConfig::read);
    diagnostics.render(false)
}

#[test]
fn protocols_without_settings_have_the_collectors_defaults() {
    let config = read("protocols: {grpc: , http: }");
    let (grpc, OtlpHttpConfig { server: http, paths }) = (config.grpc.unwrap(), config.http.unwrap());
    assert_eq!(grpc.endpoint.to_string(), "localhost:4317");
    assert_eq!(grpc.max_recv_msg_size, 4 << 20);
    assert_eq!(http.endpoint.to_string(), "localhost:4318");
    assert_eq!(http.max_request_body_size, 20 << 20);
    assert_eq!(paths, ["/v1/traces", "/v1/metrics", "/v1/logs"]);
    assert!(grpc.tls.is_none() && http.tls.is_none() && http.cors.is_none());
    assert!(read("protocols: {grpc: }").http.is_none());
}

#[test]
fn every_key_of_the_collector_is_known() {
    let config = read(
        r#"
protocols:
  grpc:
    endpoint: 0.0.0.0:4317
    transport: tcp
    max_recv_msg_size_mib: 32
    max_concurrent_streams: 16
    read_buffer_size: 524288
    write_buffer_size: 524288
    include_metadata: true
    middlewares: []
    keepalive:
      server_parameters:
        max_connection_idle: 11s
        max_connection_age: 12s
        max_connection_age_grace: 13s
        time: 30s
        timeout: 5s
      enforcement_policy: {min_time: 10s, permit_without_stream: true}
  http:
    endpoint: ":4318"
    max_request_body_size: 1000
    include_metadata: true
    middlewares: []
    response_headers: {X-Served-By: forebay}
    cors:
      allowed_origins: ["https://*.example.com"]
      allowed_headers: ["*"]
      exposed_headers: [x]
      max_age: 7200
    compression_algorithms: ["", gzip, zstd, zlib, snappy, deflate, lz4]
    read_timeout: 1s
    read_header_timeout: 2s
    write_timeout: 3s
    idle_timeout: 0s
    keep_alives_enabled: false
    traces_url_path: /t
    metrics_url_path: m
    logs_url_path: /l
"#,
    );
    let grpc = config.grpc.unwrap();
    assert_eq!(grpc.endpoint, Endpoint::Tcp { host: "0.0.0.0".into(), port: 4317 });
    assert_eq!((grpc.max_recv_msg_size, grpc.max_concurrent_streams), (32 << 20, 16));
    let seconds = Duration::from_secs;
    assert_eq!(grpc.keepalive, Keepalive { time: Some(seconds(30)), timeout: seconds(5) });
    let lifetime = Lifetime { idle: Some(seconds(11)), age: Some(seconds(12)), grace: Some(seconds(13)) };
    assert_eq!(grpc.lifetime, lifetime);

    let OtlpHttpConfig { server: http, paths } = config.http.unwrap();
    assert_eq!(http.endpoint, Endpoint::Tcp { host: String::new(), port: 4318 });
    assert_eq!(http.max_request_body_size, 1000);
    assert_eq!(http.response_headers["x-served-by"], "forebay");
    assert!(http.cors.is_some());
    assert_eq!(
        http.codings,
        [Coding::Identity, Coding::Gzip, Coding::Zstd, Coding::Deflate, Coding::Deflate]
    );
    assert_eq!(http.read_timeout, Some(seconds(1)));
    assert_eq!(http.read_header_timeout, Some(seconds(2)));
    assert_eq!(http.idle_timeout, None);
    assert!(!http.keep_alives_enabled);
    assert_eq!(paths, ["/t", "/m", "/l"]);
}

#[test]
fn unix_sockets_have_two_spellings() {
    for yaml in [
        "protocols: {grpc: {endpoint: 'unix:///run/otlp.sock'}}",
        "protocols: {grpc: {endpoint: /run/otlp.sock, transport: unix}}",
    ] {
        assert_eq!(read(yaml).grpc.unwrap().endpoint, Endpoint::Unix("/run/otlp.sock".into()));
    }
}

#[test]
fn mistakes_are_named() {
    for (yaml, said) in [
        ("{}", "`protocols` is required"),
        ("protocols: {}", "at least one of `grpc` and `http`"),
        ("protocols: {grpc: {endpoint: 'http://localhost:4317'}}", "is a URL"),
        ("protocols: {grpc: {endpoint: 'localhost:x'}}", "is not a port"),
        ("protocols: {grpc: {auth: {authenticator: oidc}}}", "authenticators are not supported"),
        ("protocols: {http: {auth: {authenticator: oidc}}}", "authenticators are not supported"),
        ("protocols: {http: {tls: {cert_file: /nowhere, key_file: /nowhere}}}", "cannot read `/nowhere`"),
        ("protocols: {http: {tls: {}}}", "needs a certificate"),
        ("protocols: {http: {compression_algorithms: [brotli]}}", "unknown compression algorithm `brotli`"),
        ("protocols: {http: {response_headers: {'a b': c}}}", "do not make an HTTP header"),
        ("protocols: {http: {cors: {allowed_origins: ['*.*']}}}", "more than one wildcard"),
        ("protocols: {grpc: {max_recv_msg_size_mib: 5000}}", "max_recv_msg_size_mib"),
        ("protocols: {grpcs: }", "unknown key `grpcs`"),
    ] {
        let findings = findings(yaml);
        assert!(findings.contains("error") && findings.contains(said), "{yaml}\n{findings}");
    }
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let findings = findings("protocols: {http: {include_metadata: true, compression_algorithms: [snappy]}}");
    assert!(findings.contains("warning") && !findings.contains("error"), "{findings}");
    assert!(
        findings.contains("include_metadata") && findings.contains("`snappy` is not supported"),
        "{findings}"
    );
}
