//! The recordings that the tests of `crates/otlp` have too; see the README beside them for where they come from.

use std::io::{BufRead as _, BufReader};

use forebay_otlp::{Signal, json};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use crate::Error;

const RECORDINGS: [(&str, &[u8]); 3] = [
    ("online-boutique", include_bytes!("../../../crates/otlp/testdata/online-boutique.jsonl.zst")),
    ("hotel-reservation", include_bytes!("../../../crates/otlp/testdata/hotel-reservation.jsonl.zst")),
    ("media-microservices", include_bytes!("../../../crates/otlp/testdata/media-microservices.jsonl.zst")),
];

/// The requests of all recordings, each with its recording's name.
pub(super) fn requests() -> Result<Vec<(&'static str, ExportTraceServiceRequest)>, Error> {
    let mut requests = Vec::new();
    for (name, file) in RECORDINGS {
        for line in BufReader::new(zstd::Decoder::new(file)?).lines() {
            let request = json::decode(Signal::Traces, line?.as_bytes())?;
            requests.push((name, ExportTraceServiceRequest::decode(&request[..])?));
        }
    }
    Ok(requests)
}
