//! Pieces of evidence in columns.
//!
//! The traces' keys ascend, so that only their gaps are told; what follows is in the order of the keys. A column that
//! says nothing, since the program does not ask for it or all pieces are alike there, is left out. Of random ids and
//! times to the nanosecond next to nothing can be saved beyond that: a key takes 48 - log2(n) + 1.5 bits among n, a
//! start within a second 30, a duration its logarithm's spread and the bits below.

use forebay_otlp::TraceId;
use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::wire::{Fields, Value, put_bytes, put_varint_field};
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::Piece;
use forebay_samplers::tail::decision::Kept;
use forebay_samplers::tail::digest::Digest;
use forebay_samplers::tail::predicate::Bits;

use super::{MAX_PIECES, MAX_VALUES, MessageError, dictionary, gaps, kept, numbers, put_trimmed, untrimmed};

const COUNT: u32 = 1;
const KEYS: u32 = 2;
const REMAINDERS: u32 = 3;
const STARTS: u32 = 4;
const DURATIONS: u32 = 5;
const PREDICATES: u32 = 6;
const SPANS: u32 = 7;
const BYTES: u32 = 8;
const ROOTS: u32 = 9;
const HEADS: u32 = 10;
const RANDOMNESS_PLACES: u32 = 11;
const RANDOMNESS: u32 = 12;
const VALUES: u32 = 13;
const WAITED: u32 = 14;
const KEPT: u32 = 15;
const DROPPED: u32 = 16;
const MOVED: u32 = 17;
/// One more than the last of them.
const COLUMNS: usize = 18;

/// Bytes of a trace id above its key, and the one below.
const REMAINDER: usize = 10;
const ABOVE: usize = 9;

/// Start and end of no spans.
const NO_TIMES: (u64, u64) = (Digest::EMPTY.start, Digest::EMPTY.end);

/// The columns of a message.
#[derive(Default)]
struct Columns<'m> {
    count: u64,
    columns: [Option<&'m [u8]>; COLUMNS],
}

/// Encodes pieces, in any order. Of those columns that their program does not want they must have what
/// [`Digest::EMPTY`] has.
#[must_use]
pub fn encode(pieces: &[Piece]) -> Vec<u8> {
    let mut keyed: Vec<_> = pieces.iter().map(|piece| (TraceKey::of(piece.trace_id).get(), piece)).collect();
    keyed.sort_unstable_by_key(|(key, _)| *key);
    let mut message = Vec::with_capacity(pieces.len() * 16);
    put_varint_field(&mut message, COUNT, pieces.len() as u64);
    if pieces.is_empty() {
        return message;
    }
    put_bytes(&mut message, KEYS, &gaps::encode(keyed.iter().map(|(key, _)| *key)));
    let pieces: Vec<_> = keyed.into_iter().map(|(_, piece)| piece).collect();
    let column = |of: fn(&Piece) -> u64| pieces.iter().map(|piece| of(piece)).collect::<Vec<_>>();
    let mut put = |number, column: Option<Vec<u8>>| {
        if let Some(column) = column {
            put_bytes(&mut message, number, &column);
        }
    };
    if pieces.iter().any(|piece| piece.trace_id != TraceKey::of(piece.trace_id).to_trace_id()) {
        put(REMAINDERS, Some(pieces.iter().flat_map(|piece| remainder(piece.trace_id)).collect()));
    }
    if pieces.iter().any(|piece| (piece.digest.start, piece.digest.end) != NO_TIMES) {
        put(STARTS, Some(numbers::encode_close(&column(|piece| piece.digest.start))));
        put(DURATIONS, unless_zero(&column(|piece| piece.digest.end.wrapping_sub(piece.digest.start))));
    }
    put(SPANS, unless_zero(&column(|piece| piece.digest.spans.into())));
    put(BYTES, unless_zero(&column(|piece| piece.digest.bytes.into())));
    put(WAITED, unless_zero(&column(|piece| piece.waited.into())));
    put(
        PREDICATES,
        dictionary::encode(
            &pieces.iter().map(|piece| piece.digest.predicates.to_raw()).collect::<Vec<_>>(),
            0,
            |bits, out| put_trimmed(out, &bits.to_le_bytes()),
        ),
    );
    put(
        ROOTS,
        dictionary::encode(
            &pieces.iter().map(|piece| piece.digest.root).collect::<Vec<_>>(),
            false,
            put_flag,
        ),
    );
    put(
        HEADS,
        dictionary::encode(
            &pieces.iter().map(|piece| piece.digest.head()).collect::<Vec<_>>(),
            None,
            |head, out| out.extend(head.map(|head| head.get().to_le_bytes()).into_iter().flatten()),
        ),
    );
    put(
        VALUES,
        dictionary::encode(
            &pieces.iter().map(|piece| &*piece.values).collect::<Vec<_>>(),
            &[],
            |values, out| out.extend_from_slice(values),
        ),
    );
    put(
        KEPT,
        dictionary::encode(&pieces.iter().map(|piece| piece.kept).collect::<Vec<_>>(), None, |kept, out| {
            if let Some(kept) = kept {
                kept::encode(kept, out)
            }
        }),
    );
    put(
        DROPPED,
        dictionary::encode(&pieces.iter().map(|piece| piece.dropped).collect::<Vec<_>>(), false, put_flag),
    );
    put(
        MOVED,
        dictionary::encode(&pieces.iter().map(|piece| piece.moved).collect::<Vec<_>>(), false, put_flag),
    );
    let explicit = pieces
        .iter()
        .zip(0..)
        .filter_map(|(piece, place)| Some((place, piece.digest.explicit_randomness()?.get())));
    let (places, randomness): (Vec<_>, Vec<_>) = explicit.unzip();
    if !places.is_empty() {
        put(RANDOMNESS_PLACES, Some(gaps::encode_places(&places)));
        put(RANDOMNESS, Some(numbers::encode(&randomness)));
    }
    message
}

/// How many pieces a message says that it has, for those who want to make room for them first.
///
/// # Errors
/// When it cannot be read, or says that it has more than [`MAX_PIECES`].
pub fn count(message: &[u8]) -> Result<usize, MessageError> {
    Columns::read(message)?.count()
}

/// Decodes pieces, in the order of their keys.
///
/// # Errors
/// When the message is malformed or exceeds a bound.
pub fn decode(message: &[u8]) -> Result<Vec<Piece>, MessageError> {
    let columns = Columns::read(message)?;
    let count = columns.count()?;
    let keys = columns.get(KEYS).map_or(Ok(Vec::new()), gaps::decode)?;
    if keys.len() != count {
        return Err(MessageError::Truncated);
    }
    let mut pieces = Vec::with_capacity(count);
    for key in keys {
        pieces.push(piece(key)?);
    }
    if let Some(remainders) = columns.get(REMAINDERS) {
        let (remainders, rest) = remainders.as_chunks::<REMAINDER>();
        if remainders.len() != count || !rest.is_empty() {
            return Err(MessageError::Truncated);
        }
        for (piece, remainder) in pieces.iter_mut().zip(remainders) {
            piece.trace_id.0 |= whole(*remainder);
        }
    }
    if let Some(starts) = columns.get(STARTS) {
        for (piece, start) in pieces.iter_mut().zip(numbers::decode(starts, count)?) {
            (piece.digest.start, piece.digest.end) = (start, start);
        }
        columns.numbers(DURATIONS, &mut pieces, |piece, duration| {
            piece.digest.end = piece.digest.start.wrapping_add(duration);
            Ok(())
        })?;
    }
    columns.numbers(SPANS, &mut pieces, |piece, spans| put_u32(&mut piece.digest.spans, spans))?;
    columns.numbers(BYTES, &mut pieces, |piece, bytes| put_u32(&mut piece.digest.bytes, bytes))?;
    columns.numbers(WAITED, &mut pieces, |piece, waited| put_u32(&mut piece.waited, waited))?;
    columns.values(PREDICATES, &mut pieces, predicates, |piece, bits| piece.digest.predicates = *bits)?;
    columns.values(ROOTS, &mut pieces, flag, |piece, root| piece.digest.root = *root)?;
    columns.values(HEADS, &mut pieces, head, |piece, head| piece.digest.add_head(*head, None))?;
    columns.values(KEPT, &mut pieces, kept, |piece, kept| piece.kept = *kept)?;
    columns.values(DROPPED, &mut pieces, flag, |piece, dropped| piece.dropped = *dropped)?;
    columns.values(MOVED, &mut pieces, flag, |piece, moved| piece.moved = *moved)?;
    columns.fingerprints(&mut pieces)?;
    columns.randomness(&mut pieces)?;
    Ok(pieces)
}

impl<'m> Columns<'m> {
    fn read(message: &'m [u8]) -> Result<Self, MessageError> {
        let mut columns = Self::default();
        for field in Fields::new(message) {
            let field = field?;
            match field.value {
                Value::Varint(count) if field.number == COUNT => columns.count = count,
                Value::Bytes(bytes) => {
                    let column = usize::try_from(field.number).ok();
                    if let Some(column) = column.and_then(|column| columns.columns.get_mut(column)) {
                        *column = Some(bytes);
                    }
                }
                _ => {}
            }
        }
        Ok(columns)
    }

    fn count(&self) -> Result<usize, MessageError> {
        let count = usize::try_from(self.count).ok().filter(|count| *count <= MAX_PIECES);
        count.ok_or(MessageError::TooMany("pieces of a report", MAX_PIECES))
    }

    fn get(&self, number: u32) -> Option<&'m [u8]> {
        self.columns[number as usize]
    }

    /// Puts a column of numbers into pieces.
    fn numbers(
        &self,
        number: u32,
        pieces: &mut [Piece],
        put: impl Fn(&mut Piece, u64) -> Result<(), MessageError>,
    ) -> Result<(), MessageError> {
        let Some(column) = self.get(number) else { return Ok(()) };
        let numbers = numbers::decode(column, pieces.len())?;
        pieces.iter_mut().zip(numbers).try_for_each(|(piece, number)| put(piece, number))
    }

    /// Puts a column of few distinct values into pieces.
    fn values<T>(
        &self,
        number: u32,
        pieces: &mut [Piece],
        read: impl Fn(&[u8]) -> Result<T, MessageError>,
        put: impl Fn(&mut Piece, &T),
    ) -> Result<(), MessageError> {
        let Some(column) = self.get(number) else { return Ok(()) };
        dictionary::decode(column, pieces.len(), read, |place, value| {
            put(&mut pieces[place], value);
            Ok(())
        })
    }

    fn fingerprints(&self, pieces: &mut [Piece]) -> Result<(), MessageError> {
        let Some(column) = self.get(VALUES) else { return Ok(()) };
        let mut total = 0;
        dictionary::decode(
            column,
            pieces.len(),
            |values| Ok(values.to_vec()),
            |place, values: &Vec<u8>| {
                total += values.len();
                if total > MAX_VALUES {
                    return Err(MessageError::TooMany("bytes of fingerprints", MAX_VALUES));
                }
                pieces[place].values.clone_from(values);
                Ok(())
            },
        )
    }

    fn randomness(&self, pieces: &mut [Piece]) -> Result<(), MessageError> {
        let places = self.get(RANDOMNESS_PLACES).unwrap_or_default();
        let places = gaps::decode_places(places, pieces.len())?;
        let numbers = numbers::decode(self.get(RANDOMNESS).unwrap_or_default(), places.len())?;
        for (place, number) in places.into_iter().zip(numbers) {
            let randomness = Randomness::new(number).ok_or(MessageError::Invalid("randomness"))?;
            pieces[place].digest.add_head(None, Some(randomness));
        }
        Ok(())
    }
}

/// A column, unless it says nothing.
fn unless_zero(numbers: &[u64]) -> Option<Vec<u8>> {
    numbers.iter().any(|number| *number != 0).then(|| numbers::encode(numbers))
}

/// What a trace id has beside its key.
fn remainder(trace_id: TraceId) -> [u8; REMAINDER] {
    let bytes = trace_id.to_bytes();
    let mut remainder = [bytes[15]; REMAINDER];
    remainder[..ABOVE].copy_from_slice(&bytes[..ABOVE]);
    remainder
}

/// The bits of a trace id that its remainder has.
fn whole(remainder: [u8; REMAINDER]) -> u128 {
    let mut bytes = [0; 16];
    bytes[..ABOVE].copy_from_slice(&remainder[..ABOVE]);
    bytes[15] = remainder[ABOVE];
    u128::from_be_bytes(bytes)
}

fn piece(key: u64) -> Result<Piece, MessageError> {
    let trace_id = TraceKey::new(key).ok_or(MessageError::Invalid("key"))?.to_trace_id();
    Ok(Piece::new(trace_id, Digest::EMPTY))
}

fn put_u32(to: &mut u32, number: u64) -> Result<(), MessageError> {
    *to = u32::try_from(number).map_err(|_| MessageError::Width)?;
    Ok(())
}

fn put_flag(flag: bool, out: &mut Vec<u8>) {
    out.push(flag.into());
}

fn predicates(bytes: &[u8]) -> Result<Bits, MessageError> {
    Ok(Bits::from_raw(u128::from_le_bytes(untrimmed(bytes)?)))
}

fn flag(bytes: &[u8]) -> Result<bool, MessageError> {
    Ok(bytes.iter().any(|byte| *byte != 0))
}

/// None is no bytes at all.
fn head(bytes: &[u8]) -> Result<Option<Threshold>, MessageError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let threshold = Threshold::new(u64::from_le_bytes(untrimmed(bytes)?));
    threshold.map(Some).ok_or(MessageError::Invalid("threshold"))
}

fn kept(bytes: &[u8]) -> Result<Option<Kept>, MessageError> {
    if bytes.is_empty() { Ok(None) } else { kept::decode(bytes).map(Some) }
}

#[cfg(test)]
mod tests;
