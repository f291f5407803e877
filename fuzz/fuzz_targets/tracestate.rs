//! The W3C `tracestate`: reading never panics, and writing changes what was to be changed and
//! nothing else.

#![no_main]

use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::{Ot, TraceState, TraceStateError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(state) = TraceState::parse(text) else {
        return;
    };
    let number =
        text.iter().fold(0_u64, |number, &byte| number.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)) >> 8;
    let (threshold, randomness) = (Threshold::new(number), Randomness::new(number).expect("56 bits"));
    check(state, state.with_threshold(threshold), Ot { th: Ok(threshold), rv: state.ot().rv });
    check(state, state.with_threshold(None), Ot { th: Ok(None), rv: state.ot().rv });
    check(state, state.with_randomness(randomness), Ot { th: state.ot().th, rv: Ok(Some(randomness)) });
    check(
        state,
        state.with_threshold_and_randomness(threshold, randomness),
        Ot { th: Ok(threshold), rv: Ok(Some(randomness)) },
    );
});

fn check(before: TraceState<'_>, written: Result<String, TraceStateError>, expected: Ot) {
    let text = match written {
        Ok(text) => text,
        Err(error) => return assert_eq!(error, TraceStateError::TooLong),
    };
    let after = TraceState::parse(text.as_bytes()).expect("what is written is a trace state");
    assert_eq!(after.ot(), expected, "{text}");
    let (before, after) = (others(before), others(after));
    // A new member `ot` may take the place of the last of 32.
    assert!(before.starts_with(&after) && before.len() <= after.len() + 1, "{text}");
    assert!(after.len() == before.len() || before.len() == 32, "{text}");
}

fn others<'a>(state: TraceState<'a>) -> Vec<(&'a str, &'a str)> {
    state.members().filter(|(key, _)| *key != "ot").collect()
}
