use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A log and where its traces end, as the store knows it.
#[derive(Default)]
struct Traces {
    log: Log,
    lasts: HashMap<u32, Address>,
}

impl Traces {
    fn append(&mut self, trace: u32, envelope: u32, flags: Flags, spans: &[Vec<u8>]) -> Address {
        let previous = self.lasts.get(&trace).copied();
        let spans = spans.iter().map(Vec::as_slice);
        let last = self.log.append(previous, slot(trace), envelope, flags, spans);
        self.lasts.insert(trace, last);
        last
    }

    fn spans(&self, trace: u32) -> Vec<Vec<u8>> {
        let last = self.lasts.get(&trace).copied();
        let mut records: Vec<_> =
            std::iter::successors(last, |&address| self.log.record(address).previous).collect();
        records.reverse();
        let spans = |&address: &Address| self.log.record(address).spans().map(<[u8]>::to_vec);
        records.iter().flat_map(spans).collect()
    }

    fn release(&mut self, trace: u32) {
        let mut next = self.lasts.remove(&trace);
        while let Some(address) = next {
            next = self.log.release(address).previous;
        }
    }

    fn clean(&mut self) -> bool {
        self.log.clean(|trace, last| {
            let moved = self.lasts.insert(trace.to_bits(), last);
            assert!(moved.is_some(), "a released trace is moved");
        })
    }
}

fn slot(trace: u32) -> SlotNumber {
    SlotNumber::from_bits(trace).unwrap()
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own_and_gives_it_back() {
    let mut traces = Traces::default();
    let huge = vec![7; 3 * SEGMENT_BYTES];
    traces.append(1, 0, Flags::default(), &[b"a".to_vec()]);
    let before = traces.log.allocated;
    traces.append(2, 1, Flags::default(), std::slice::from_ref(&huge));
    let allocated = traces.log.allocated;
    assert!(allocated > before + huge.len() && allocated < before + huge.len() + 64);
    assert_eq!(traces.spans(2), [huge]);
    traces.release(2);
    assert_eq!(traces.log.allocated, before);
}

#[test]
fn segments_are_reused_so_a_steady_load_holds_a_steady_amount() {
    let mut traces = Traces::default();
    let span = vec![1; 1000];
    let mut peak = 0;
    for trace in 1..20_000 {
        traces.append(trace, 0, Flags::default(), std::slice::from_ref(&span));
        if trace > 1_000 {
            traces.release(trace - 1_000);
        }
        if trace > 2_000 {
            peak = peak.max(traces.log.allocated);
        }
        assert!(!traces.clean(), "what leaves in order of arrival needs no cleaning");
    }
    // 1000 waiting records of some 1016 bytes, the segments at both ends and the spare ones.
    assert!(peak <= 1_001 * 1_016 + (2 + SPARE_SEGMENTS) * SEGMENT_BYTES, "{peak}");
}

#[test]
fn few_lasting_traces_do_not_keep_the_segments_of_many_short_ones() {
    let mut traces = Traces::default();
    let span = vec![1; 1000];
    // One in twenty stays.
    for trace in 1..40_000 {
        traces.append(trace, 0, Flags::default(), std::slice::from_ref(&span));
        if trace > 500 && trace % 20 != 0 {
            traces.release(trace - 500);
            traces.clean();
        }
    }
    assert!(traces.log.live > 2_000_000, "{}", traces.log.live);
    let bound = 2 * traces.log.live + CLEANED_BYTES_MIN + (SPARE_SEGMENTS + 2) * SEGMENT_BYTES;
    assert!(traces.log.in_use() <= bound, "{} in use for {} live", traces.log.in_use(), traces.log.live);
    for trace in (20..39_000).step_by(20) {
        assert_eq!(traces.spans(trace), std::slice::from_ref(&span));
    }
}

#[test]
fn what_does_not_fill_its_segments_is_not_moved_in_vain() {
    let mut traces = Traces::default();
    let span = vec![1; SEGMENT_BYTES / 2 + 1];
    for trace in 1..100 {
        traces.append(trace, 0, Flags::default(), std::slice::from_ref(&span));
        assert!(!traces.clean());
    }
}

#[test]
fn spare_memory_is_given_back_when_asked_for() {
    let mut traces = Traces::default();
    for trace in 1..=200 {
        traces.append(trace, 0, Flags::default(), &[vec![0; 10_000]]);
    }
    (1..200).for_each(|trace| traces.release(trace));
    assert!(traces.log.allocated() > traces.log.in_use());
    traces.log.shrink_to(0);
    assert_eq!(traces.log.allocated(), traces.log.in_use());
    assert_eq!(traces.spans(200), [vec![0; 10_000]]);
}

/// What happens to a trace.
#[derive(Clone, Debug)]
enum Step {
    Append { trace: u32, spans: Vec<usize>, envelope: u32, flags: (bool, bool) },
    Release { trace: u32 },
    Clean { segments: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let lengths = prop_oneof![6 => 0..300_usize, 3 => 1_000..16_000_usize, 1 => 100_000..150_000_usize];
    prop_oneof![
        8 => (1..60_u32, vec(lengths, 1..4), 0..200_u32, any::<(bool, bool)>())
            .prop_map(|(trace, spans, envelope, flags)| Step::Append { trace, spans, envelope, flags }),
        2 => (1..60_u32).prop_map(|trace| Step::Release { trace }),
        1 => (0..4_usize).prop_map(|segments| Step::Clean { segments }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_appended_is_read_back_whatever_is_released_and_moved_between(steps in vec(step(), 1..600)) {
        let mut traces = Traces::default();
        let mut expected: HashMap<u32, Vec<Vec<u8>>> = HashMap::new();
        for (number, step) in (0_u8..=255).cycle().zip(steps) {
            match step {
                Step::Append { trace, spans, envelope, flags: (elided, trace_state) } => {
                    let flags = Flags { elided, trace_state, on_disk: false };
                    let spans: Vec<_> = spans.into_iter().map(|length| vec![number; length]).collect();
                    let previous = traces.lasts.get(&trace).copied();
                    let address = traces.append(trace, envelope, flags, &spans);
                    let record = traces.log.record(address);
                    prop_assert_eq!((record.previous, record.envelope, record.flags), (previous, envelope, flags));
                    expected.entry(trace).or_default().extend(spans);
                    prop_assert_eq!(&traces.spans(trace), &expected[&trace]);
                }
                Step::Release { trace } => {
                    traces.release(trace);
                    expected.remove(&trace);
                }
                Step::Clean { segments } => (0..segments).for_each(|_| { traces.clean(); }),
            }
        }
        for (&trace, spans) in &expected {
            prop_assert_eq!(&traces.spans(trace), spans);
        }
        while traces.clean() {}
        for (&trace, spans) in &expected {
            prop_assert_eq!(&traces.spans(trace), spans);
        }
        let Log { written, live, .. } = traces.log;
        prop_assert!(written <= (2 * live + 1).max(CLEANED_BYTES_MIN), "{} written, {} live", written, live);
        for trace in expected.into_keys() {
            traces.release(trace);
        }
        let Log { written, live, .. } = traces.log;
        prop_assert_eq!(live, 0);
        prop_assert!(written <= 2 * SEGMENT_BYTES);
    }
}
