use forebay_otlp::TraceId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const TICK: Nanos = 10;

/// A schedule and its traces, numbered.
struct Traces {
    schedule: Schedule,
    table: TraceTable,
    slots: Vec<SlotNumber>,
}

impl Traces {
    fn new() -> Self {
        Self { schedule: Schedule::new(TICK), table: TraceTable::new(TraceId(u128::MAX)), slots: Vec::new() }
    }

    fn push(&mut self, due: Nanos) -> usize {
        let slot = self.table.insert(TraceId(self.slots.len() as u128 + 1));
        self.schedule.push(&mut self.table, slot, due);
        self.slots.push(slot);
        self.slots.len() - 1
    }

    fn hasten(&mut self, trace: usize, due: Nanos) {
        self.schedule.hasten(&mut self.table, self.slots[trace], due);
    }

    fn remove(&mut self, trace: usize) {
        self.schedule.remove(&mut self.table, self.slots[trace]);
    }

    fn pop(&mut self) -> Option<usize> {
        let slot = self.schedule.pop(&mut self.table)?;
        self.slots.iter().position(|&other| other == slot)
    }
}

#[test]
fn traces_leave_in_order_of_their_time_and_of_arrival_within_a_tick() {
    let mut traces = Traces::new();
    for due in [5, 9, 10, 11, 30] {
        traces.push(due);
    }
    assert_eq!(traces.schedule.next_due(), Some(10));
    assert_eq!(std::iter::from_fn(|| traces.pop()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(traces.schedule.next_due(), None);
}

#[test]
fn a_hastened_trace_goes_before_those_that_came_earlier() {
    let mut traces = Traces::new();
    for due in [100, 110, 120] {
        traces.push(due);
    }
    traces.hasten(1, 41);
    assert_eq!(traces.schedule.next_due(), Some(50));
    traces.hasten(2, 45);
    assert_eq!(std::iter::from_fn(|| traces.pop()).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn hastening_never_delays() {
    let mut traces = Traces::new();
    traces.push(100);
    traces.hasten(0, 101);
    assert_eq!(traces.schedule.next_due(), Some(100));
    traces.hasten(0, 50);
    traces.hasten(0, 90);
    assert_eq!(traces.schedule.next_due(), Some(50));
    // The queue of the hastened cannot do better than its last, which is no worse than nothing.
    traces.push(110);
    traces.push(55);
    traces.hasten(1, 20);
    assert_eq!(std::iter::from_fn(|| traces.pop()).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_trace_that_has_left_cannot_be_hastened_or_removed() {
    let mut traces = Traces::new();
    traces.push(100);
    traces.pop();
    traces.hasten(0, 1);
    traces.remove(0);
    assert_eq!(traces.schedule.next_due(), None);
}

#[test]
fn a_steady_load_takes_little_room() {
    let mut traces = Traces::new();
    for now in 0..20_000 {
        traces.push(now + 1_000);
        while traces.schedule.next_due().is_some_and(|due| due <= now) {
            traces.schedule.pop(&mut traces.table);
        }
        assert!(traces.schedule.allocated() <= 4 * 101 * size_of::<Tick>());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Hasten(Index),
    Remove(Index),
    Pop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Push),
        3 => any::<Index>().prop_map(Step::Hasten),
        1 => any::<Index>().prop_map(Step::Remove),
        2 => Just(Step::Pop),
    ]
}

proptest! {
    /// The model: a list of traces with the time at which each is due.
    #[test]
    fn the_schedule_is_a_sorted_list(steps in vec((step(), 0..40_u64), 1..200)) {
        const WAIT: Nanos = 300;
        const SHORT: Nanos = 80;
        let mut traces = Traces::new();
        let mut expected: Vec<(usize, Nanos)> = Vec::new();
        let mut now = 0;
        for (step, gap) in steps {
            now += gap;
            match step {
                Step::Push => expected.push((traces.push(now + WAIT), (now + WAIT).next_multiple_of(TICK))),
                Step::Hasten(_) | Step::Remove(_) if expected.is_empty() => {}
                Step::Hasten(index) => {
                    let (trace, due) = index.get_mut(&mut expected);
                    traces.hasten(*trace, now + SHORT);
                    *due = (*due).min((now + SHORT).next_multiple_of(TICK));
                }
                Step::Remove(index) => traces.remove(expected.swap_remove(index.index(expected.len())).0),
                Step::Pop => {
                    let popped = traces.pop();
                    let first = expected.iter().map(|&(_, due)| due).min();
                    let found = expected.iter().position(|&(trace, due)| Some(trace) == popped && Some(due) == first);
                    prop_assert_eq!(found.is_some(), first.is_some(), "{:?} popped", popped);
                    found.map(|index| expected.swap_remove(index));
                }
            }
            prop_assert_eq!(traces.schedule.next_due(), expected.iter().map(|&(_, due)| due).min());
        }
        let mut left: Vec<_> = std::iter::from_fn(|| traces.pop()).collect();
        left.sort_unstable();
        let mut rest: Vec<_> = expected.into_iter().map(|(trace, _)| trace).collect();
        rest.sort_unstable();
        prop_assert_eq!(left, rest);
    }
}
