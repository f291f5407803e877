use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn kept() -> impl Strategy<Value = Kept> {
    let threshold = prop::option::of((0..1_u64 << 56).prop_map(|value| Threshold::new(value).unwrap()));
    (any::<u16>(), prop::option::of(any::<u16>()), threshold).prop_map(|(policy, part, threshold)| Kept {
        policy,
        part,
        threshold,
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    let times = prop_oneof![
        Just(NO_TIMES),
        any::<(u64, u64)>(),
        (1_700_000_000_000_000_000..1_700_000_001_000_000_000_u64, 0..1_000_000_000_u64)
            .prop_map(|(start, duration)| (start, start + duration)),
    ];
    let ot = (prop::option::of(0..1_u64 << 56), prop::option::of(0..1_u64 << 56));
    let bits = prop_oneof![Just(0), Just(1), any::<u128>()];
    let counts = prop_oneof![Just((0, 0)), any::<(u32, u32)>()];
    (times, ot, bits, counts, any::<bool>()).prop_map(|((start, end), (th, rv), bits, counts, root)| {
        let mut digest = Digest::EMPTY;
        (digest.start, digest.end, digest.root) = (start, end, root);
        (digest.spans, digest.bytes) = counts;
        digest.predicates = Bits::from_raw(bits);
        digest.add_head(th.and_then(Threshold::new), rv.and_then(Randomness::new));
        digest
    })
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let values =
        prop_oneof![Just(Vec::new()), Just(b"GET /".to_vec()), prop::collection::vec(any::<u8>(), 0..9)];
    let waited = prop_oneof![Just(0), any::<u32>()];
    let piece = (any::<u128>(), digest(), values, waited, prop::option::of(kept()), any::<(bool, bool)>())
        .prop_map(|(trace_id, digest, values, waited, kept, (dropped, moved))| Piece {
            trace_id: TraceId(trace_id),
            digest,
            values,
            waited,
            kept,
            dropped,
            moved,
        });
    (any::<bool>(), prop::collection::vec(piece, 0..50)).prop_map(|(whole, mut pieces)| {
        if !whole {
            pieces.iter_mut().for_each(|piece| piece.trace_id = TraceKey::of(piece.trace_id).to_trace_id());
        }
        pieces
    })
}

/// Equal keys may come in any order.
fn in_order(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_by_key(|piece| (piece.trace_id, format!("{piece:?}")));
    pieces
}

proptest! {
    #[test]
    fn pieces_come_back(pieces in pieces()) {
        let message = encode(&pieces);
        prop_assert_eq!(count(&message).unwrap(), pieces.len());
        prop_assert_eq!(in_order(decode(&message).unwrap()), in_order(pieces));
    }

    #[test]
    fn nothing_panics(
        pieces in pieces(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut message = encode(&pieces);
        for (index, byte) in changes {
            let index = index.index(message.len());
            message[index] = byte;
        }
        let _ = decode(&message);
        let _ = decode(&message[..end.index(message.len())]);
    }
}

/// New traces of a window of one second: random ids, random starts, durations log-normal about 10 ms, 5 % errors.
fn window(count: usize) -> Vec<Piece> {
    let mut rng = fastrand::Rng::with_seed(7);
    let begin = 1_700_000_000_000_000_000;
    let mut piece = || {
        let mut digest = Digest::EMPTY;
        digest.start = begin + rng.u64(..1_000_000_000);
        let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        let duration = Duration::from_secs_f64(normal.exp() * 0.01);
        digest.end = digest.start + u64::try_from(duration.as_nanos()).unwrap();
        digest.predicates = Bits::from_raw(u128::from(rng.u8(..20) == 0));
        let trace_id = TraceKey::of(TraceId(rng.u128(..))).to_trace_id();
        Piece::new(trace_id, digest)
    };
    (0..count).map(|_| piece()).collect()
}

#[test]
fn a_piece_takes_little_more_than_its_entropy() {
    for count in [1000, 8000] {
        let bytes = encode(&window(count)).len() as f64 / count as f64;
        // 48 bits less the order, 10^9 starts, log-normal durations, rare errors.
        let key = 48.0 - (count as f64).log2() + std::f64::consts::LOG2_E;
        let duration = 1e7_f64.log2() + (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt().log2();
        let errors = -(0.05 * 0.05_f64.log2() + 0.95 * 0.95_f64.log2());
        let entropy = (key + 1e9_f64.log2() + duration + errors) / 8.0;
        assert!(bytes < entropy * 1.025, "{count}: {bytes} of {entropy}");
    }
}

#[test]
fn a_small_message_does_not_unfold_to_many_pieces() {
    let mut message = Vec::new();
    put_varint_field(&mut message, COUNT, MAX_PIECES as u64 + 1);
    assert!(matches!(decode(&message), Err(MessageError::TooMany(..))));
    let mut message = Vec::new();
    put_varint_field(&mut message, COUNT, MAX_PIECES as u64);
    assert_eq!(decode(&message).unwrap_err(), MessageError::Truncated);
}
