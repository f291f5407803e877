use proptest::prelude::*;

use super::*;

fn spans(log: &Log, last: Address) -> Vec<Vec<u8>> {
    let mut records: Vec<_> =
        std::iter::successors(Some(last), |&address| log.record(address).previous).collect();
    records.reverse();
    records
        .iter()
        .flat_map(|&address| log.record(address).spans().map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own_and_gives_it_back() {
    let mut log = Log::default();
    let huge = vec![7; 3 * SEGMENT_BYTES];
    let small = log.append(None, 0, Flags::default(), [&b"a"[..]].into_iter());
    let before = log.allocated();
    let address = log.append(Some(small), 1, Flags::default(), [&huge[..]].into_iter());
    assert!(log.allocated() > before + huge.len() && log.allocated() < before + huge.len() + 64);
    assert_eq!(spans(&log, address), [b"a".to_vec(), huge]);
    log.release(address);
    assert_eq!(log.allocated(), before);
}

#[test]
fn segments_are_reused_so_a_steady_load_holds_a_steady_amount() {
    let mut log = Log::default();
    let span = [1; 1000];
    let mut waiting = std::collections::VecDeque::new();
    let mut peak = 0;
    for round in 0..20_000 {
        waiting.push_back(log.append(None, 0, Flags::default(), [&span[..]].into_iter()));
        if waiting.len() > 1_000 {
            log.release(waiting.pop_front().unwrap());
        }
        if round > 2_000 {
            peak = peak.max(log.allocated());
        }
    }
    // 1000 waiting records of some 1008 bytes, the segments at both ends and the spare ones.
    assert!(peak <= 1_001 * 1_012 + (2 + SPARE_SEGMENTS) * SEGMENT_BYTES, "{peak}");
}

proptest! {
    #[test]
    fn what_is_appended_is_read_back_whatever_is_released_between(
        operations in prop::collection::vec((0_usize..8, prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5), any::<(u32, bool, bool)>(), any::<bool>()), 1..300)
    ) {
        let mut log = Log::default();
        let mut traces: Vec<(Option<Address>, Vec<Vec<u8>>)> = vec![(None, Vec::new()); 8];
        for (trace, bodies, (envelope, elided, trace_state), drop_it) in operations {
            let flags = Flags { elided, trace_state };
            let (last, expected) = &mut traces[trace];
            let address = log.append(*last, envelope, flags, bodies.iter().map(Vec::as_slice));
            let record = log.record(address);
            prop_assert_eq!((record.previous, record.envelope, record.flags), (*last, envelope, flags));
            *last = Some(address);
            expected.extend(bodies);
            prop_assert_eq!(&spans(&log, address), &*expected);
            if drop_it {
                let mut next = last.take();
                while let Some(address) = next {
                    next = log.record(address).previous;
                    log.release(address);
                }
                expected.clear();
            }
        }
        for (last, expected) in &traces {
            if let Some(last) = last {
                prop_assert_eq!(&spans(&log, *last), expected);
            }
        }
    }
}
