//! Traffic: made up, and recorded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use fastrand::Rng;
use forebay_allocators::Key;
use forebay_otlp::{Signal, json};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

use crate::Error;

/// What matters of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// Its kind.
    pub key: Key,
    /// How many spans it has.
    pub spans: u32,
    /// Its random number, from 0 to 1.
    pub random: f64,
}

/// The traces that are decided in a second.
pub type Second = Vec<Trace>;

/// Makes traffic of so many seconds.
pub type Make = fn(&mut Rng, usize) -> Vec<Second>;

/// Made-up traffic by its name in the table.
pub const SYNTHETIC: &[(&str, Make)] =
    &[("steady", steady), ("burst ×20", burst), ("key churn", churn), ("diurnal", diurnal)];

/// Seconds of traffic that are replayed.
pub const SECONDS: usize = 1_200;
/// Traces per second.
const RATE: f64 = 1_000.0;
const KEYS: u64 = 200;
/// Spans of a trace, evenly distributed.
const SPANS: std::ops::RangeInclusive<u32> = 1..=9;
const NANOSECONDS: u64 = 1_000_000_000;

/// The same all the time but for chance.
fn steady(rng: &mut Rng, seconds: usize) -> Vec<Second> {
    (0..seconds).map(|_| second(rng, RATE, |rank| rank)).collect()
}

/// For ten seconds of each two minutes, twenty times as much.
fn burst(rng: &mut Rng, seconds: usize) -> Vec<Second> {
    let rate = |second| if second % 120 >= 110 { 20.0 * RATE } else { RATE };
    (0..seconds).map(|number| second(rng, rate(number), |rank| rank)).collect()
}

/// Every ten seconds, another tenth of the kinds gives way to new ones.
fn churn(rng: &mut Rng, seconds: usize) -> Vec<Second> {
    let kind = |epoch: u64, rank: u64| {
        // How often this rank's tenth has been exchanged.
        let generation = (epoch + 10 - rank % 10) / 10;
        generation * KEYS + rank
    };
    (0..seconds as u64).map(|number| second(rng, RATE, |rank| kind(number / 10, rank))).collect()
}

/// From a tenth to almost twice as much and back in ten minutes.
fn diurnal(rng: &mut Rng, seconds: usize) -> Vec<Second> {
    let rate = |number| RATE * (1.0 + 0.9 * (number as f64 * std::f64::consts::TAU / 600.0).sin());
    (0..seconds).map(|number| second(rng, rate(number), |rank| rank)).collect()
}

/// A second of about so many traces; the kind of rank `r` is as frequent as `1 / (r + 1)²`.
fn second(rng: &mut Rng, rate: f64, kind: impl Fn(u64) -> u64) -> Second {
    let mut traces = Vec::new();
    for rank in 0..KEYS {
        let mean = rate * 0.61 / ((rank + 1) as f64).powi(2);
        for _ in 0..poisson(rng, mean) {
            let key = Key::of(&kind(rank).to_string());
            traces.push(Trace { key, spans: rng.u32(SPANS), random: rng.f64() });
        }
    }
    rng.shuffle(&mut traces);
    traces
}

/// How often something happens that happens so often on average.
fn poisson(rng: &mut Rng, mean: f64) -> u64 {
    let (mut count, mut time) = (0, -(1.0 - rng.f64()).ln());
    while time < mean {
        count += 1;
        time -= (1.0 - rng.f64()).ln();
    }
    count
}

/// Traces of a recording (`*.jsonl.zst`) by the second of their start, over and over for as long as the made-up
/// traffic. Their kind is the service and the name of the root.
///
/// # Errors
/// When the file cannot be read.
pub fn recorded(rng: &mut Rng, file: &Path) -> Result<Vec<Second>, Error> {
    let mut traces: BTreeMap<Vec<u8>, (u64, u32, String)> = BTreeMap::new();
    for line in BufReader::new(zstd::Decoder::new(File::open(file)?)?).lines() {
        let request = json::decode(Signal::Traces, line?.as_bytes())?;
        for resource_spans in ExportTraceServiceRequest::decode(&request[..])?.resource_spans {
            let attributes = resource_spans.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = match service.and_then(|attribute| attribute.value?.value) {
                Some(Value::StringValue(service)) => service,
                _ => String::new(),
            };
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let trace = traces.entry(span.trace_id).or_insert((u64::MAX, 0, String::new()));
                trace.0 = trace.0.min(span.start_time_unix_nano);
                trace.1 += 1;
                if span.parent_span_id.is_empty() {
                    trace.2 = format!("{service} {}", span.name);
                }
            }
        }
    }
    let begin = traces.values().map(|trace| trace.0).min().unwrap_or(0) / NANOSECONDS;
    let mut seconds: BTreeMap<u64, Vec<(Key, u32)>> = BTreeMap::new();
    for (start, spans, kind) in traces.into_values() {
        seconds.entry(start / NANOSECONDS - begin).or_default().push((Key::of(&kind), spans));
    }
    // What is between the parts of a recording is left out.
    let again = seconds.values().cycle().take(if seconds.is_empty() { 0 } else { SECONDS });
    let mut random = |&(key, spans): &(Key, u32)| Trace { key, spans, random: rng.f64() };
    Ok(again.map(|traces| traces.iter().map(&mut random).collect()).collect())
}
