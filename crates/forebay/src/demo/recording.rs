//! The recorded traces that the demo carries.

use std::io::{BufRead, BufReader};

use bytes::Bytes;
use forebay_otlp::{Signal, count_items, json};
use forebay_pipeline::Batch;

use crate::components::StartError;

const TRACES: &[u8] = include_bytes!("../../demo/traces.jsonl.zst");

/// The recorded requests, in the order in which they were sent.
pub(super) fn requests() -> Result<Vec<Batch>, StartError> {
    let lines = BufReader::new(zstd::Decoder::new(TRACES)?).split(b'\n');
    lines
        .map(|line| {
            let request = json::decode(Signal::Traces, &line?)?;
            let items = count_items(Signal::Traces, &request)?;
            Ok(Batch::new(Signal::Traces, Bytes::from(request), items))
        })
        .collect()
}
