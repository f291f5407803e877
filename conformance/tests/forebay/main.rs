//! Forebay's processors do what the golden files say the Collector did, or what a case says instead.
//!
//! Time is virtual, so this takes as long as the work does. `conformance` does the same with processes.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod component;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::{num::NonZero, thread};

use forebay_conformance::traffic::{Sort, Traffic};
use forebay_conformance::{case::Case, golden, judge::judge, outcome::Senders};

#[test]
fn every_case_has_the_outcome_that_it_has_to_have() {
    let traffics = Sort::ALL.map(|sort| Traffic::new(sort).unwrap());
    let sent = Sort::ALL.map(|sort| {
        let traffic = &traffics[sort as usize];
        (traffic, component::batches(sort, traffic), Senders::new(traffic))
    });
    let cases = Case::all().unwrap();
    let check = |case: &Case| {
        let (traffic, acts, senders) = &sent[case.sort as usize];
        let measure = golden::measure(case).unwrap();
        if measure.is_some() != case.is_deterministic() {
            return vec!["the golden files do not have it; bless them".to_owned()];
        }
        match component::run(case, acts) {
            Ok(requests) => {
                let arrivals = senders.recognise(case.sort, &requests).unwrap();
                judge(case, traffic, &measure.unwrap_or_default(), &arrivals)
            }
            Err(mistakes) => vec![mistakes],
        }
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut objections = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            objections.extend(check(case).into_iter().map(|objection| format!("{}: {objection}", case.id())));
        }
        objections
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let objections: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(objections.is_empty(), "\n{}", objections.join("\n"));
}

/// What every golden file names is a case, and the other way round.
#[test]
fn golden_files_have_no_other_cases() {
    let cases = Case::all().unwrap();
    for family in cases.iter().map(|case| &case.family) {
        for name in golden::read(family).unwrap().into_keys() {
            assert!(
                cases.iter().any(|case| case.family == *family && case.name == name),
                "{family} has no case {name}; bless the golden files"
            );
        }
    }
}
