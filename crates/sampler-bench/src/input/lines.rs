//! OTLP/JSON, a request a line.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use forebay_otlp::{Signal, json};

use super::REQUEST_MAX;
use crate::WorkloadBuilder;

/// Reads all lines; empty ones are none.
pub(super) fn read(mut reader: impl BufRead, file: u32, builder: &mut WorkloadBuilder) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(REQUEST_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > REQUEST_MAX && line.last() != Some(&b'\n') {
            builder.oddities.oversized_requests += 1;
            reader.skip_until(b'\n')?;
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match json::decode(Signal::Traces, &line) {
            Ok(request) => builder.add(Bytes::from(request), file),
            Err(_) => builder.oddities.malformed_requests += 1,
        }
    }
}
