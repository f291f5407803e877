//! Ascending numbers, as the gaps between them.
//!
//! Of `n` numbers that are spread evenly below 2^b, a gap takes `b - log2(n) + 1.5` bits by Rice's code (Rice and
//! Plaunt 1971, Golomb 1966): its quotient by a power of two in unary, the remainder in binary. That is within a
//! tenth of a bit of what such a set has to take.

use forebay_otlp::wire::{Fields, Value, put_bytes, put_varint_field};

use super::bits::{BitReader, BitWriter};
use super::{MAX_PIECES, MessageError};

const COUNT: u32 = 1;
const SHIFT: u32 = 2;
const BITS: u32 = 3;

/// Encodes numbers that ascend; some may be equal.
pub(super) fn encode(numbers: impl ExactSizeIterator<Item = u64> + Clone) -> Vec<u8> {
    let count = numbers.len() as u64;
    let gaps = || numbers.clone().scan(0, |last, number| Some(number - std::mem::replace(last, number)));
    let shift = shift(count, numbers.clone().last().unwrap_or_default(), gaps);
    let mut writer = BitWriter::default();
    for gap in gaps() {
        writer.put_unary(gap >> shift);
        writer.put(gap & !(u64::MAX << shift), shift);
    }
    let mut message = Vec::new();
    put_varint_field(&mut message, COUNT, count);
    put_varint_field(&mut message, SHIFT, u64::from(shift));
    put_bytes(&mut message, BITS, &writer.finish());
    message
}

/// How many bits remainders have, so that all gaps take as few as possible.
fn shift<I: Iterator<Item = u64>>(count: u64, sum: u64, gaps: impl Fn() -> I) -> u32 {
    // What a geometric distribution of this mean wants, or one more or less.
    let near = (sum / count.max(1)).checked_ilog2().unwrap_or_default();
    let cost = |shift: &u32| gaps().map(|gap| gap >> shift).sum::<u64>() + count * u64::from(*shift);
    (near.saturating_sub(1)..=near + 1)
        .filter(|shift| *shift < u64::BITS)
        .min_by_key(cost)
        .unwrap_or_default()
}

/// How many there are.
pub(super) fn count(message: &[u8]) -> Result<usize, MessageError> {
    read(message).map(|(count, ..)| count)
}

/// Decodes them.
pub(super) fn decode(message: &[u8]) -> Result<Vec<u64>, MessageError> {
    let (count, shift, bits) = read(message)?;
    let (mut reader, mut last, mut numbers) = (BitReader::new(bits), 0_u64, Vec::with_capacity(count));
    for _ in 0..count {
        let quotient = reader.take_unary()?;
        if quotient > u64::MAX >> shift {
            return Err(MessageError::Width);
        }
        let gap = quotient << shift | reader.take(shift)?;
        last = last.checked_add(gap).ok_or(MessageError::Width)?;
        numbers.push(last);
    }
    Ok(numbers)
}

/// How many there are, how many bits remainders have, and all the bits.
fn read(message: &[u8]) -> Result<(usize, u32, &[u8]), MessageError> {
    let (mut count, mut shift, mut bits) = (0, 0, &[][..]);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (COUNT, Value::Varint(value)) => count = value,
            (SHIFT, Value::Varint(value)) => shift = value,
            (BITS, Value::Bytes(value)) => bits = value,
            _ => {}
        }
    }
    let shift = u32::try_from(shift).ok().filter(|shift| *shift < u64::BITS).ok_or(MessageError::Width)?;
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_PIECES);
    let count = count.ok_or(MessageError::TooMany("numbers of a column", MAX_PIECES))?;
    // Each takes a bit at least, so nobody is made to reserve more than was sent.
    if count > bits.len() * 8 {
        return Err(MessageError::Truncated);
    }
    Ok((count, shift, bits))
}

/// Encodes some of the places 0, 1, 2 …, in order.
pub(super) fn encode_places(places: &[u64]) -> Vec<u8> {
    // No two are equal, so a gap is one less than it could be.
    encode((0..).zip(places).map(|(index, place)| place - index).collect::<Vec<_>>().into_iter())
}

/// Decodes them; all are below `count`.
pub(super) fn decode_places(message: &[u8], count: usize) -> Result<Vec<usize>, MessageError> {
    let place = |(index, number): (u64, u64)| {
        let place = number.checked_add(index).and_then(|place| usize::try_from(place).ok());
        place.filter(|place| *place < count).ok_or(MessageError::Place)
    };
    (0..).zip(decode(message)?).map(place).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(mut numbers in prop::collection::vec(any::<u64>(), 0..200), shift in 0..64) {
            numbers.iter_mut().for_each(|number| *number >>= shift);
            numbers.sort_unstable();
            prop_assert_eq!(decode(&encode(numbers.iter().copied())).unwrap(), numbers);
        }

        #[test]
        fn places_come_back(chosen in prop::collection::btree_set(0..500_usize, 0..200)) {
            let places: Vec<_> = chosen.iter().map(|&place| place as u64).collect();
            let message = encode_places(&places);
            prop_assert_eq!(decode_places(&message, 500).unwrap(), chosen.iter().copied().collect::<Vec<_>>());
            if let Some(&last) = chosen.last() {
                prop_assert_eq!(decode_places(&message, last).unwrap_err(), MessageError::Place);
            }
        }

        #[test]
        fn nothing_panics(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_places(&message, 10);
        }
    }

    #[test]
    fn a_few_bytes_do_not_unfold_to_many_numbers() {
        let claim = |count, bits: &[u8]| {
            let mut message = Vec::new();
            put_varint_field(&mut message, COUNT, count);
            put_bytes(&mut message, BITS, bits);
            decode(&message)
        };
        assert_eq!(claim(8, &[0xff]).unwrap(), [0; 8]);
        assert_eq!(claim(9, &[0xff]).unwrap_err(), MessageError::Truncated);
        let most = vec![0xff; (MAX_PIECES + 8) / 8];
        assert!(claim(MAX_PIECES as u64, &most).is_ok());
        assert!(matches!(claim(MAX_PIECES as u64 + 1, &most), Err(MessageError::TooMany(..))));
    }

    #[test]
    fn sparse_keys_take_a_bit_and_a_half_more_than_their_distance() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut keys: Vec<_> = (0..4096).map(|_| rng.u64(..1 << 48)).collect();
        keys.sort_unstable();
        let bits = encode(keys.into_iter()).len() as f64 * 8.0 / 4096.0;
        assert!((37.4..37.65).contains(&bits), "{bits}");
    }
}
