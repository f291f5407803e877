//! Few distinct values: each once, and which piece has which.
//!
//! Most pieces have the commonest value, so only the others are told: where they are, as [`gaps`], and which of the
//! values they have, as [`numbers`], of which the commoner are the smaller.

use std::cmp::Reverse;
use std::hash::Hash;

use foldhash::{HashMap, HashMapExt};
use forebay_otlp::wire::{Fields, Value, put_bytes, put_varint_field};

use super::block::{self, Content};
use super::{MAX_VALUES, MessageError, gaps, numbers};

const LENGTHS: u32 = 1;
const VALUES: u32 = 2;
const PLACES: u32 = 3;
const NUMBERS: u32 = 4;
const COUNT: u32 = 5;

/// Encodes values; `None` if all are `usual`.
pub(super) fn encode<T: Copy + Eq + Hash>(
    values: &[T],
    usual: T,
    write: impl Fn(T, &mut Vec<u8>),
) -> Option<Vec<u8>> {
    if values.iter().all(|value| *value == usual) {
        return None;
    }
    let ranked = ranked(values);
    let ranks: HashMap<T, u64> = ranked.iter().copied().zip(0..).collect();
    let (mut places, mut others) = (Vec::new(), Vec::new());
    for (place, value) in (0..).zip(values) {
        if let Some(number) = ranks[value].checked_sub(1) {
            places.push(place);
            others.push(number);
        }
    }
    let (mut lengths, mut bytes) = (Vec::with_capacity(ranked.len()), Vec::new());
    for value in &ranked {
        let before = bytes.len();
        write(*value, &mut bytes);
        lengths.push((bytes.len() - before) as u64);
    }
    let mut message = Vec::new();
    put_varint_field(&mut message, COUNT, ranked.len() as u64);
    put_bytes(&mut message, LENGTHS, &numbers::encode(&lengths));
    put_bytes(&mut message, VALUES, &block::encode(&bytes, Content::Values));
    if !places.is_empty() {
        put_bytes(&mut message, PLACES, &gaps::encode_places(&places));
        put_bytes(&mut message, NUMBERS, &numbers::encode(&others));
    }
    Some(message)
}

/// The distinct values, the commonest first.
fn ranked<T: Copy + Eq + Hash>(values: &[T]) -> Vec<T> {
    let mut counts = HashMap::new();
    for (place, value) in values.iter().enumerate() {
        counts.entry(*value).or_insert((0_usize, place)).0 += 1;
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_unstable_by_key(|(_, (count, first))| (Reverse(*count), *first));
    ranked.into_iter().map(|(value, _)| value).collect()
}

/// Reads every distinct value once, and hands `count` of them to `each`, in order.
pub(super) fn decode<T>(
    message: &[u8],
    count: usize,
    read: impl Fn(&[u8]) -> Result<T, MessageError>,
    mut each: impl FnMut(usize, &T) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let (mut distinct, mut lengths, mut bytes, mut places, mut others) =
        (0, &[][..], &[][..], &[][..], &[][..]);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (COUNT, Value::Varint(value)) => distinct = value,
            (LENGTHS, Value::Bytes(value)) => lengths = value,
            (VALUES, Value::Bytes(value)) => bytes = value,
            (PLACES, Value::Bytes(value)) => places = value,
            (NUMBERS, Value::Bytes(value)) => others = value,
            _ => {}
        }
    }
    let distinct = usize::try_from(distinct).ok().filter(|distinct| *distinct <= count);
    let distinct = distinct.ok_or(MessageError::TooMany("values of a dictionary", count))?;
    let bytes = block::decode(bytes, MAX_VALUES)?;
    let (mut values, mut rest) = (Vec::with_capacity(distinct), &*bytes);
    for length in numbers::decode(lengths, distinct)? {
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (value, after) = split.ok_or(MessageError::Truncated)?;
        values.push(read(value)?);
        rest = after;
    }
    let [usual, others_values @ ..] = &*values else { return Err(MessageError::Place) };
    let places = gaps::decode_places(places, count)?;
    let others = numbers::decode(others, places.len())?;
    let mut others = places.into_iter().zip(others).peekable();
    for place in 0..count {
        let other = others.next_if(|(other, _)| *other == place);
        let value = other.map_or(Some(usual), |(_, number)| others_values.get(usize::try_from(number).ok()?));
        each(place, value.ok_or(MessageError::Place)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(message: &[u8], count: usize) -> Result<Vec<u64>, MessageError> {
        let mut values = Vec::new();
        let read = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| MessageError::Width);
        decode(message, count, read, |_, value| {
            values.push(*value);
            Ok(())
        })?;
        Ok(values)
    }

    fn encoded(values: &[u64], usual: u64) -> Option<Vec<u8>> {
        encode(values, usual, |value, out| out.extend_from_slice(&value.to_le_bytes()))
    }

    proptest! {
        #[test]
        fn values_come_back(values in prop::collection::vec(prop_oneof![Just(7), 0..5_u64, any::<u64>()], 1..200)) {
            match encoded(&values, 7) {
                None => prop_assert!(values.iter().all(|value| *value == 7)),
                Some(message) => prop_assert_eq!(decoded(&message, values.len()).unwrap(), values),
            }
        }

        #[test]
        fn nothing_panics(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decoded(&message, 10);
        }
    }

    #[test]
    fn what_is_rare_costs_little() {
        let values: Vec<_> = (0..8000).map(|place| u64::from(place % 20 == 7)).collect();
        assert!(encoded(&values, 0).unwrap().len() < 400);
    }
}
