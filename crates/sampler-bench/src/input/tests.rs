use std::io::Cursor;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::Oddities;

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

fn line(span: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{TRACE}","spanId":"{span}","name":"buy","startTimeUnixNano":"1000000000","endTimeUnixNano":"3000000000"}}]}}]}}]}}"#
    )
}

/// What a file of these bytes holds.
fn workload(file: impl Into<Vec<u8>>) -> Workload {
    let mut builder = WorkloadBuilder::new(1000);
    let reader = decompressed(Cursor::new(file.into())).unwrap();
    read(reader, 0, &mut builder).unwrap();
    builder.finish(String::new(), None)
}

fn protobuf(span: &str) -> Vec<u8> {
    forebay_otlp::json::decode(forebay_otlp::Signal::Traces, line(span).as_bytes()).unwrap()
}

#[test]
fn lines_are_read_whatever_compresses_them() {
    let text = format!("{}\n\n{}\n", line("eee19b7ec3c1b174"), line("eee19b7ec3c1b175"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let files =
        [text.clone().into_bytes(), gzip.finish().unwrap(), zstd::encode_all(text.as_bytes(), 0).unwrap()];
    for file in files {
        let workload = workload(file);
        assert_eq!((workload.population.traces.len(), workload.spans()), (1, 2));
        assert_eq!(workload.oddities, Oddities::default());
        assert_eq!(workload.population.operations, ["shop buy"]);
        assert_eq!(workload.population.traces[0].seconds(), 2.0);
    }
}

#[test]
fn a_wrong_line_costs_that_line_and_is_counted() {
    let text = format!("{}\n{{\"resourceSpans\": 7}}\nnonsense\n{}", line("eee19b7ec3c1b174"), line("00"));
    let workload = workload(text);
    assert_eq!(workload.spans(), 1);
    assert_eq!((workload.oddities.malformed_requests, workload.oddities.rejected_spans), (2, 1));
}

#[test]
fn a_line_without_end_is_not_held_and_the_next_one_is_read() {
    let good = format!("\n{}", line("eee19b7ec3c1b174"));
    let endless = std::io::repeat(b'x').take(REQUEST_MAX as u64 + 5);
    let mut builder = WorkloadBuilder::new(1000);
    lines::read(std::io::BufReader::new(endless.chain(Cursor::new(good))), 0, &mut builder).unwrap();
    let workload = builder.finish(String::new(), None);
    assert_eq!((workload.spans(), workload.oddities.oversized_requests), (1, 1));
}

#[test]
fn requests_out_of_order_are_put_in_order_and_counted() {
    let late = line("eee19b7ec3c1b174").replace("000000000", "00000000000");
    let workload = workload(format!("{late}\n{}\n", line("eee19b7ec3c1b175")));
    assert_eq!((workload.spans(), workload.oddities.out_of_order_requests), (2, 1));
    assert!(workload.requests.is_sorted_by_key(|request| request.at));
}

#[test]
fn frames_are_read_as_the_file_exporter_writes_them() {
    let request = protobuf("eee19b7ec3c1b174");
    let frame = [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat();
    let twice = [frame.clone(), frame.clone()].concat();
    let found = workload(twice.clone());
    assert_eq!((found.spans(), found.oddities.duplicate_spans), (2, 1));
    let cut = workload(&twice[..twice.len() - 3]);
    assert_eq!((cut.spans(), cut.oddities.malformed_requests), (1, 1));
    assert_eq!(workload(request).spans(), 1);
    let huge = workload([&[0x7f, 0xff, 0xff, 0xff][..], &frame].concat());
    assert_eq!((huge.spans(), huge.oddities.oversized_requests), (0, 1));
}

const JAEGER: &str = r#"{"data": [{"traceID": "5b8efff798038103d269b633813fc60c", "spans": [
    {"traceID": "5b8efff798038103d269b633813fc60c", "spanID": "a1", "operationName": "GET /", "references": [],
     "startTime": 1000000, "duration": 500, "tags": [{"key": "span.kind", "type": "string", "value": "server"}],
     "logs": [], "processID": "p1"},
    {"traceID": "5b8efff798038103d269b633813fc60c", "spanID": "b2", "operationName": "query",
     "references": [{"refType": "CHILD_OF", "traceID": "5b8efff798038103d269b633813fc60c", "spanID": "a1"}],
     "startTime": 1000100, "duration": 200, "tags": [{"key": "error", "type": "bool", "value": true}], "processID": "p2"}],
    "processes": {"p1": {"serviceName": "web", "tags": []}, "p2": {"serviceName": "db"}}}], "total": 0, "errors": null}"#;

#[test]
fn jaegers_traces_are_read_with_their_tree_times_and_errors() {
    let workload = workload(JAEGER);
    let population = &workload.population;
    assert_eq!(population.traces.len(), 1);
    assert_eq!(population.traces[0].id.to_string(), TRACE);
    let mut names = population.operations.clone();
    names.sort();
    assert_eq!(names, ["db query", "web GET /"]);
    assert_eq!(population.operations[population.traces[0].entry as usize], "web GET /");
    assert!((population.traces[0].seconds() - 0.0005).abs() < 1e-12);
    assert!(population.traces[0].error);
    assert_eq!(workload.services.len(), 2);
    assert_eq!(workload.oddities, Oddities::default());
}

#[test]
fn a_jaeger_file_that_breaks_off_yields_the_traces_before() {
    let cut = JAEGER.replace(r#"}], "total""#, r#"}, {"traceID": "x", "spans": 3}], "total""#);
    let workload = workload(cut);
    assert_eq!((workload.population.traces.len(), workload.oddities.malformed_requests), (1, 1));
}

#[test]
fn labels_name_anomalies_and_what_is_wrong_with_them_is_counted() {
    let mut builder = WorkloadBuilder::new(1000);
    builder.add(Bytes::from(protobuf("eee19b7ec3c1b174")), 0);
    let csv = format!("TraceID,label,fault\n{TRACE},1,disk\nff,1,disk\nxyz,1,disk\n{TRACE}\n");
    let faults = labels::read(csv.as_bytes(), &mut builder);
    assert_eq!(faults, ["disk"]);
    let workload = builder.finish(String::new(), Some(faults));
    assert_eq!(workload.population.traces[0].fault, Some(0));
    assert_eq!((workload.oddities.unknown_labels, workload.oddities.malformed_labels), (1, 2));
}

#[test]
fn traces_over_file_boundaries_are_one_trace_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, span| {
        let path = folder.path().join(name);
        std::fs::write(&path, line(span)).unwrap();
        path
    };
    let traces = vec![path("a.jsonl", "eee19b7ec3c1b174"), path("b.jsonl", "eee19b7ec3c1b175")];
    let input = Input { traces, labels: None, span_limit: 1000, time_limit: Duration::MAX };
    let workload = input.read().unwrap();
    assert_eq!((workload.population.traces.len(), workload.oddities.split_traces), (1, 1));
    assert_eq!(workload.name, "a");
    let missing = Input { traces: vec![folder.path().join("c.jsonl")], ..input };
    assert!(missing.read().unwrap_err().to_string().contains("c.jsonl"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end_or_told(file: Vec<u8>) {
        let mut builder = WorkloadBuilder::new(1000);
        if let Ok(reader) = decompressed(Cursor::new(file)) {
            let _ = read(reader, 0, &mut builder);
        }
    }

    #[test]
    fn any_json_is_read_or_told(json in r#"\{("data"|"traceID"|"spans"|[\[\]{}:,]|"x"|[0-9]){0,20}"#) {
        let mut builder = WorkloadBuilder::new(1000);
        read(Box::new(Cursor::new(json.into_bytes())), 0, &mut builder).unwrap();
    }
}
