//! Reports.

use std::time::Duration;

use forebay_otlp::wire::{Fields, Value, put_bytes, put_fixed64, put_varint_field};
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::{Piece, Report};
use forebay_samplers::retroactive::program::ProgramId;

use super::{MessageError, gaps, nanos, pieces};

const WINDOW: u32 = 1;
const PROGRAM: u32 = 2;
const APPLIED: u32 = 3;
const HORIZON: u32 = 4;
const OVERWRITTEN: u32 = 5;
const PIECES: u32 = 6;
const MEMBERS: u32 = 7;
const IDLE: u32 = 8;
const MOVED_ON: u32 = 9;

/// A report whose traces are still in columns.
#[derive(Debug, PartialEq)]
pub struct Undecoded {
    /// Without its traces.
    report: Report,
    pieces: Vec<u8>,
    moved_on: Vec<u8>,
    /// How many pieces there are, and how many traces that have moved on.
    counts: (usize, usize),
}

/// Encodes a report. A horizon beyond 584 years becomes as much.
#[must_use]
pub fn encode(report: &Report) -> Vec<u8> {
    let pieces = pieces::encode(&report.pieces);
    let mut message = Vec::with_capacity(pieces.len() + 64);
    put_varint_field(&mut message, WINDOW, report.window);
    put_fixed64(&mut message, PROGRAM, report.program.0);
    put_varint_field(&mut message, APPLIED, report.applied);
    put_varint_field(&mut message, HORIZON, nanos(report.horizon));
    put_varint_field(&mut message, OVERWRITTEN, report.overwritten);
    put_bytes(&mut message, PIECES, &pieces);
    put_fixed64(&mut message, MEMBERS, report.members);
    put_varint_field(&mut message, IDLE, report.idle);
    if !report.moved_on.is_empty() {
        let mut keys: Vec<_> = report.moved_on.iter().map(|key| key.get()).collect();
        keys.sort_unstable();
        put_bytes(&mut message, MOVED_ON, &gaps::encode(keys.into_iter()));
    }
    message
}

/// Reads all but the traces of a report.
///
/// # Errors
/// When it is malformed or says that it has more than [`MAX_PIECES`](super::MAX_PIECES) pieces, or that as many traces
/// have moved on.
pub fn decode(message: &[u8]) -> Result<Undecoded, MessageError> {
    let mut report = Report::default();
    let (mut pieces, mut moved_on) = (&[][..], &[][..]);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (WINDOW, Value::Varint(window)) => report.window = window,
            (PROGRAM, Value::Fixed64(id)) => report.program = ProgramId(id),
            (APPLIED, Value::Varint(tick)) => report.applied = tick,
            (HORIZON, Value::Varint(nanos)) => report.horizon = Duration::from_nanos(nanos),
            (OVERWRITTEN, Value::Varint(spans)) => report.overwritten = spans,
            (PIECES, Value::Bytes(columns)) => pieces = columns,
            (MEMBERS, Value::Fixed64(hash)) => report.members = hash,
            (IDLE, Value::Varint(traces)) => report.idle = traces,
            (MOVED_ON, Value::Bytes(keys)) => moved_on = keys,
            _ => {}
        }
    }
    let counts = (pieces::count(pieces)?, gaps::count(moved_on)?);
    Ok(Undecoded { counts, report, pieces: pieces.to_vec(), moved_on: moved_on.to_vec() })
}

impl Undecoded {
    /// The window's number.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.report.window
    }

    /// What it takes in bytes once it is decoded, the values of fingerprints aside.
    #[must_use]
    pub fn size(&self) -> usize {
        self.counts.0 * size_of::<Piece>() + self.counts.1 * size_of::<TraceKey>()
    }

    /// The whole report.
    ///
    /// # Errors
    /// When a column is malformed or exceeds a bound.
    pub fn decode(self) -> Result<Report, MessageError> {
        let keys = gaps::decode(&self.moved_on)?.into_iter();
        let keys = keys.map(|key| TraceKey::new(key).ok_or(MessageError::Invalid("key")));
        let moved_on = keys.collect::<Result<_, _>>()?;
        Ok(Report { pieces: pieces::decode(&self.pieces)?, moved_on, ..self.report })
    }
}
