use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[test]
fn memory_is_that_of_the_live_traces() {
    let mut table = TraceTable::default();
    let numbers: Vec<_> = (1..=100_000).map(|id| table.insert(TraceId(id))).collect();
    for number in numbers {
        let live = table.len();
        let slots = (live + 2 * CHUNK_SLOTS) * size_of::<Slot>();
        let index = (live.max(CHUNK_SLOTS) + 16) * INDEX_SLACK * (size_of::<Indexed>() + 1);
        assert!(table.allocated() <= slots + index, "{} for {live}", table.allocated());
        table.remove(number);
    }
}

#[test]
fn a_steady_load_takes_a_steady_amount() {
    let mut table = TraceTable::default();
    let mut waiting = std::collections::VecDeque::new();
    for id in 1..=50_000 {
        waiting.push_back(table.insert(TraceId(id)));
        if waiting.len() > 1_000 {
            table.remove(waiting.pop_front().unwrap());
        }
        assert!(table.chunks.len() <= 1_000 / CHUNK_SLOTS + 3);
    }
}

proptest! {
    #[test]
    fn traces_are_found_until_they_are_removed(operations in prop::collection::vec((0_u128..600, any::<bool>()), 1..3_000)) {
        let mut table = TraceTable::default();
        let mut expected = HashMap::new();
        for (id, keep) in operations {
            let id = TraceId(id);
            prop_assert_eq!(table.find(id), expected.get(&id).copied());
            if keep {
                expected.entry(id).or_insert_with(|| table.insert(id));
            } else if let Some(number) = expected.remove(&id) {
                table.remove(number);
            }
            prop_assert_eq!(table.len(), expected.len());
        }
        for (id, number) in expected {
            prop_assert_eq!(table.find(id), Some(number));
            prop_assert_eq!(table.slot(number).trace_id, id);
        }
    }
}
