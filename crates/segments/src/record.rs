//! How a record lies in its segment.
//!
//! ```text
//! checksum: u32 | kind: u8 | length of the payload: u32 | payload        numbers in little-endian order
//! ```
//!
//! The checksum is the CRC-32 of ISO-HDLC over the record's address, as eight bytes, and everything after the
//! checksum. So a record counts only where it was written: not from a file that was copied or renamed.

use std::fmt;
use std::num::NonZeroU64;

/// Where a record is: its position in the log, counted in bytes from the beginning of the first segment that there
/// ever was. A record keeps its address when the log is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(NonZeroU64);

/// What recovery makes of a record. Zero is not among them, so zeros are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is live until it is released.
    Record = 1,
    /// It is never live.
    Mark = 2,
}

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = CHECKSUM_BYTES + 1 + size_of::<u32>();
const CHECKSUM_BYTES: usize = size_of::<u32>();

/// Bytes that a record with a payload of `length` takes.
pub(crate) fn bytes(length: u32) -> u64 {
    HEADER_BYTES as u64 + u64::from(length)
}

/// Appends the record with a payload of `length`, made of `parts`, to `bytes`.
pub(crate) fn put(bytes: &mut Vec<u8>, address: Address, kind: Kind, length: u32, parts: &[&[u8]]) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; CHECKSUM_BYTES]);
    bytes.push(kind as u8);
    bytes.extend_from_slice(&length.to_le_bytes());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    let (checksum, checked) = bytes[start..].split_at_mut(CHECKSUM_BYTES);
    checksum.copy_from_slice(&self::checksum(address, checked).to_le_bytes());
}

/// Bytes of the payload of the record that begins with `header`.
pub(crate) fn payload_length(header: [u8; HEADER_BYTES]) -> u32 {
    let [.., a, b, c, d] = header;
    u32::from_le_bytes([a, b, c, d])
}

/// The kind and the payload of the record at `address`, which is `bytes`; nothing if that is not what was written.
pub(crate) fn parse(address: Address, bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let (checksum, checked) = bytes.split_first_chunk()?;
    let (header, payload) = bytes.split_first_chunk()?;
    if u32::from_le_bytes(*checksum) != self::checksum(address, checked)
        || payload_length(*header) as usize != payload.len()
    {
        return None;
    }
    match header[CHECKSUM_BYTES] {
        kind if kind == Kind::Record as u8 => Some((Kind::Record, payload)),
        kind if kind == Kind::Mark as u8 => Some((Kind::Mark, payload)),
        _ => None,
    }
}

fn checksum(address: Address, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&address.position().to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl Address {
    /// The address `offset` bytes into a segment that begins at `base`; never zero, since segments begin with a
    /// header.
    pub(crate) fn new(base: u64, offset: u64) -> Self {
        Self(NonZeroU64::new(base + offset).unwrap_or(NonZeroU64::MIN))
    }

    pub(crate) fn position(self) -> u64 {
        self.0.get()
    }

    /// The address as a number, which is never zero.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.position()
    }

    /// The address that is this number; none is zero.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_zlib_and_ethernet_use() {
        // The check value of CRC-32/ISO-HDLC: "123456789", here with the first eight digits as the address.
        let address = Address::new(u64::from_le_bytes(*b"12345678"), 0);
        assert_eq!(checksum(address, b"9"), 0xcbf4_3926);
    }

    #[test]
    fn a_record_counts_only_where_it_was_written() {
        let address = Address::new(4_096, 8);
        let mut bytes = Vec::new();
        put(&mut bytes, address, Kind::Mark, 5, &[b"ab", b"", b"cde"]);
        assert_eq!(bytes.len() as u64, super::bytes(5));
        assert_eq!(parse(address, &bytes), Some((Kind::Mark, &b"abcde"[..])));
        assert_eq!(parse(Address::new(4_096, 9), &bytes), None);
    }
}
