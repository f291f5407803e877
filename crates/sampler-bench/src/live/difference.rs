//! How far a simulation is from what it simulates.
//!
//! A simulation counts messages, and on the wire they are in frames, which are added here: each message is behind 5 bytes
//! of gRPC, in frames of HTTP/2 of up to 16 KiB with a header of 9 bytes each (RFC 9113, 4.1), and a request has one more
//! frame for its own headers. What is in those, acknowledgements and pings are left as differences: they depend on who
//! sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Compression;
use crate::simulate::{HopCounts, Kept, Outcome};

/// A simulation beside a run in real time, of one strategy with one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Traces that both have kept.
    pub both: usize,
    /// Traces that only the simulation has kept.
    pub only_simulated: usize,
    /// Traces that only the processes have kept.
    pub only_live: usize,
    /// Of those that both have kept, the ones with another number of spans.
    pub differing_spans: usize,
    /// Bytes of each link.
    pub hops: Vec<HopDifference>,
}

/// A link's bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HopDifference {
    /// The link.
    pub name: String,
    /// Bytes of requests, or messages, in the simulation, with their frames; compressed one by one where processes
    /// compress them.
    pub simulated: u64,
    /// Bytes on the wire.
    pub live: u64,
}

/// What gRPC puts before a message.
const PREFIX: u64 = 5;
/// The header of a frame of HTTP/2.
const FRAME: u64 = 9;
/// The largest frame, by default.
const FRAME_MAX: u64 = 16 << 10;

impl Difference {
    /// That between two outcomes, where processes compress what they send by `compression`.
    #[must_use]
    pub fn of(simulated: &Outcome, live: &Outcome, compression: Compression) -> Self {
        let spans = |kept: &[Kept]| -> BTreeMap<u32, u32> {
            kept.iter().map(|kept| (kept.trace, kept.spans)).collect()
        };
        let (ours, theirs) = (spans(&simulated.kept), spans(&live.kept));
        let both = || ours.iter().filter_map(|(trace, spans)| Some((spans, theirs.get(trace)?)));
        let hop = |hop: &HopCounts| {
            let simulated = simulated.hops.iter().find(|other| other.name == hop.name)?;
            // Services do not compress what they send, and reports are as small as they get.
            let is_compressed =
                compression == Compression::Zstd && !hop.name.starts_with("services") && !is_stream(hop);
            let bytes = simulated.compressed.filter(|_| is_compressed).unwrap_or(simulated.bytes);
            let simulated = bytes + frames(simulated, bytes);
            Some(HopDifference { name: hop.name.clone(), simulated, live: hop.bytes })
        };
        Self {
            both: both().count(),
            only_simulated: ours.len() - both().count(),
            only_live: theirs.len() - both().count(),
            differing_spans: both().filter(|(ours, theirs)| ours != theirs).count(),
            hops: live.hops.iter().filter_map(hop).collect(),
        }
    }

    /// The share of all traces that either has kept and not the other; 0 if nothing is kept.
    #[must_use]
    pub fn kept_error(&self) -> f64 {
        let differing = self.only_simulated + self.only_live;
        differing as f64 / (self.both + differing).max(1) as f64
    }
}

/// What is around the messages of a link, which take so many bytes themselves.
fn frames(hop: &HopCounts, bytes: u64) -> u64 {
    // Reports and decisions are messages of streams that stay open.
    let headers = if is_stream(hop) { 0 } else { FRAME };
    hop.requests * (PREFIX + FRAME + headers) + bytes / FRAME_MAX * FRAME
}

fn is_stream(hop: &HopCounts) -> bool {
    hop.name.contains("coordinator")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(kept: &[(u32, u32)], hops: &[(&str, u64, u64)]) -> Outcome {
        let kept = kept.iter().map(|&(trace, spans)| Kept { trace, spans, ..Kept::default() });
        let hop = |&(name, bytes, compressed): &(&str, u64, u64)| HopCounts {
            name: name.to_owned(),
            bytes,
            compressed: Some(compressed),
            ..HopCounts::default()
        };
        Outcome { kept: kept.collect(), hops: hops.iter().map(hop).collect(), ..Outcome::default() }
    }

    #[test]
    fn by_hand_one_trace_each_one_of_both_and_one_that_is_torn() {
        let simulated = outcome(&[(1, 3), (2, 3), (3, 3)], &[]);
        let live = outcome(&[(2, 3), (3, 2), (4, 1)], &[]);
        let found = Difference::of(&simulated, &live, Compression::None);
        assert_eq!((found.both, found.only_simulated, found.only_live, found.differing_spans), (2, 1, 1, 1));
        assert!((found.kept_error() - 0.5).abs() < 1e-12);
        let nothing = Difference::of(&Outcome::default(), &Outcome::default(), Compression::None);
        assert!(nothing.kept_error().abs() < 1e-12);
    }

    #[test]
    fn by_hand_frames_of_requests_of_long_ones_and_of_messages_in_a_stream() {
        let hop = |name: &str, requests, bytes| {
            let name = name.to_owned();
            HopCounts { name, requests, bytes, ..HopCounts::default() }
        };
        // Five bytes and two frames each.
        assert_eq!(frames(&hop("agents to store", 10, 1000), 1000), 10 * 23);
        // 16, 16 and 8 KiB.
        assert_eq!(frames(&hop("agents to store", 1, 40 << 10), 40 << 10), 23 + 2 * 9);
        assert_eq!(frames(&hop("agents to coordinator", 10, 1000), 1000), 10 * 14);
    }

    #[test]
    fn what_processes_compress_is_compared_with_what_is_compressed() {
        let simulated = outcome(&[], &[("services to agents", 100, 10), ("agents to store", 50, 5)]);
        let live = outcome(&[], &[("services to agents", 110, 0), ("agents to store", 7, 0)]);
        let bytes = |compression| -> Vec<_> {
            let hops = Difference::of(&simulated, &live, compression).hops;
            hops.into_iter().map(|hop| (hop.simulated, hop.live)).collect()
        };
        assert_eq!(bytes(Compression::Zstd), [(100, 110), (5, 7)]);
        assert_eq!(bytes(Compression::None), [(100, 110), (50, 7)]);
    }
}
