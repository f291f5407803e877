//! Numbers of any width, side by side, the lowest bit first.

use super::MessageError;

/// Puts bits one after another.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that are not in `bytes` yet.
    pending: u64,
    /// How many; less than 64.
    count: u32,
}

/// Takes them out again.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    position: usize,
}

impl BitWriter {
    /// Appends the lowest `width` bits of `value`, which has no others; at most 64.
    #[inline]
    pub(super) fn put(&mut self, value: u64, width: u32) {
        self.pending |= value << self.count;
        let count = self.count + width;
        if count < u64::BITS {
            self.count = count;
            return;
        }
        self.bytes.extend_from_slice(&self.pending.to_le_bytes());
        self.pending = value.checked_shr(u64::BITS - self.count).unwrap_or_default();
        self.count = count - u64::BITS;
    }

    /// Appends `zeros` zero bits and a one.
    #[inline]
    pub(super) fn put_unary(&mut self, mut zeros: u64) {
        while zeros >= 32 {
            self.put(0, 32);
            zeros -= 32;
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than 32")]
        self.put(1 << zeros, zeros as u32 + 1);
    }

    /// All bits; the last byte is filled up with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let used = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..used]);
        self.bytes
    }
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `width` bits, at most 64.
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> Result<u64, MessageError> {
        if width <= VISIBLE {
            let value = self.peek() & !(u64::MAX << width);
            self.skip(width as usize)?;
            return Ok(value);
        }
        let low = self.take(u32::BITS)?;
        Ok(low | self.take(width - u32::BITS)? << u32::BITS)
    }

    /// How many zero bits there are before the next one, which is taken too.
    #[inline]
    pub(super) fn take_unary(&mut self) -> Result<u64, MessageError> {
        let mut zeros = 0;
        loop {
            let run = self.peek().trailing_zeros();
            if run < VISIBLE {
                self.skip(run as usize + 1)?;
                return Ok(zeros + u64::from(run));
            }
            self.skip(VISIBLE as usize)?;
            zeros += u64::from(VISIBLE);
        }
    }

    /// The next bits, [`VISIBLE`] of them at least; beyond the end there are zeros.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = &self.bytes[self.position / 8..];
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        word >> (self.position % 8)
    }

    #[inline]
    fn skip(&mut self, bits: usize) -> Result<(), MessageError> {
        let position = self.position + bits;
        if position > self.bytes.len() * 8 {
            return Err(MessageError::Truncated);
        }
        self.position = position;
        Ok(())
    }
}

/// How many bits of a word are left if it begins within a byte.
const VISIBLE: u32 = u64::BITS - 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(numbers in prop::collection::vec((any::<u64>(), 0..=64_u32), 0..100)) {
            let low = |value: u64, width| if width == 0 { 0 } else { value >> (64 - width) };
            let mut writer = BitWriter::default();
            for &(value, width) in &numbers {
                writer.put(low(value, width), width);
                writer.put_unary(value % 200);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (value, width) in numbers {
                prop_assert_eq!(reader.take(width).unwrap(), low(value, width));
                prop_assert_eq!(reader.take_unary().unwrap(), value % 200);
            }
            prop_assert_eq!(reader.take(8).unwrap_err(), MessageError::Truncated);
            prop_assert_eq!(reader.take_unary().unwrap_err(), MessageError::Truncated);
        }
    }

    #[test]
    fn the_lowest_bit_comes_first() {
        let mut writer = BitWriter::default();
        writer.put(0b101, 3);
        writer.put_unary(2);
        writer.put(0x1ff, 9);
        assert_eq!(writer.finish(), [0b11_100_101, 0b111_1111]);
    }
}
