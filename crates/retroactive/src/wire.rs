//! Messages as bytes: `proto/retroactive.proto`, read and written without a message type in between, with unknown
//! fields skipped.
//!
//! What there is much of, pieces of evidence and keys of traces, lies in columns ([`pieces`], [`decisions`]), since
//! numbers of one kind side by side take few bits. Nothing that is read here can make more of itself than its bounds
//! say, and nothing panics.

use std::time::Duration;

use forebay_otlp::wire::WireError;
use thiserror::Error;

mod bits;
mod block;
pub mod decisions;
mod dictionary;
mod gaps;
mod kept;
pub mod message;
mod numbers;
pub mod pieces;
pub mod program;
pub mod report;

/// Bytes of a message at most.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Pieces in a report at most.
pub const MAX_PIECES: usize = 1 << 18;
/// Bytes of a program at most.
pub const MAX_PROGRAM: usize = 1 << 20;
/// Traces to keep in decisions at most.
pub const MAX_KEYS: usize = 1 << 16;
/// Bytes that the values of fingerprints in a report take at most, unfolded; the same for any dictionary.
pub const MAX_VALUES: usize = 16 << 20;

/// Why a message cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    /// It is not protobuf.
    #[error("the message is not protobuf: {0}")]
    Wire(#[from] WireError),
    /// A column has less than it says.
    #[error("a column ends early")]
    Truncated,
    /// A number does not fit its type.
    #[error("a number is too wide")]
    Width,
    /// Something is said of a piece or of a value that is not there.
    #[error("a place is out of range")]
    Place,
    /// A block is not what zstd makes.
    #[error("a block is not a zstd frame that says how long it is")]
    Zstd,
    /// More than a bound allows.
    #[error("there are more than {1} {0}")]
    TooMany(&'static str, usize),
    /// A value that cannot be.
    #[error("there is no such {0}")]
    Invalid(&'static str),
    /// Something that a message cannot be without.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
}

/// A time of centuries becomes 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads a text.
fn utf8(bytes: &[u8]) -> Result<&str, MessageError> {
    str::from_utf8(bytes).map_err(|_| MessageError::NotUtf8)
}

/// Without the zero bytes at the end.
fn put_trimmed(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    out.extend_from_slice(&bytes[..length]);
}

/// The number of `N` bytes that this is without the zeros at its end.
fn untrimmed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], MessageError> {
    let mut whole = [0; N];
    whole.get_mut(..bytes.len()).ok_or(MessageError::Width)?.copy_from_slice(bytes);
    Ok(whole)
}

/// Numbers with signs, the smaller the smaller.
const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}
