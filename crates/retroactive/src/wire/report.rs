//! Reports.

use std::time::Duration;

use forebay_otlp::wire::{Fields, Value, put_bytes, put_fixed64, put_varint_field};
use forebay_samplers::retroactive::message::{Piece, Report};
use forebay_samplers::retroactive::program::ProgramId;

use super::{MessageError, nanos, pieces};

const WINDOW: u32 = 1;
const PROGRAM: u32 = 2;
const APPLIED: u32 = 3;
const HORIZON: u32 = 4;
const OVERWRITTEN: u32 = 5;
const PIECES: u32 = 6;
const MEMBERS: u32 = 7;
const IDLE: u32 = 8;

/// A report whose pieces are still in columns.
#[derive(Debug, PartialEq)]
pub struct Undecoded {
    /// Without its pieces.
    report: Report,
    pieces: Vec<u8>,
    count: usize,
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
    message
}

/// Reads all but the pieces of a report.
///
/// # Errors
/// When it is malformed or says that it has more than [`MAX_PIECES`](super::MAX_PIECES) pieces.
pub fn decode(message: &[u8]) -> Result<Undecoded, MessageError> {
    let mut report = Report {
        window: 0,
        program: ProgramId::default(),
        applied: 0,
        horizon: Duration::ZERO,
        members: 0,
        overwritten: 0,
        idle: 0,
        pieces: Vec::new(),
    };
    let mut pieces = &[][..];
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
            _ => {}
        }
    }
    Ok(Undecoded { count: pieces::count(pieces)?, report, pieces: pieces.to_vec() })
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
        self.count * size_of::<Piece>()
    }

    /// The whole report.
    ///
    /// # Errors
    /// When a column is malformed or exceeds a bound.
    pub fn decode(self) -> Result<Report, MessageError> {
        Ok(Report { pieces: pieces::decode(&self.pieces)?, ..self.report })
    }
}
