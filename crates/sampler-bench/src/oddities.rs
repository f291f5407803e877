//! What was odd about the input: counted and shown, never silently dropped.

use serde::{Deserialize, Serialize};

/// How often which oddity was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Oddities {
    /// Lines, messages or documents that are not what the file's format says.
    pub malformed_requests: u64,
    /// Lines or messages that are longer than may be held.
    pub oversized_requests: u64,
    /// Spans whose ids OTLP does not allow, or that cannot be read.
    pub rejected_spans: u64,
    /// Spans that were there before, by trace and span id. They are sent, as they would be, but counted once.
    pub duplicate_spans: u64,
    /// Spans that end before they start.
    pub negative_durations: u64,
    /// Spans that start before their parent by more than a minute, or after its end by more than that.
    pub skewed_spans: u64,
    /// Requests whose time is a minute or more before that of one before them.
    pub out_of_order_requests: u64,
    /// Traces none of whose spans is a root.
    pub rootless_traces: u64,
    /// Traces with spans in more than one file.
    pub split_traces: u64,
    /// Labels for traces that are not in the input.
    pub unknown_labels: u64,
    /// Lines of the labels that are not labels.
    pub malformed_labels: u64,
    /// Spans that were not read because there are more than may be held.
    pub spans_beyond_limit: u64,
}

impl Oddities {
    /// Those that were met, each with what it is called.
    pub fn met(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("malformed requests, left out", self.malformed_requests),
            ("oversized requests, left out", self.oversized_requests),
            ("spans without valid ids or malformed, left out", self.rejected_spans),
            ("duplicate spans, sent but counted once", self.duplicate_spans),
            ("spans that end before they start", self.negative_durations),
            ("spans a minute or more off their parents' time", self.skewed_spans),
            ("requests a minute or more out of order, sent in order", self.out_of_order_requests),
            ("traces without a root", self.rootless_traces),
            ("traces over file boundaries", self.split_traces),
            ("labels for unknown traces", self.unknown_labels),
            ("malformed lines among the labels", self.malformed_labels),
            ("spans beyond the limit, left out", self.spans_beyond_limit),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }
}
