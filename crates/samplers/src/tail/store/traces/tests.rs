use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use proptest::prelude::*;

use super::*;

/// What remains allocated for `live` traces once there have been more.
fn bound(live: usize) -> usize {
    let slots = (live + 2 * CHUNK_SLOTS) * size_of::<Slot>();
    let entries = INDEX_SLACK * (live + (INDEX_PART_MIN << INDEX_PART_BITS));
    slots + entries * (size_of::<Indexed>() + 2)
}

fn remove(table: &mut TraceTable, number: SlotNumber) {
    table.unlist(number);
    table.vacate(number);
}

#[test]
fn memory_is_that_of_the_live_traces() {
    let mut table = TraceTable::new(TraceId(u128::MAX));
    let numbers: Vec<_> = (1..=100_000).map(|id| table.insert(TraceId(id))).collect();
    let tables = table.chunks.capacity() * size_of::<Chunk>();
    for number in numbers {
        assert!(
            table.allocated() <= bound(table.len()) + tables,
            "{} for {}",
            table.allocated(),
            table.len()
        );
        remove(&mut table, number);
    }
}

#[test]
fn a_steady_load_takes_a_steady_amount() {
    let mut table = TraceTable::new(TraceId(u128::MAX));
    let mut waiting = VecDeque::new();
    for id in 1..=50_000 {
        waiting.push_back(table.insert(TraceId(id)));
        if waiting.len() > 1_000 {
            remove(&mut table, waiting.pop_front().unwrap());
        }
        assert!(table.chunks.len() <= 1_000 / CHUNK_SLOTS + 1);
    }
}

#[test]
fn few_lasting_traces_do_not_keep_the_chunks_of_many_short_ones() {
    let mut table = TraceTable::new(TraceId(u128::MAX));
    let mut waiting = VecDeque::new();
    for id in 1..=100_000_u128 {
        let number = table.insert(TraceId(id));
        if id % 50 != 0 {
            waiting.push_back(number);
        }
        if waiting.len() > 500 {
            remove(&mut table, waiting.pop_front().unwrap());
        }
        assert!(
            table.chunks.len() <= table.len() / CHUNK_SLOTS + 2,
            "{} for {}",
            table.chunks.len(),
            table.len()
        );
    }
}

#[test]
fn when_there_are_fewer_traces_chunks_empty_although_traces_keep_coming() {
    let mut table = TraceTable::new(TraceId(u128::MAX));
    let mut waiting: VecDeque<_> = (1..=100_000).map(|id| table.insert(TraceId(id))).collect();
    // Of each two that leave, one is replaced, so chunks are full of traces of all ages.
    for id in 100_001..=190_000 {
        waiting.extend([table.insert(TraceId(id))]);
        (0..2).for_each(|_| remove(&mut table, waiting.pop_front().unwrap()));
    }
    for id in 190_001..=210_000 {
        waiting.extend([table.insert(TraceId(id))]);
        remove(&mut table, waiting.pop_front().unwrap());
    }
    let chunks = table.chunks.len() - table.vacant.len();
    assert!(chunks <= 2 * table.len() / CHUNK_SLOTS, "{chunks} for {}", table.len());
}

#[test]
fn ids_that_collide_in_a_hash_without_a_seed_do_not_collide() {
    let known = |id: u128| FixedState::default().hash_one(TraceId(id)) >> 52;
    let crafted: Vec<_> = (1..).filter(|&id| known(id) == 0x5eb).take(256).collect();
    let table = TraceTable::new(TraceId(u128::MAX));
    let hashes: HashSet<_> = crafted.iter().map(|&id| table.hash(TraceId(id)) >> 20).collect();
    // 248 different ones of 4096 are expected of random hashes.
    assert!(hashes.len() > 200, "{}", hashes.len());
}

proptest! {
    #[test]
    fn traces_are_found_until_they_are_removed(operations in prop::collection::vec((0_u128..600, any::<bool>()), 1..3_000)) {
        let mut table = TraceTable::new(TraceId(u128::MAX));
        let mut expected = HashMap::new();
        for (id, keep) in operations {
            let id = TraceId(id);
            prop_assert_eq!(table.find(id), expected.get(&id).copied());
            if keep {
                expected.entry(id).or_insert_with(|| table.insert(id));
            } else if let Some(number) = expected.remove(&id) {
                remove(&mut table, number);
            }
            prop_assert_eq!(table.len(), expected.len());
        }
        for (id, number) in expected {
            prop_assert_eq!(table.find(id), Some(number));
            prop_assert_eq!(table.slot(number).trace_id, id);
        }
        let index = table.index.iter().map(HashTable::allocation_size).sum::<usize>();
        prop_assert_eq!(table.index_bytes, index);
    }
}
