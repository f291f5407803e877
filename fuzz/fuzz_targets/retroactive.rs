//! Retroactive sampling: no bytes harm the readers of what agents and coordinators tell each other, and what they let
//! pass means the same once it has been written again.

#![no_main]

use forebay_retroactive::wire::message::{
    FromAgent, FromCoordinator, decode_from_agent, decode_from_coordinator, encode_report,
};
use forebay_retroactive::wire::{decisions, pieces, program};
use forebay_samplers::retroactive::message::Piece;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(read) = pieces::decode(input) {
        assert_eq!(pieces::count(input), Ok(read.len()));
        let again = pieces::decode(&pieces::encode(&read)).expect("what is written can be read");
        assert_eq!(in_order(again), in_order(read));
    }
    if let Ok(FromAgent::Report(report)) = decode_from_agent(input)
        && let Ok(report) = report.decode()
    {
        assert!(decode_from_agent(&encode_report(&report)).is_ok());
    }
    match decode_from_coordinator(input) {
        Ok(FromCoordinator::Program(read, _)) => {
            let again = program::encode(&read).expect("nobody fuzzes with a megabyte");
            assert_eq!(program::decode(&again.bytes), Ok(read));
        }
        Ok(FromCoordinator::Decisions(read)) => {
            let again = decisions::decode(&decisions::encode(&read)).expect("what is written can be read");
            assert_eq!(again.kept.len(), read.kept.len());
        }
        _ => {}
    }
});

/// Traces whose keys are equal may change places.
fn in_order(pieces: Vec<Piece>) -> Vec<String> {
    let mut pieces: Vec<_> = pieces.iter().map(|piece| format!("{piece:?}")).collect();
    pieces.sort_unstable();
    pieces
}
