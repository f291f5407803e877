//! That what is wrong is objected to.

use super::*;
use crate::outcome::Arrival;
use crate::traffic::Sort;

fn kept(numbers: impl Iterator<Item = usize>) -> Outcome {
    Outcome { fates: numbers.map(|number| (number, WHOLE.to_owned())).collect() }
}

#[test]
fn a_trace_of_another_fate_is_objected_to_unless_it_is_to_differ() {
    let traffic = Traffic::new(Sort::Traces).unwrap();
    let of_kind = |number: &usize| traffic.traces[*number].kind == "int-10";
    let all = kept(0..traffic.traces.len());
    let without = kept((0..traffic.traces.len()).filter(|number| !of_kind(number)));
    let difference = [Difference { kinds: vec!["int-10".to_owned()], fate: None }];
    assert_eq!(equal(&traffic, &all, &all, &[]), [""; 0]);
    assert_eq!(equal(&traffic, &all, &without, &[]).len(), 1);
    assert_eq!(equal(&traffic, &all, &without, &difference), [""; 0]);
    assert_ne!(equal(&traffic, &without, &without, &difference), [""; 0], "the Collector does it too");
    assert_ne!(equal(&traffic, &all, &all, &difference), [""; 0], "Forebay does not do it");
}

#[test]
fn a_difference_of_traces_that_do_not_exist_is_objected_to() {
    let traffic = Traffic::new(Sort::Traces).unwrap();
    let difference = [Difference { kinds: vec!["int-ten".to_owned()], fate: None }];
    let all = kept(0..traffic.traces.len());
    assert_eq!(equal(&traffic, &all, &all, &difference), ["no trace (int-ten) differs by dropped"]);
}

#[test]
fn thresholds_have_to_be_reached_and_are_not_lowered() {
    let traffic = Traffic::new(Sort::Traces).unwrap();
    let untrue = |kind, threshold: &str| {
        let number = traffic.traces.iter().position(|trace| trace.kind == kind).unwrap();
        let threshold = Some(threshold.to_owned());
        let arrival = Arrival { span: 0, threshold, randomness: None, policy: None };
        let arrivals = Arrivals { traces: [(number, vec![arrival])].into(), ..Arrivals::default() };
        has_untrue(&traffic, &arrivals, number)
    };
    // Randomness 9 and threshold 8, randomness f, randomness 9 and threshold c.
    assert_eq!(["4", "8", "9", "a"].map(|threshold| untrue("th-8", threshold)), [true, false, false, true]);
    assert_eq!(["0", "f"].map(|threshold| untrue("rv-high", threshold)), [false, false]);
    assert_eq!(["8", "c", "d"].map(|threshold| untrue("th-inconsistent", threshold)), [false, false, true]);
}
