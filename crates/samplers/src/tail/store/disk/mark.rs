//! What is decided about traces, as the disk remembers it.
//!
//! ```text
//! gone    = 1 | trace id*
//! dropped = 2 | trace id*
//! kept    = 3 | trace id | when: u64 | threshold: u64 | policy: u16 | part: u16       numbers in little-endian order
//! ```

use forebay_otlp::TraceId;
use forebay_otlp::threshold::Threshold;

use crate::tail::decision::Kept;

/// Something that has become of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// All that has been written of them has left or is lost.
    Gone(Vec<TraceId>),
    /// They are dropped, but not everybody knows.
    Dropped(Vec<TraceId>),
    /// One is kept.
    Kept { trace_id: TraceId, kept: Kept, at_unix_nano: u64 },
}

/// What has been decided of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    /// It is dropped.
    Dropped,
    /// It is kept since then, in nanoseconds since 1970.
    Kept(Kept, u64),
}

const GONE: u8 = 1;
const DROPPED: u8 = 2;
const KEPT: u8 = 3;
/// Stands for no threshold, and for no part.
const NO_THRESHOLD: u64 = u64::MAX;
const NO_PART: u16 = u16::MAX;

impl Mark {
    /// As it is written.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let names = |kind, traces: &[TraceId]| {
            let mut bytes = vec![kind];
            traces.iter().for_each(|trace| bytes.extend_from_slice(&trace.to_bytes()));
            bytes
        };
        match self {
            Self::Gone(traces) => names(GONE, traces),
            Self::Dropped(traces) => names(DROPPED, traces),
            Self::Kept { trace_id, kept, at_unix_nano } => {
                let mut bytes = names(KEPT, &[*trace_id]);
                bytes.extend_from_slice(&at_unix_nano.to_le_bytes());
                let threshold = kept.threshold.map_or(NO_THRESHOLD, Threshold::get);
                bytes.extend_from_slice(&threshold.to_le_bytes());
                bytes.extend_from_slice(&kept.policy.to_le_bytes());
                bytes.extend_from_slice(&kept.part.unwrap_or(NO_PART).to_le_bytes());
                bytes
            }
        }
    }

    /// The mark that is `bytes`; `None` if that is not what a mark looks like.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let traces = || {
            let (traces, rest) = rest.as_chunks();
            rest.is_empty().then(|| traces.iter().map(|&id| TraceId(u128::from_be_bytes(id))).collect())
        };
        match kind {
            GONE => Some(Self::Gone(traces()?)),
            DROPPED => Some(Self::Dropped(traces()?)),
            KEPT => {
                let (&trace_id, rest) = rest.split_first_chunk()?;
                let (&at, rest) = rest.split_first_chunk()?;
                let (&threshold, rest) = rest.split_first_chunk()?;
                let (&policy, rest) = rest.split_first_chunk()?;
                let part = u16::from_le_bytes(rest.try_into().ok()?);
                let kept = Kept {
                    policy: u16::from_le_bytes(policy),
                    part: (part != NO_PART).then_some(part),
                    threshold: Threshold::new(u64::from_le_bytes(threshold)),
                };
                let trace_id = TraceId(u128::from_be_bytes(trace_id));
                Some(Self::Kept { trace_id, kept, at_unix_nano: u64::from_le_bytes(at) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written_and_nothing_shorter_is_one() {
        let (a, b) = (TraceId(1 << 100), TraceId(7));
        let kept = Kept { policy: 3, part: None, threshold: Threshold::new(1 << 50) };
        let other = Kept { policy: 0, part: Some(9), threshold: None };
        for mark in [
            Mark::Gone(vec![a, b]),
            Mark::Dropped(vec![b]),
            Mark::Kept { trace_id: a, kept, at_unix_nano: 17 },
            Mark::Kept { trace_id: b, kept: other, at_unix_nano: u64::MAX },
        ] {
            let bytes = mark.to_bytes();
            assert_eq!(Mark::from_bytes(&bytes).as_ref(), Some(&mark));
            assert_ne!(Mark::from_bytes(&bytes[..bytes.len() - 1]), Some(mark));
        }
        assert_eq!((Mark::from_bytes(&[]), Mark::from_bytes(&[9])), (None, None));
    }
}
