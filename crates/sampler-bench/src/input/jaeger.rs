//! Jaeger's JSON, as its query service answers and its user interface downloads: `{"data": [trace, …]}`, or one trace.
//!
//! <https://www.jaegertracing.io/docs/latest/apis/>; the fields are those of `model/json/model.go`. Traces are read one
//! by one. Of each, the spans of one process become one request, as an agent beside that process would have sent it.
//! Times are in microseconds. A tag `error` that is true is a status, `span.kind` is a kind; logs are left out.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use bytes::Bytes;
use forebay_otlp::wire::{put_bytes, put_fixed64, put_varint_field};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::WorkloadBuilder;
use crate::generate::encode;

#[derive(Deserialize)]
struct Trace {
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    processes: BTreeMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(rename = "parentSpanID", default)]
    parent_span_id: String,
    #[serde(default)]
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    start_time: u64,
    #[serde(default)]
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "processID", default)]
    process_id: String,
    #[serde(default)]
    process: Option<Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    #[serde(default)]
    service_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Clone, Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: serde_json::Value,
}

/// Reads all traces. What follows a place that is not JSON, or no trace, cannot be read.
pub(super) fn read(reader: impl BufRead, file: u32, builder: &mut WorkloadBuilder) -> io::Result<()> {
    let mut add = |trace: Trace| requests(trace).for_each(|request| builder.add(request, file));
    let mut json = serde_json::Deserializer::from_reader(reader);
    if let Err(error) = json.deserialize_map(Document(&mut add)) {
        if error.is_io() {
            return Err(error.into());
        }
        builder.oddities.malformed_requests += 1;
    }
    Ok(())
}

/// Hands on each trace of a document as soon as it is read.
struct Document<'a, F>(&'a mut F);

impl<'de, F: FnMut(Trace)> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of Jaeger's query service")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut lone = Trace { spans: Vec::new(), processes: BTreeMap::new() };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" => map.next_value_seed(Traces(self.0))?,
                "spans" => lone.spans = map.next_value()?,
                "processes" => lone.processes = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        (self.0)(lone);
        Ok(())
    }
}

struct Traces<'a, F>(&'a mut F);

impl<'de, F: FnMut(Trace)> serde::de::DeserializeSeed<'de> for Traces<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Trace)> Visitor<'de> for Traces<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of traces")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut traces: A) -> Result<(), A::Error> {
        while let Some(trace) = traces.next_element()? {
            (self.0)(trace);
        }
        Ok(())
    }
}

/// The requests of a trace, one of each process.
fn requests(trace: Trace) -> impl Iterator<Item = Bytes> {
    let mut processes: BTreeMap<String, (Option<Process>, Vec<Vec<u8>>)> = BTreeMap::new();
    for span in trace.spans {
        let process = span.process.clone().or_else(|| trace.processes.get(&span.process_id).cloned());
        let name = process.as_ref().map_or_else(String::new, |process| process.service_name.clone());
        let message = span.encode();
        let (_, spans) =
            processes.entry(format!("{}/{name}", span.process_id)).or_insert_with(|| (process, Vec::new()));
        spans.push(message);
    }
    processes.into_values().map(|(process, spans)| {
        let process = process.unwrap_or_default();
        let mut resource = Vec::new();
        encode::string_attribute(&mut resource, 1, "service.name", &process.service_name);
        process.tags.iter().for_each(|tag| tag.encode(&mut resource, 1));
        Bytes::from(encode::request(&resource, "jaeger", &spans))
    })
}

impl Span {
    fn encode(&self) -> Vec<u8> {
        const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];
        let mut message = Vec::new();
        put_bytes(&mut message, 1, &id::<16>(&self.trace_id));
        put_bytes(&mut message, 2, &id::<8>(&self.span_id));
        let of_type = |wanted: &str| self.references.iter().find(|reference| reference.ref_type == wanted);
        let reference = of_type("CHILD_OF").or_else(|| of_type("FOLLOWS_FROM"));
        let parent = reference.map_or(&self.parent_span_id, |reference| &reference.span_id);
        if !parent.is_empty() {
            put_bytes(&mut message, 4, &id::<8>(parent));
        }
        put_bytes(&mut message, 5, self.operation_name.as_bytes());
        let kind = self.tags.iter().find(|tag| tag.key == "span.kind").and_then(|tag| tag.value.as_str());
        if let Some((number, _)) = (1..).zip(KINDS).find(|(_, name)| Some(*name) == kind) {
            put_varint_field(&mut message, 6, number);
        }
        let end = self.start_time.saturating_add(self.duration);
        put_fixed64(&mut message, 7, self.start_time.saturating_mul(1000));
        put_fixed64(&mut message, 8, end.saturating_mul(1000));
        self.tags.iter().for_each(|tag| tag.encode(&mut message, 9));
        if self.tags.iter().any(Tag::is_error) {
            encode::status_error(&mut message);
        }
        message
    }
}

impl Tag {
    /// Appends the tag to a message whose attributes are field `field`.
    fn encode(&self, message: &mut Vec<u8>, field: u32) {
        match &self.value {
            serde_json::Value::String(text) => encode::string_attribute(message, field, &self.key, text),
            serde_json::Value::Number(number) if number.is_i64() => {
                encode::int_attribute(message, field, &self.key, number.as_i64().unwrap_or_default());
            }
            other => encode::string_attribute(message, field, &self.key, &other.to_string()),
        }
    }

    fn is_error(&self) -> bool {
        let is_text = |text| self.value.as_str() == Some(text);
        match self.key.as_str() {
            "error" => self.value.as_bool() == Some(true) || is_text("true"),
            "otel.status_code" => is_text("ERROR"),
            _ => false,
        }
    }
}

/// Up to `N` bytes in hex, which may lack leading zeros; what is no id reads as zero, which admission refuses.
fn id<const N: usize>(text: &str) -> [u8; N] {
    let number = u128::from_str_radix(text, 16).unwrap_or(0).to_be_bytes();
    let mut id = [0; N];
    if text.len() <= 2 * N {
        id.copy_from_slice(&number[number.len() - N..]);
    }
    id
}
