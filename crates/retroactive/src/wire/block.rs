//! Bytes that may be compressed: as they are, or as a zstd frame if that is smaller.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;

use forebay_otlp::wire::{Fields, Value, put_bytes};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::MessageError;

const PLAIN: u32 = 1;
const ZSTD: u32 = 2;

/// What bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Small numbers in no order: some are commoner than others, and that is all there is to them.
    Numbers,
    /// Texts and the like, which repeat each other.
    Values,
}

/// Beyond this, levels gain little and take several times as long.
const LEVEL: i32 = 1;
/// Numbers repeat each other by chance; to tell so takes more bytes than it saves, up to this length.
const MATCH: u32 = 7;
/// The fewer are remembered, the fewer are found.
const HASH_LOG: u32 = 6;
/// Frames have a head of some ten bytes, so that less is not worth a try.
const WORTH_A_TRY: usize = 32;

thread_local! {
    /// What zstd works with. To make it anew would take longer than most blocks do.
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::default();
    /// See `COMPRESSOR`.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

/// Encodes bytes.
pub(super) fn encode(bytes: &[u8], content: Content) -> Vec<u8> {
    let mut message = Vec::new();
    let compressed = if bytes.len() < WORTH_A_TRY { None } else { compress(bytes, content).ok() };
    match compressed.filter(|compressed| compressed.len() < bytes.len()) {
        Some(compressed) => put_bytes(&mut message, ZSTD, &compressed),
        None => put_bytes(&mut message, PLAIN, bytes),
    }
    message
}

fn compress(bytes: &[u8], content: Content) -> io::Result<Vec<u8>> {
    // Zero is what the level has.
    let (match_length, hash_log) = match content {
        Content::Numbers => (MATCH, HASH_LOG),
        Content::Values => (0, 0),
    };
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.set_parameter(CParameter::CompressionLevel(LEVEL))?;
        compressor.set_parameter(CParameter::MinMatch(match_length))?;
        compressor.set_parameter(CParameter::HashLog(hash_log))?;
        compressor.compress(bytes)
    })
}

/// Decodes at most `most` bytes.
pub(super) fn decode(message: &[u8], most: usize) -> Result<Cow<'_, [u8]>, MessageError> {
    let mut bytes = Cow::Borrowed(&[][..]);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (PLAIN, Value::Bytes(plain)) => bytes = Cow::Borrowed(plain),
            (ZSTD, Value::Bytes(compressed)) => bytes = Cow::Owned(decompress(compressed, most)?),
            _ => {}
        }
    }
    if bytes.len() > most { Err(MessageError::TooMany("bytes of a block", most)) } else { Ok(bytes) }
}

fn decompress(compressed: &[u8], most: usize) -> Result<Vec<u8>, MessageError> {
    // The frame says how much it has. Little that says much is not believed before it is there.
    let declared = zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten();
    let length = declared.and_then(|length| usize::try_from(length).ok()).ok_or(MessageError::Zstd)?;
    if length > most {
        return Err(MessageError::TooMany("bytes of a block", most));
    }
    let decompressed =
        DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(compressed, length));
    decompressed.map_err(|_| MessageError::Zstd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_compressed_where_that_gains() {
        let even: Vec<u8> = (0..=255).cycle().take(2000).collect();
        for (bytes, gains) in [(vec![], false), (vec![0; 31], false), (vec![0; 5000], true), (even, true)] {
            for content in [Content::Numbers, Content::Values] {
                let message = encode(&bytes, content);
                assert_eq!(message.len() < bytes.len(), gains);
                assert_eq!(*decode(&message, bytes.len()).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn more_than_the_bound_is_never_unfolded() {
        for bytes in [vec![0; 1 << 20], vec![0; 20]] {
            let message = encode(&bytes, Content::Values);
            assert!(matches!(decode(&message, bytes.len() - 1), Err(MessageError::TooMany(..))));
        }
    }

    #[test]
    fn what_zstd_does_not_make_or_does_not_measure_is_refused() {
        let unmeasured = zstd::stream::encode_all(&[0; 1000][..], LEVEL).unwrap();
        for frame in [&b"garbage"[..], &unmeasured, &[]] {
            let mut message = Vec::new();
            put_bytes(&mut message, ZSTD, frame);
            assert_eq!(decode(&message, 1000).unwrap_err(), MessageError::Zstd);
        }
    }
}
