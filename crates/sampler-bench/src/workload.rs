//! Traffic that can be sent again and again.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::FixedState;
use forebay_otlp::threshold::Threshold;
use forebay_otlp::wire::{Fields, Value};
use forebay_otlp::{Signal, SpanIndex, TraceId, admit, json};
use forebay_pipeline::Batch;
use hashbrown::HashMap;

use crate::population::{MINUTE, number, resource_attribute};
use crate::random::mix;
use crate::{Oddities, Population, PopulationBuilder};

/// Requests in the order in which they come, and what is known of their traces.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// What it is called.
    pub name: String,
    /// The requests.
    pub requests: Vec<Request>,
    /// What is known of their traces.
    pub population: Population,
    /// What was odd about the input.
    pub oddities: Oddities,
    /// For each service instance that sends requests, the number of its service.
    pub services: Vec<u32>,
    /// For each trace, when its first span comes.
    pub first_sent: Vec<Duration>,
}

/// What one service instance sends at a time.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it comes, after the beginning.
    pub at: Duration,
    /// Which service instance sends it.
    pub source: u32,
    /// An `ExportTraceServiceRequest` in which all spans are valid.
    bytes: Bytes,
    index: SpanIndex,
    /// For each span, the number of its trace and where in `bytes` its trace id lies.
    traces: Vec<(u32, u32)>,
}

const TRACE_ID: u32 = 1;

impl Workload {
    /// From the first request to the last, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.requests.last().map_or(0.0, |request| request.at.as_secs_f64())
    }

    /// Spans sent.
    #[must_use]
    pub fn spans(&self) -> usize {
        self.requests.iter().map(|request| request.index.spans.len()).sum()
    }

    /// Bytes sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.requests.iter().map(|request| request.bytes.len() as u64).sum()
    }
}

impl Workload {
    /// Writes the requests as OTLP/JSON, one a line.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_json_lines(&self, mut out: impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        for request in &self.requests {
            line.clear();
            json::encode(Signal::Traces, &request.bytes, &mut line).map_err(io::Error::other)?;
            line.push(b'\n');
            out.write_all(&line)?;
        }
        Ok(())
    }

    /// Writes which traces are anomalous, as CSV.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_labels(&self, out: impl Write) -> io::Result<()> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(["TraceID", "start_unix_nano", "e2e_ms", "spans", "label", "fault"])?;
        for trace in &self.population.traces {
            let fault = trace.fault.map_or("", |fault| &self.population.faults[fault as usize]);
            out.write_record([
                trace.id.to_string(),
                trace.start.to_string(),
                (trace.seconds() * 1e3).to_string(),
                trace.spans.len().to_string(),
                u8::from(trace.is_anomalous()).to_string(),
                fault.to_owned(),
            ])?;
        }
        out.flush()
    }
}

impl Request {
    /// The request with the trace ids of `seed`.
    ///
    /// The lower half of an id is random, as W3C's Trace Context asks for, so a sampler decides anew with each seed;
    /// the upper half is the trace's number behind a mask, so that it is found again. A trace that has passed a
    /// threshold before keeps a randomness that passes it.
    #[must_use]
    pub fn with_ids_of(&self, seed: u64, population: &Population) -> Batch {
        let mut bytes = self.bytes.to_vec();
        let mut index = self.index.clone();
        for (span, &(trace, offset)) in index.spans.iter_mut().zip(&self.traces) {
            span.trace_id = id_of(trace, seed, population.traces[trace as usize].threshold);
            bytes[offset as usize..offset as usize + 16].copy_from_slice(&span.trace_id.to_bytes());
        }
        Batch::scanned(Bytes::from(bytes), index)
    }
}

const fn mask(seed: u64) -> u64 {
    mix(seed ^ 0x6d61_736b)
}

fn id_of(trace: u32, seed: u64, passed: Threshold) -> TraceId {
    let random = mix(mix(seed) ^ u64::from(trace));
    let low =
        if passed == Threshold::ALWAYS { random } else { passed.get() + random % ((1 << 56) - passed.get()) };
    TraceId(u128::from(u64::from(trace) ^ mask(seed)) << 64 | u128::from(low))
}

/// The number of the trace that has this id under `seed`.
pub(crate) fn number_of(id: TraceId, seed: u64) -> Option<u32> {
    u32::try_from(u64::try_from(id.0 >> 64).ok()? ^ mask(seed)).ok()
}

/// Puts a workload together from requests in about the order of their time.
#[derive(Debug)]
pub struct WorkloadBuilder {
    population: PopulationBuilder,
    requests: Vec<(u64, Request)>,
    /// Service instances, and services, by their names.
    sources: HashMap<String, u32, FixedState>,
    named: HashMap<String, u32, FixedState>,
    services: Vec<u32>,
    /// What was odd so far.
    pub oddities: Oddities,
    span_limit: usize,
    time_limit: Duration,
    /// When the first request came, and the latest.
    first: Option<u64>,
    latest: u64,
}

impl WorkloadBuilder {
    /// A workload of at most `span_limit` spans: what is beyond is counted and left out.
    #[must_use]
    pub fn new(span_limit: usize) -> Self {
        Self {
            population: PopulationBuilder::default(),
            requests: Vec::new(),
            sources: HashMap::default(),
            named: HashMap::default(),
            services: Vec::new(),
            oddities: Oddities::default(),
            span_limit,
            time_limit: Duration::MAX,
            first: None,
            latest: 0,
        }
    }

    /// The same, without requests that come later after the first one: they are counted and left out.
    #[must_use]
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Adds a request, which was in the file of this number. It comes when the last of its spans ends.
    pub fn add(&mut self, request: Bytes, file: u32) {
        let Ok(admitted) = admit(request) else {
            self.oddities.malformed_requests += 1;
            return;
        };
        self.oddities.rejected_spans += admitted.rejected.spans() as u64;
        let (bytes, index) = (admitted.bytes, admitted.index);
        if index.spans.is_empty() {
            return;
        }
        let time = index.spans.iter().map(|span| span.end.max(span.start)).max().unwrap_or(0);
        let elapsed = Duration::from_nanos(time.saturating_sub(*self.first.get_or_insert(time)));
        if elapsed > self.time_limit || self.population.spans() + index.spans.len() > self.span_limit {
            self.oddities.spans_beyond_limit += index.spans.len() as u64;
            return;
        }
        let numbers = self.population.add(&bytes, &index, file, &mut self.oddities);
        let traces = numbers.into_iter().zip(&index.spans).map(|(trace, span)| {
            let body = index.body(&bytes, span);
            (trace, span.body.start + trace_id_offset(body))
        });
        let traces = traces.collect();
        self.oddities.out_of_order_requests += u64::from(time.saturating_add(MINUTE) < self.latest);
        self.latest = self.latest.max(time);
        let envelope = index.spans[0].envelope;
        let attribute = |key| resource_attribute(&bytes, &index, envelope, key);
        let service = attribute("service.name");
        let source = format!("{service}/{}", attribute("service.instance.id"));
        let (next, next_service) = (number(self.sources.len()), number(self.named.len()));
        let Self { sources, named, services, .. } = self;
        let source = *sources.entry(source).or_insert_with(|| {
            services.push(*named.entry(service).or_insert(next_service));
            next
        });
        self.requests.push((time, Request { at: Duration::ZERO, source, bytes, index, traces }));
    }

    /// Says that a trace is anomalous because of the fault of this number, or that it is not; whether it is known.
    pub fn label(&mut self, trace: TraceId, fault: Option<u32>) -> bool {
        self.population.label(trace, fault)
    }

    /// The workload called `name`, whose anomalies are due to `faults`; `None` if nobody has said which are.
    #[must_use]
    pub fn finish(mut self, name: String, faults: Option<Vec<String>>) -> Workload {
        self.requests.sort_by_key(|(time, _)| *time);
        let first = self.requests.first().map_or(0, |(time, _)| *time);
        let requests = self
            .requests
            .into_iter()
            .map(|(time, request)| Request { at: Duration::from_nanos(time - first), ..request });
        let requests: Vec<_> = requests.collect();
        let population = self.population.finish(faults, &mut self.oddities);
        let mut first_sent = vec![Duration::MAX; population.traces.len()];
        for request in &requests {
            for &(trace, _) in &request.traces {
                let sent = &mut first_sent[trace as usize];
                *sent = request.at.min(*sent);
            }
        }
        Workload { name, requests, population, oddities: self.oddities, services: self.services, first_sent }
    }
}

/// Where in a span's message its trace id begins; of several, that of the last, which counts.
fn trace_id_offset(span: &[u8]) -> u32 {
    let ids = Fields::new(span).map_while(Result::ok).filter_map(|field| match field.value {
        Value::Bytes(id) if field.number == TRACE_ID => Some(field.end - id.len()),
        _ => None,
    });
    number(ids.last().unwrap_or(0))
}

#[cfg(test)]
mod tests;
