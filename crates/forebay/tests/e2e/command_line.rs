//! Commands, and the sources a configuration is put together from.

use std::fs;
use std::path::Path;

use crate::harness::{Forebay, Output, forebay};

const MINIMAL: &str = "
receivers: {otlp: {protocols: {grpc: }}}
processors: {batch: {timeout: 1s}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [nop]}}}
";

async fn run(arguments: &[&str]) -> Output {
    run_with(arguments, &[]).await
}

async fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    forebay(Path::new("/"), arguments, variables).await
}

/// What `print-config` says of `arguments`, which must be right.
async fn printed(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run_with(&[&["print-config"], arguments].concat(), variables).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    output.stdout
}

#[tokio::test]
async fn components_are_listed_with_their_aliases_and_signals() {
    let output = run(&["components"]).await;
    assert_eq!(output.code, Some(0));
    let expected = "\
receivers:
  - name: otlp
    signals: [traces, metrics, logs]
processors:
  - name: adaptive_sampling
    signals: [traces]
  - name: adaptive_tail_sampling
    signals: [traces]
  - name: batch
    signals: [traces, metrics, logs]
  - name: memory_limiter
    signals: [traces, metrics, logs]
  - name: probabilistic_sampler
    signals: [traces, logs]
  - name: rate_limiting_sampler
    signals: [traces]
  - name: retroactive_sampling
    signals: [traces]
  - name: tail_sampling
    signals: [traces]
exporters:
  - name: debug
    signals: [traces, metrics, logs]
  - name: file
    signals: [traces, metrics, logs]
  - name: loadbalancing
    aliases: [load_balancing]
    signals: [traces]
  - name: nop
    signals: [traces, metrics, logs]
  - name: otlp_grpc
    aliases: [otlp]
    signals: [traces, metrics, logs]
  - name: otlp_http
    aliases: [otlphttp]
    signals: [traces, metrics, logs]
extensions:
  - name: health_check
  - name: jaegerremotesampling
    aliases: [jaeger_remote_sampling]
  - name: remote_sampling
  - name: retroactive_coordinator
  - name: sockaccel
";
    assert_eq!(output.stdout, expected);
}

#[tokio::test]
async fn the_version_says_what_was_built() {
    let short = run(&["-V"]).await;
    assert_eq!(short.stdout, concat!("forebay ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = run(&["--version"]).await.stdout;
    let lines: Vec<_> = long.lines().collect();
    let [version, commit, features] = lines[..] else { panic!("{long}") };
    assert_eq!(version, short.stdout.trim());
    assert!(commit.strip_prefix("commit: ").is_some_and(|commit| !commit.is_empty()), "{long}");
    assert!(features.strip_prefix("features: ").is_some_and(|features| !features.is_empty()), "{long}");
}

#[tokio::test]
async fn shells_complete_every_command() {
    for (shell, begins) in
        [("bash", "_forebay()"), ("zsh", "#compdef forebay"), ("fish", "# Print an optspec")]
    {
        let script = run(&["completions", shell]).await;
        assert_eq!((script.code, script.stderr.as_str()), (Some(0), ""));
        assert!(script.stdout.starts_with(begins), "{}", script.stdout);
        for command in ["validate", "print-config", "healthcheck"] {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
}

#[tokio::test]
async fn every_command_has_a_man_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    let written = run(&["man", pages.to_str().unwrap()]).await;
    assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""));
    for page in ["forebay", "forebay-validate", "forebay-convert-refinery", "forebay-sockaccel-check"] {
        let text = fs::read_to_string(pages.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(&format!(".TH {page} 1")), "{text}");
    }
    let refused = run(&["man", "/proc/forebay"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.starts_with("error: cannot write man pages to /proc/forebay: "),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn healthcheck_says_whether_pipelines_run() {
    let process = Forebay::start(MINIMAL).await;
    let ask = async |url: &str| run(&["healthcheck", "--endpoint", url]).await;
    let url = format!("http://{}/", process.health);
    let healthy = ask(&url).await;
    assert_eq!((healthy.code, healthy.stdout.as_str(), healthy.stderr.as_str()), (Some(0), "", ""));
    let elsewhere = ask(&format!("{url}elsewhere")).await;
    assert_eq!(elsewhere.code, Some(1));
    assert!(elsewhere.stderr.contains("answers 404 Not Found"), "{}", elsewhere.stderr);

    process.stop().await;
    let gone = ask(&url).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.starts_with(&format!("error: nobody answers at {url}: ")), "{}", gone.stderr);
    let no_port = ask("http://localhost/").await;
    assert_eq!(no_port.code, Some(1));
    assert!(no_port.stderr.contains("is no endpoint"), "{}", no_port.stderr);
}

#[tokio::test]
async fn without_a_configuration_the_way_out_is_named() {
    for arguments in [&[][..], &["validate"]] {
        let output = run(arguments).await;
        assert_eq!(output.code, Some(1));
        assert_eq!(output.stderr, "error: no configuration: give one with --config FILE, or see --help\n");
    }
}

#[tokio::test]
async fn a_configuration_is_read_from_a_file_a_variable_or_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("forebay.yaml"), MINIMAL).unwrap();
    let inline = format!("yaml:{MINIMAL}");
    for source in ["forebay.yaml", "file:forebay.yaml", "env:SETTINGS", &inline] {
        let arguments = ["validate", "--config", source];
        let output = forebay(directory.path(), &arguments, &[("SETTINGS", MINIMAL)]).await;
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{source}");
    }
    for (source, expected) in [
        ("missing.yaml", "error: cannot read missing.yaml: No such file or directory (os error 2)"),
        ("env:SETTINGS", "error: environment variable `SETTINGS` is not set"),
        ("https://example.com/forebay.yaml", "error: `https:` is no source of configuration"),
        ("yaml:[1, 2]", "error: expected a mapping"),
        ("yaml:a: [", "error: "),
    ] {
        let output = forebay(directory.path(), &["validate", "--config", source], &[]).await;
        assert_eq!(output.code, Some(1), "{source}");
        assert!(output.stderr.contains(expected), "{source}: {}", output.stderr);
    }
}

#[tokio::test]
async fn sources_are_merged_in_order_and_set_comes_last() {
    let minimal = format!("--config=yaml:{MINIMAL}");
    let second = "--config=yaml:{processors: {batch: {send_batch_size: 5}}, exporters: {debug: }, \
                  service: {pipelines: {traces: {exporters: [debug]}}}}";
    let text = printed(&["--set=processors.batch.timeout=2s", &minimal, second], &[]).await;
    let expected = "\
receivers:
  otlp:
    protocols:
      grpc: null
processors:
  batch:
    timeout: 2s
    send_batch_size: 5
exporters:
  nop: null
  debug: null
service:
  pipelines:
    traces:
      receivers:
        - otlp
      processors:
        - batch
      exporters:
        - debug
";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn flags_may_stand_on_either_side_of_the_command() {
    let minimal = format!("--config=yaml:{MINIMAL}");
    assert_eq!(run(&[&minimal, "validate"]).await.code, Some(0));
    assert_eq!(run(&[&minimal, "validate", "--set=processors.batch.timeout=soon"]).await.code, Some(1));
    assert_eq!(run(&["--set=processors.batch.timeout=soon", "validate", &minimal]).await.code, Some(1));
}

#[tokio::test]
async fn variables_are_expanded_with_their_defaults() {
    let yaml = "--config=yaml:{a: '${env:SET}', b: '${env:UNSET:-fallback}', c: '${SET}:${env:UNSET:-4317}', d: '$$5'}";
    let text = printed(&[yaml], &[("SET", "10.0.0.1")]).await;
    assert_eq!(text, "a: 10.0.0.1\nb: fallback\nc: 10.0.0.1:4317\nd: \"$5\"\n");
}

#[tokio::test]
async fn secrets_are_printed_only_when_asked_for() {
    let yaml = "--config=yaml:{exporters: {otlp: {endpoint: 'a:1', headers: {authorization: Bearer abc}, \
                tls: {key_pem: '-----BEGIN'}}}}";
    let text = printed(&[yaml], &[]).await;
    assert!(!text.contains("abc") && !text.contains("BEGIN"), "{text}");
    assert_eq!(text.matches("[REDACTED]").count(), 2, "{text}");
    let text = printed(&["--unredacted", yaml], &[]).await;
    assert!(text.contains("Bearer abc") && text.contains("BEGIN"), "{text}");
}

#[tokio::test]
async fn what_convert_makes_of_refinerys_rules_is_valid() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../refinery/testdata");
    for (rules, config) in
        [("samplers.yaml", None), ("operators.yaml", None), ("rules.toml", Some("config.yaml"))]
    {
        let paths = [Some(rules), config].into_iter().flatten().map(|name| testdata.join(name));
        let paths: Vec<_> = paths.map(|path| path.to_str().unwrap().to_owned()).collect();
        let files = paths.iter().map(String::as_str);
        let converted = run(&["convert", "refinery"].into_iter().chain(files).collect::<Vec<_>>()).await;
        assert_eq!(converted.code, Some(0), "{}", converted.stderr);
        assert!(converted.stderr.contains(": has no equivalent: "), "{}", converted.stderr);
        let checked = run(&["validate", "--config", &format!("yaml:{}", converted.stdout)]).await;
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{rules}");
    }
}

#[tokio::test]
async fn convert_says_what_is_wrong_and_prints_nothing() {
    let missing = run(&["convert", "refinery", "/nowhere.yaml"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.starts_with("error: cannot read /nowhere.yaml: "), "{}", missing.stderr);
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.yaml");
    fs::write(&rules, "RulesVersion: 1\nSamplers: {__default__: {DeterministicSampler: {SampleRate: 1}}}\n")
        .unwrap();
    let old = run(&["convert", "refinery", rules.to_str().unwrap()]).await;
    assert_eq!((old.code, old.stdout.as_str()), (Some(1), ""));
    assert!(
        old.stderr.contains("rules.yaml:1:15: error: RulesVersion: only version 2 can be read"),
        "{}",
        old.stderr
    );
}

#[tokio::test]
async fn all_that_may_be_configured_is_printed_for_editors_and_for_people() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schema = forebay(&root, &["schema"], &[]).await;
    let parsed: serde_json::Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!(parsed["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (format, file) in [("example", "config/everything.yaml"), ("reference", "docs/reference.md")] {
        let printed = forebay(&root, &["schema", "--format", format], &[]).await;
        assert_eq!(printed.stdout, fs::read_to_string(root.join(file)).unwrap(), "{format}");
    }
}
