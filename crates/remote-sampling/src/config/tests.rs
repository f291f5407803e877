use forebay_config::read_str;

use super::*;

fn findings(read: impl FnOnce(&Table<'_>) -> RemoteSamplingConfig, yaml: &str) -> String {
    read_str(yaml, read).1.render(false)
}

fn endpoints(config: &RemoteSamplingConfig) -> Vec<String> {
    config.endpoints().map(|(endpoint, _)| endpoint.to_string()).collect()
}

#[test]
fn the_servers_are_where_the_collectors_are_unless_they_are_off() {
    let url = "source: {file: 'http://strategies/s.json'}";
    let (config, diagnostics) = read_str(url, RemoteSamplingConfig::read);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    assert_eq!(endpoints(&config), ["localhost:5778", "localhost:14250"]);
    let yaml = format!("{{http: {{endpoint: '0.0.0.0:80'}}, grpc: {{enabled: false}}, {url}}}");
    let (config, diagnostics) = read_str(&yaml, RemoteSamplingConfig::read);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    assert_eq!(endpoints(&config), ["0.0.0.0:80"]);
}

#[test]
fn keys_of_the_collector_are_known() {
    let (config, diagnostics) = read_str(
        "{grpc: {endpoint: 'localhost:1', max_concurrent_streams: 5}, http: {endpoint: 'localhost:2', cors: {}}, \
         source: {reload_interval: 30s, remote: {endpoint: 'jaeger:14250', tls: {insecure: true}, headers: {a: b}}}}",
        RemoteSamplingConfig::read,
    );
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    match config.source {
        Some(SourceConfig::Remote(remote)) => assert_eq!(remote.reload_interval, Duration::from_secs(30)),
        _ => panic!("another source"),
    }
}

#[test]
fn jaegers_spelling_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(&path, r#"{"service_strategies": []}"#).unwrap();
    let yaml = format!(
        "file: {{path: '{}', default_sampling_probability: 0.5, reload_interval: 1s}}",
        path.display()
    );
    let (config, diagnostics) = read_str(&yaml, RemoteSamplingConfig::read_jaeger);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    assert_eq!(endpoints(&config), ["localhost:5778", "localhost:5779"]);
    match config.source {
        Some(SourceConfig::Document(document)) => {
            assert_eq!(document.fallback, 0.5);
            assert_eq!(document.reload_interval, Some(Duration::from_secs(1)));
            assert_eq!(document.text, r#"{"service_strategies": []}"#);
        }
        _ => panic!("another source"),
    }
    let (config, diagnostics) =
        read_str("adaptive: {sampling_store: memory}", RemoteSamplingConfig::read_jaeger);
    assert!(!diagnostics.has_errors() && config.adaptive().is_some());
}

#[test]
fn adaptive_needs_no_settings() {
    let (config, diagnostics) = read_str("source: {adaptive: }", RemoteSamplingConfig::read);
    assert!(diagnostics.is_empty() && config.adaptive().is_some(), "{}", diagnostics.render(false));
}

#[test]
fn mistakes_are_named() {
    for (yaml, said) in [
        ("{}", "there is no source of strategies"),
        ("source: {}", "set one of `file`, `remote`, `adaptive`"),
        ("source: {file: 'http://a/s', adaptive: {}}", "more than one of"),
        ("source: {file: /nowhere/s.json}", "cannot read `/nowhere/s.json`"),
        ("source: {file: 'https://'}", "is not a URL"),
        ("source: {file: , remote: }", "there is no source of strategies"),
        ("source: {file: ''}", "there is no source of strategies"),
        ("source: {remote: {}}", "`endpoint` is required"),
        ("source: {remote: {endpoint: jaeger}}", "has no port"),
        ("source: {adaptive: {target_samples_per_second: -1}}", "target_samples_per_second"),
        (
            "{http: {enabled: false}, grpc: {enabled: false}, source: {adaptive: {}}}",
            "neither `http` nor `grpc`",
        ),
        (
            "{http: {enabled: false}, source: {adaptive: {peers: ['http://a:1']}}}",
            "peers ask for counts over HTTP",
        ),
        ("{http: {endpoint: nowhere}, source: {adaptive: {}}}", "has no port"),
        ("{http: {traces_url_path: /x}, source: {adaptive: {}}}", "unknown key `traces_url_path`"),
    ] {
        let findings = findings(RemoteSamplingConfig::read, yaml);
        assert!(findings.contains("error") && findings.contains(said), "{yaml}\n{findings}");
    }
    assert!(findings(RemoteSamplingConfig::read_jaeger, "{}").contains("set one of `file`, `adaptive`"));
}

#[test]
fn a_mistake_in_the_strategies_is_shown_at_its_place_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    fs::write(&path, "{\n  \"default_strategy\": {\"type\": \"probabilistic\", \"param\": 1.5}\n}").unwrap();
    let findings = findings(RemoteSamplingConfig::read, &format!("source: {{file: '{}'}}", path.display()));
    assert!(findings.contains("s.json:2:"), "{findings}");
}
