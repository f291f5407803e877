//! Recorded traffic: against the reference model, and what it takes to hold.

use std::fs::{File, read_dir};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use forebay_otlp::{Signal, json};

use super::*;
use crate::testing::model::{Code, Model, Rule, grouped};
use crate::testing::{Located, ResourceSpans, decode, encode};

/// A recording's name and its requests.
type Recording = (String, Vec<Vec<u8>>);

/// The excerpts beside the crate that reads OTLP, or all of `$FOREBAY_DATASETS/*/traces.jsonl.zst`.
fn recordings() -> Vec<Recording> {
    let entries = |directory: &Path| {
        read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let mut files: Vec<PathBuf> = match std::env::var_os("FOREBAY_DATASETS") {
        Some(datasets) => {
            entries(Path::new(&datasets)).iter().map(|dataset| dataset.join("traces.jsonl.zst")).collect()
        }
        None => entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../otlp/testdata")),
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "zst") && file.exists());
    files.sort();
    assert!(!files.is_empty(), "no recordings");
    let requests = |file: &PathBuf| {
        let lines = BufReader::new(zstd::Decoder::new(File::open(file).unwrap()).unwrap()).lines();
        lines.map(|line| json::decode(Signal::Traces, line.unwrap().as_bytes()).unwrap()).collect()
    };
    files.iter().map(|file| (file.display().to_string(), requests(file))).collect()
}

fn rules() -> Vec<Rule> {
    let text = |values: &[&str]| Rule::Text {
        key: "service.name".to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
        regex: true,
        invert: false,
    };
    let failed =
        Rule::Number { key: "http.status_code".to_owned(), min: Some(400), max: None, invert: false };
    vec![
        Rule::Status(vec![Code::Error]),
        failed,
        Rule::Latency { above_ms: 250, at_most_ms: None },
        Rule::And(vec![text(&["^product", "user", "nginx"]), Rule::Share { percentage: 40.0 }]),
        Rule::Share { percentage: 10.0 },
    ]
}

/// When the last of these spans ended.
fn end(spans: &[Located]) -> Nanos {
    spans.iter().map(|located| located.span.end_time_unix_nano).max().unwrap_or(0)
}

#[test]
fn the_sampler_lets_out_what_the_model_lets_out() {
    for (name, requests) in recordings() {
        let wait = SECOND / 2;
        let mut model = Model::new(rules(), wait);
        let mut tail = Tail::with(Settings {
            decision_wait: wait,
            ..settings(&Model::yaml(&rules()), Compatibility::default())
        });
        let mut now = 0;
        let mut count = 0;
        for request in &requests {
            let spans = decode(request);
            count += spans.len() as u64;
            now = end(&spans).max(now);
            tail.decide_due(now);
            assert_eq!(grouped(tail.located()), grouped(model.decide_due(now)), "{name}");
            tail.accept(now, request);
            assert_eq!(grouped(tail.located()), grouped(model.accept(now, spans)), "{name}");
        }
        tail.decide_all();
        assert_eq!(grouped(tail.located()), grouped(model.decide_oldest(model.pending_traces())), "{name}");
        let stats = tail.sampler.stats();
        let (kept, dropped) = (stats.kept_spans + stats.late_kept, stats.dropped_spans + stats.late_dropped);
        assert_eq!(kept + dropped, count);
        assert!(kept > 0 && dropped > 0, "{name}: {kept} kept, {dropped} dropped");
    }
}

/// The same request of other traces.
fn of_other_traces(request: &[u8], number: u8) -> Vec<u8> {
    let resources = decode(request).into_iter().map(|Located { resource, mut scope, mut span }| {
        span.trace_id[0] ^= number;
        scope.spans.push(span);
        ResourceSpans { scope_spans: vec![scope], ..resource }
    });
    // Together again what was under one resource and scope.
    let mut merged: Vec<ResourceSpans> = Vec::new();
    for mut resource in resources {
        match merged.last_mut() {
            Some(last)
                if last.resource == resource.resource
                    && last.scope_spans[0].scope == resource.scope_spans[0].scope =>
            {
                last.scope_spans[0].spans.append(&mut resource.scope_spans[0].spans);
            }
            _ => merged.push(resource),
        }
    }
    encode(merged)
}

#[test]
fn pending_spans_take_less_than_the_requests_they_came_in() {
    for (name, requests) in recordings() {
        let mut tail = Tail::new(ALL);
        let (mut wire, mut number) = (0, 0);
        // Enough of it that a segment more or less does not count.
        while wire < 8 << 20 {
            for request in &requests {
                let request = of_other_traces(request, number);
                wire += request.len();
                tail.accept(0, &request);
            }
            number += 1;
        }
        let (held, traces) = (tail.sampler.pending_bytes(), tail.sampler.pending_traces());
        let (ratio, spare) = (held as f64 / wire as f64, tail.sampler.pending.store.allocated() - held);
        println!(
            "{name}: {held} of {wire} bytes held ({ratio:.3}); {} beyond for each of {traces} traces",
            spare / traces
        );
        assert!(ratio <= 1.1, "{name}: {ratio}");
        assert!(spare / traces <= 256, "{name}: {spare} for {traces} traces");
    }
}
