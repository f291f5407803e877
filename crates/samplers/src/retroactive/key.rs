//! What stands for a trace id between agents and coordinators.

use forebay_otlp::TraceId;

/// 48 bits of a trace id: the upper 48 of its lower 56, which W3C Trace Context Level 2 wants random. They are the upper
/// bits of the trace's randomness, so choices by threshold can be made without the rest. Of `n` traces with random
/// ids, any one shares its key with another with probability `n / 2^48`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceKey(u64);

impl TraceKey {
    /// How many bits a key has.
    pub const BITS: u32 = 48;
    /// The bits of a trace id that are its key.
    pub const MASK: TraceId = TraceId(((1 << Self::BITS) - 1) << Self::BELOW);
    /// How many bits of a trace id are below its key.
    const BELOW: u32 = 8;

    /// The key with this value; `None` if that has more bits.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value >> Self::BITS == 0 { Some(Self(value)) } else { None }
    }

    /// The key of a trace.
    #[must_use]
    pub const fn of(trace_id: TraceId) -> Self {
        Self(((trace_id.0 & Self::MASK.0) >> Self::BELOW) as u64)
    }

    /// Its value, below 2^48.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The trace id of which nothing but the key is known: the other bits are zero.
    #[must_use]
    pub const fn to_trace_id(self) -> TraceId {
        TraceId((self.0 as u128) << Self::BELOW)
    }
}

#[cfg(test)]
mod tests {
    use forebay_otlp::threshold::Randomness;

    use super::*;

    #[test]
    fn a_key_is_the_upper_part_of_the_randomness() {
        let id = TraceId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let key = TraceKey::of(id);
        assert_eq!(key.get(), 0x2345_6789_abcd);
        let randomness = |id: TraceId| Randomness::from_trace_id(id.to_bytes()).get();
        assert_eq!(randomness(id) >> 8, key.get());
        assert_eq!(randomness(key.to_trace_id()), key.get() << 8);
        assert_eq!(TraceKey::of(key.to_trace_id()), key);
        assert_eq!((TraceKey::new(1 << 48), TraceKey::new((1 << 48) - 1).is_some()), (None, true));
    }
}
