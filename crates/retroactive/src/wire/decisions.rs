//! Decisions: the keys of traces, by how they are kept.

use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use forebay_otlp::wire::{Fields, Value, put_bytes, put_varint_field};
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::Decisions;
use forebay_samplers::tail::decision::Kept;

use super::{MAX_KEYS, MessageError, gaps, kept, nanos};

const TICK: u32 = 1;
const SETTLED: u32 = 2;
const STABLE: u32 = 3;
const SILENCE: u32 = 4;
const GROUP: u32 = 5;
const KEPT: u32 = 1;
const KEYS: u32 = 2;

/// Encodes decisions; the order of traces is lost.
#[must_use]
pub fn encode(decisions: &Decisions) -> Vec<u8> {
    let mut message = Vec::new();
    put_varint_field(&mut message, TICK, decisions.tick);
    put_varint_field(&mut message, SETTLED, decisions.settled);
    put_varint_field(&mut message, STABLE, decisions.stable);
    put_varint_field(&mut message, SILENCE, nanos(decisions.silence));
    let mut groups: HashMap<Kept, Vec<u64>> = HashMap::new();
    for (key, kept) in &decisions.kept {
        groups.entry(*kept).or_default().push(key.get());
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by_key(|(kept, _)| (kept.policy, kept.part, kept.threshold));
    for (kept, mut keys) in groups {
        keys.sort_unstable();
        let (mut group, mut how) = (Vec::new(), Vec::new());
        kept::encode(kept, &mut how);
        put_bytes(&mut group, KEPT, &how);
        put_bytes(&mut group, KEYS, &gaps::encode(keys.iter().copied()));
        put_bytes(&mut message, GROUP, &group);
    }
    message
}

/// Reads decisions.
///
/// # Errors
/// When they are malformed or exceed a bound.
pub fn decode(message: &[u8]) -> Result<Decisions, MessageError> {
    let mut decisions = Decisions::default();
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (TICK, Value::Varint(tick)) => decisions.tick = tick,
            (SETTLED, Value::Varint(window)) => decisions.settled = window,
            (STABLE, Value::Varint(tick)) => decisions.stable = tick,
            (SILENCE, Value::Varint(nanos)) => decisions.silence = Duration::from_nanos(nanos),
            (GROUP, Value::Bytes(group)) => decode_group(group, &mut decisions.kept)?,
            _ => {}
        }
    }
    Ok(decisions)
}

fn decode_group(message: &[u8], traces: &mut Vec<(TraceKey, Kept)>) -> Result<(), MessageError> {
    let (mut how, mut keys) = (&[][..], &[][..]);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (KEPT, Value::Bytes(bytes)) => how = bytes,
            (KEYS, Value::Bytes(bytes)) => keys = bytes,
            _ => {}
        }
    }
    let kept = kept::decode(how)?;
    for key in gaps::decode(keys)? {
        traces.push((TraceKey::new(key).ok_or(MessageError::Invalid("key"))?, kept));
    }
    if traces.len() > MAX_KEYS { Err(MessageError::TooMany("traces in decisions", MAX_KEYS)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use forebay_otlp::threshold::Threshold;
    use proptest::prelude::*;

    use super::*;

    fn kept() -> impl Strategy<Value = Kept> {
        let threshold = prop::option::of(prop::sample::select(vec![0, 1 << 55]));
        (0..3_u16, prop::option::of(0..2_u16), threshold).prop_map(|(policy, part, threshold)| Kept {
            policy,
            part,
            threshold: threshold.and_then(Threshold::new),
        })
    }

    proptest! {
        #[test]
        fn decisions_come_back(
            (tick, settled, stable, silence) in any::<(u64, u64, u64, u64)>(),
            kept in prop::collection::vec(((0..1_u64 << 48).prop_map(|key| TraceKey::new(key).unwrap()), kept()), 0..60),
        ) {
            let by_key = |decisions: Decisions| {
                let mut kept = decisions.kept;
                kept.sort_unstable_by_key(|(key, kept)| (*key, kept.policy, kept.part, kept.threshold));
                Decisions { kept, ..decisions }
            };
            let silence = Duration::from_nanos(silence);
            let decisions = Decisions { tick, settled, stable, silence, kept };
            prop_assert_eq!(by_key(decode(&encode(&decisions)).unwrap()), by_key(decisions));
        }

        #[test]
        fn nothing_panics(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&message);
        }
    }

    #[test]
    fn too_many_traces_are_refused() {
        let kept = Kept { policy: 0, part: None, threshold: None };
        let traces = |count: u64| (0..count).map(|key| (TraceKey::new(key).unwrap(), kept)).collect();
        let of = |count| decode(&encode(&Decisions { kept: traces(count), ..Decisions::default() }));
        assert!(of(MAX_KEYS as u64).is_ok());
        assert!(matches!(of(MAX_KEYS as u64 + 1), Err(MessageError::TooMany(..))));
    }
}
