//! Which traces are anomalous, from a CSV file.

use std::io::Read;

use csv::StringRecord;
use foldhash::fast::FixedState;
use forebay_otlp::TraceId;
use hashbrown::HashMap;

use crate::WorkloadBuilder;
use crate::population::number;

/// What an anomaly without a `fault` is called.
const UNNAMED: &str = "anomaly";

/// Reads all labels; returns what the anomalies are called, by number.
pub fn read(reader: impl Read, builder: &mut WorkloadBuilder) -> Vec<String> {
    let mut faults = Vec::new();
    let mut numbers = HashMap::<String, u32, FixedState>::default();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let headers = reader.headers().cloned().unwrap_or_default();
    let column = |name: &str| headers.iter().position(|header| header.trim().eq_ignore_ascii_case(name));
    let columns = (column("TraceID"), column("label"), column("fault"));
    for record in reader.records() {
        let label = record.ok().and_then(|record| label(&record, columns));
        let Some((trace, fault)) = label else {
            builder.oddities.malformed_labels += 1;
            continue;
        };
        let fault = fault.map(|name| {
            *numbers.entry(name).or_insert_with_key(|name| {
                faults.push(name.clone());
                number(faults.len() - 1)
            })
        });
        if !builder.label(trace, fault) {
            builder.oddities.unknown_labels += 1;
        }
    }
    faults
}

type Columns = (Option<usize>, Option<usize>, Option<usize>);

/// The trace of a line, and what its anomaly is called if it is one.
fn label(record: &StringRecord, (trace, label, fault): Columns) -> Option<(TraceId, Option<String>)> {
    let field = |column: Option<usize>| record.get(column?).map(str::trim);
    let trace = u128::from_str_radix(field(trace)?, 16).ok()?;
    let fault = field(fault).filter(|fault| !fault.is_empty()).unwrap_or(UNNAMED);
    match field(label)? {
        "0" => Some((TraceId(trace), None)),
        "1" => Some((TraceId(trace), Some(fault.to_owned()))),
        _ => None,
    }
}
