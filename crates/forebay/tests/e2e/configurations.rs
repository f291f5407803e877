//! What the repository tells people to write works.

use std::fs;
use std::path::{Path, PathBuf};

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::harness::{Backend, Forebay, Metrics, forebay, free_port, request_of, span};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The files below `path` that end in `extension`.
fn files(path: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path, extension) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

/// The blocks of YAML in a Markdown text.
fn configurations(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next())
}

#[tokio::test]
async fn every_sample_configuration_is_valid_without_a_warning() {
    let samples = files(&root().join("config"), "yaml");
    assert!(!samples.is_empty());
    for sample in samples {
        let output = forebay(&root(), &["validate", "--config", sample.to_str().unwrap()], &[]).await;
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{}", sample.display());
    }
}

#[tokio::test]
async fn every_configuration_in_the_documentation_is_valid() {
    let mut pages = files(&root().join("docs"), "md");
    pages.extend(
        ["README.md", "ARCHITECTURE.md"]
            .map(|page| root().join(page))
            .into_iter()
            .filter(|page| page.exists()),
    );
    for page in pages {
        for yaml in configurations(&fs::read_to_string(&page).unwrap()) {
            // A part of a configuration is laid over a sample.
            let part = !yaml.lines().any(|line| line.trim() == "pipelines:");
            let sample: &[_] = if part { &["--config=config/gateway-tail.yaml"] } else { &[] };
            let block = format!("--config=yaml:{yaml}");
            let output = forebay(&root(), &[&["validate"], sample, &[&block]].concat(), &[]).await;
            assert_eq!(output.code, Some(0), "{}:\n{}", page.display(), output.stderr);
        }
    }
}

#[tokio::test]
async fn every_sample_configuration_runs_and_delivers_an_error_span() {
    let backend = Backend::start().await;
    let address = backend.address.to_string();
    let samples = files(&root().join("config"), "yaml").into_iter();
    // An agent needs a coordinator; see below.
    let samples = samples.filter(|sample| !sample.ends_with("agent-retroactive.yaml"));
    for (number, sample) in (1..).zip(samples) {
        // The randomness that every probability keeps.
        let trace = (number << 56) | 0x00ff_ffff_ffff_ffff;
        let coordinator = format!("127.0.0.1:{}", free_port());
        let variables = [
            ("BACKEND", address.as_str()),
            ("COORDINATOR", &coordinator),
            ("GATEWAY", &address),
            ("OUTPUT", "out.jsonl"),
        ];
        let process = Forebay::start_with(&["--config", sample.to_str().unwrap()], &variables).await;
        let mut root = span(trace);
        root.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
        process.client().export(Signal::Traces, request_of([root])).await.unwrap();

        let output = process.directory().join("out.jsonl");
        process.signal("TERM").await;
        // The directory goes with the process, so what it holds is read while it is still there.
        let delivered = crate::harness::eventually("the span", async || {
            let in_file =
                fs::read_to_string(&output).is_ok_and(|text| text.contains(&format!("{trace:032x}")));
            (in_file || backend.trace_ids().contains(&trace)).then_some(())
        });
        delivered.await;
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(0), "{}:\n{log}", sample.display());
    }
}

#[tokio::test]
async fn the_sample_configurations_of_a_retroactive_fleet_work_together() {
    let backend = Backend::start().await;
    let (backend_address, coordinator) = (backend.address.to_string(), format!("127.0.0.1:{}", free_port()));
    let variables = [("BACKEND", backend_address.as_str()), ("COORDINATOR", &coordinator)];
    let start = async |sample: &str, more: &[&str]| {
        let path = root().join("config").join(sample);
        let config = ["--config", path.to_str().unwrap()];
        Forebay::start_with(&[&config, more].concat(), &variables).await
    };
    let extensions = "--set=service.extensions=[health_check, retroactive_coordinator]";
    let gateway = start("gateway-retroactive.yaml", &[extensions]).await;
    let agent = start("agent-retroactive.yaml", &[]).await;
    let attended = |metrics: &Metrics| metrics.sum("forebay_retroactive_sampling_attended", &[]) == 1;
    agent.until("a coordinator decides", attended).await;
    let mut failed = span(1);
    failed.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
    agent.client().export(Signal::Traces, request_of([failed])).await.unwrap();
    backend.until_spans(1).await;
    agent.stop().await;
    gateway.stop().await;
}
