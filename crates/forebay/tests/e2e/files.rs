//! What is written to files.

use std::fs;
use std::path::Path;

use forebay_otlp::{Signal, json};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::harness::{Forebay, Traces, request_of, span, string_attribute};

const MIB: usize = 1 << 20;

/// The traces in each of the files of a directory, in order of their names.
fn files(directory: &Path) -> Vec<Vec<u128>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = fs::read(path).unwrap();
            assert!(text.len() <= MIB, "{}: {} bytes", path.display(), text.len());
            assert!(text.ends_with(b"\n"), "{} is cut", path.display());
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let requests = lines.map(|line| Traces::decode(&json::decode(Signal::Traces, line).unwrap()));
            requests.flat_map(Traces::ids).collect()
        })
        .collect()
}

#[tokio::test]
async fn files_are_set_aside_before_they_are_too_large_and_only_so_many_are_kept() {
    let yaml = "
exporters: {file: {path: out/traces.jsonl, create_directory: true, rotation: {max_megabytes: 1, max_backups: 2}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}
";
    let process = Forebay::start(yaml).await;
    let client = process.client();
    let text = "x".repeat(400_000);
    // Two of them fit a file.
    for trace in 1..=9 {
        let large = Span { attributes: vec![string_attribute("text", &text)], ..span(trace) };
        client.export(Signal::Traces, request_of([large])).await.unwrap();
    }
    let directory = process.directory().join("out");
    assert!(directory.join("traces.jsonl").exists());
    // A file that was set aside sorts before the one that is written to.
    assert_eq!(files(&directory), [vec![5, 6], vec![7, 8], vec![9]]);
    let metrics = process.metrics().await;
    assert_eq!(metrics.stage("exporter/file", "traces", "outgoing"), 9);
    process.stop().await;
}
