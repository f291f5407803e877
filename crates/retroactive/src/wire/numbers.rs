//! Numbers of any size: how wide each is, and its bits.
//!
//! A width is a byte, and these bytes compress to what they tell: of durations, which are about log-normal, two or
//! three bits. Below its highest bit a number is as good as random and left as it is. Where all are multiples of
//! something, as times of coarse clocks are, they are divided by it first.

use forebay_otlp::wire::{Fields, Value, put_bytes, put_fixed64, put_varint_field};

use super::bits::{BitReader, BitWriter};
use super::block::{self, Content};
use super::{MessageError, unzigzag, zigzag};

const UNIT: u32 = 1;
const CENTRE: u32 = 2;
const WIDTHS: u32 = 3;
const BITS: u32 = 4;

/// Encodes numbers most of which are small.
pub(super) fn encode(numbers: &[u64]) -> Vec<u8> {
    let unit = common_divisor(numbers.iter().copied());
    write(Vec::new(), unit, numbers.iter().map(|number| number / unit))
}

/// Encodes numbers most of which are close to each other: as differences from their median, modulo 2^64.
pub(super) fn encode_close(numbers: &[u64]) -> Vec<u8> {
    let mut sorted = numbers.to_vec();
    let middle = sorted.len() / 2;
    let centre = if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 };
    let differences = || numbers.iter().map(|number| number.wrapping_sub(centre).cast_signed());
    let unit = common_divisor(differences().map(i64::unsigned_abs));
    let (unit, divisor) = i64::try_from(unit).map_or((1, 1), |divisor| (unit, divisor));
    let mut message = Vec::new();
    put_fixed64(&mut message, CENTRE, centre);
    write(message, unit, differences().map(|difference| zigzag(difference / divisor)))
}

fn write(mut message: Vec<u8>, unit: u64, numbers: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let (mut widths, mut writer) = (Vec::with_capacity(numbers.len()), BitWriter::default());
    for number in numbers {
        let width = u64::BITS - number.leading_zeros();
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        widths.push(width as u8);
        if let Some(below) = width.checked_sub(1) {
            writer.put(number & !(1 << below), below);
        }
    }
    if unit != 1 {
        put_varint_field(&mut message, UNIT, unit);
    }
    put_bytes(&mut message, WIDTHS, &block::encode(&widths, Content::Numbers));
    put_bytes(&mut message, BITS, &writer.finish());
    message
}

/// Decodes `count` numbers.
pub(super) fn decode(message: &[u8], count: usize) -> Result<Vec<u64>, MessageError> {
    let (mut unit, mut centre, mut widths, mut bits) = (1, None, &[][..], &[][..]);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (UNIT, Value::Varint(value)) => unit = value,
            (CENTRE, Value::Fixed64(value)) => centre = Some(value),
            (WIDTHS, Value::Bytes(value)) => widths = value,
            (BITS, Value::Bytes(value)) => bits = value,
            _ => {}
        }
    }
    let widths = block::decode(widths, count)?;
    if widths.len() < count {
        return Err(MessageError::Truncated);
    }
    let mut reader = BitReader::new(bits);
    let mut number = |width: &u8| {
        let number = match u32::from(*width).checked_sub(1) {
            None => 0,
            Some(below) if below < u64::BITS => reader.take(below)? | 1 << below,
            Some(_) => return Err(MessageError::Width),
        };
        Ok(match centre {
            None => number.wrapping_mul(unit),
            Some(centre) => unzigzag(number).cast_unsigned().wrapping_mul(unit).wrapping_add(centre),
        })
    };
    let mut numbers = Vec::with_capacity(count);
    for width in &*widths {
        numbers.push(number(width)?);
    }
    Ok(numbers)
}

/// The greatest number of which all others are multiples; 1 if all are 0.
fn common_divisor(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut divisor = 0;
    for mut number in numbers {
        while number != 0 {
            (divisor, number) = (number, divisor % number);
        }
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            numbers in prop::collection::vec(prop_oneof![any::<u64>(), 0..1000_u64, Just(u64::MAX)], 0..200),
            unit in prop_oneof![Just(1_u64), 1..2000_u64],
        ) {
            let numbers: Vec<_> = numbers.iter().map(|number| number.wrapping_mul(unit)).collect();
            prop_assert_eq!(&decode(&encode(&numbers), numbers.len()).unwrap(), &numbers);
            prop_assert_eq!(&decode(&encode_close(&numbers), numbers.len()).unwrap(), &numbers);
        }

        #[test]
        fn nothing_panics(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&message, 10);
        }
    }

    #[test]
    fn the_extremes_come_back() {
        for numbers in [vec![], vec![0, 1 << 63], vec![1 << 63, 0, 1 << 63], vec![u64::MAX, 0, 1]] {
            assert_eq!(decode(&encode_close(&numbers), numbers.len()).unwrap(), numbers);
        }
    }

    #[test]
    fn coarse_clocks_take_fewer_bits() {
        let mut rng = fastrand::Rng::with_seed(1);
        let micros: Vec<_> = (0..1000).map(|_| 1_700_000_000_000_000 + rng.u64(..1_000_000)).collect();
        let nanos: Vec<_> = micros.iter().map(|micros| micros * 1000).collect();
        let offset: Vec<_> = nanos.iter().map(|nanos| nanos + 123).collect();
        let length = |numbers: &[u64]| encode_close(numbers).len();
        assert!(length(&nanos) < length(&micros) + 5 && length(&offset) < length(&micros) + 5);
        assert!(length(&micros) < 2700, "{}", length(&micros));
    }

    #[test]
    fn one_wrong_clock_costs_only_itself() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut times: Vec<_> =
            (0..1000).map(|_| 1_700_000_000_000_000_000 + rng.u64(..1_000_000_000)).collect();
        let usual = encode_close(&times).len();
        times[7] = 0;
        times[9] = u64::MAX;
        assert!(encode_close(&times).len() < usual + 60);
    }
}
