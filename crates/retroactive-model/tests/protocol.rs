//! The protocol, checked in every order of events.

use std::collections::HashMap;

use Policy::{Budget, Clause, Silent, Together, Unless};
use forebay_retroactive_model::{Faults, Policy, Protocol, Rule};
use stateright::{Checker, HasDiscoveries, Model};

const NONE: Faults =
    Faults { cuts: 0, coordinators_die: 0, agents_restart: 0, agents_die: 0, repeats: 0, changes: 0 };

/// Visits every state.
#[track_caller]
fn holds(traces: &[Policy], faults: Faults) {
    let protocol = Protocol { traces: traces.to_vec(), faults, without: Vec::new() };
    let checker = protocol.checker().spawn_bfs().join();
    assert!(checker.is_done());
    checker.assert_properties();
}

#[track_caller]
fn holds_for_each_policy(faults: Faults) {
    for policy in [Together, Unless, Budget, Silent, Clause] {
        holds(&[policy], faults);
    }
}

/// Finds a shortest way to a trace that is kept in part.
#[track_caller]
fn splits(traces: &[Policy], faults: Faults, without: &[Rule]) {
    let protocol = Protocol { traces: traces.to_vec(), faults, without: without.to_vec() };
    let splits = HasDiscoveries::AnyOf([Protocol::WHOLE].into());
    let checker = protocol.checker().finish_when(splits).spawn_bfs().join();
    checker.assert_any_discovery(Protocol::WHOLE);
}

#[test]
fn without_faults_traces_are_decided_as_by_a_tail_sampler() {
    for first in [Together, Unless, Budget, Clause] {
        for second in [Together, Unless, Budget, Clause] {
            holds(&[first, second], NONE);
        }
    }
}

#[test]
fn coordinators_that_die_and_streams_that_break_lose_and_split_nothing() {
    holds_for_each_policy(Faults { coordinators_die: 2, cuts: 2, repeats: 1, ..NONE });
}

#[test]
fn traces_that_share_windows_are_settled_when_a_coordinator_dies() {
    holds(&[Unless, Together], Faults { coordinators_die: 1, ..NONE });
    holds(&[Clause, Unless], Faults { coordinators_die: 1, ..NONE });
}

#[test]
fn agents_that_restart_with_their_spans_lose_and_split_nothing() {
    holds_for_each_policy(Faults { coordinators_die: 1, cuts: 1, agents_restart: 1, ..NONE });
}

#[test]
fn an_agent_that_dies_loses_its_pieces_and_splits_nothing_that_it_was_told_to_keep() {
    for policy in [Together, Unless, Budget, Silent] {
        holds(&[policy], Faults { agents_die: 1, cuts: 2, repeats: 1, ..NONE });
    }
}

#[test]
fn a_trace_that_moves_to_another_coordinator_is_neither_lost_nor_split() {
    holds_for_each_policy(Faults { changes: 1, cuts: 1, ..NONE });
    holds_for_each_policy(Faults { changes: 1, coordinators_die: 1, ..NONE });
}

#[test]
fn a_trace_that_moves_back_is_neither_lost_nor_split() {
    holds_for_each_policy(Faults { changes: 2, ..NONE });
}

#[test]
fn nothing_goes_round_in_circles() {
    let faults = Faults { coordinators_die: 1, cuts: 1, repeats: 1, ..NONE };
    let protocol = Protocol { traces: vec![Budget], faults, without: Vec::new() };
    // Depth first: a state that is met again before all that follows from it has been seen follows from itself.
    let mut stack = vec![(protocol.init_states().remove(0), false)];
    let mut finished = HashMap::new();
    while let Some((state, returning)) = stack.pop() {
        if returning {
            finished.insert(state, true);
        } else if let Some(finished) = finished.get(&state) {
            assert!(finished, "{state:?} follows from itself");
        } else {
            finished.insert(state.clone(), false);
            let next = protocol.next_states(&state);
            stack.push((state, true));
            stack.extend(next.into_iter().map(|next| (next, false)));
        }
    }
    assert!(finished.len() > 1000);
}

#[test]
fn every_rule_is_needed() {
    let die = Faults { coordinators_die: 1, ..NONE };
    splits(&[Together], die, &[Rule::KeptIsEvidence]);
    splits(&[Clause], Faults { cuts: 1, ..NONE }, &[Rule::KeptIsRepeated]);
    splits(&[Unless], die, &[Rule::DroppedIsEvidence]);
    splits(&[Unless], die, &[Rule::Stability]);
    splits(&[Unless, Together], die, &[Rule::SettledIsKnown]);
    splits(&[Unless], Faults { cuts: 1, ..die }, &[Rule::ReportsBeforeAcknowledging]);
    splits(&[Unless], Faults { cuts: 1, ..die }, &[Rule::StabilityWaits]);
    splits(&[Together], die, &[Rule::Grace]);
    splits(&[Unless], Faults { changes: 1, ..NONE }, &[Rule::OneList]);
    splits(&[Budget], Faults { changes: 2, ..NONE }, &[Rule::MovedIsOpen]);
    splits(&[Silent], NONE, &[Rule::SilenceWaits]);
    splits(&[Silent], Faults { cuts: 2, ..die }, &[Rule::KeptIsRetold]);
    splits(&[Unless], Faults { agents_restart: 1, ..die }, &[Rule::DropsAreDurable]);
}

#[test]
fn without_patience_evidence_may_be_late_but_nothing_is_split() {
    let faults = [
        Faults { coordinators_die: 2, cuts: 2, ..NONE },
        Faults { coordinators_die: 1, cuts: 1, agents_restart: 1, ..NONE },
    ];
    for faults in faults {
        for policy in [Together, Unless, Budget, Silent, Clause] {
            let protocol = Protocol { traces: vec![policy], faults, without: vec![Rule::Patience] };
            let checker = protocol.checker().spawn_bfs().join();
            for name in [Protocol::WHOLE, Protocol::KNOWN, Protocol::ENDS] {
                checker.assert_no_discovery(name);
            }
        }
    }
    // Who brings to a new owner what he has dropped, and comes too late, is not heard.
    splits(&[Unless], Faults { changes: 1, cuts: 1, ..NONE }, &[Rule::Patience]);
    // A piece of which nobody was told goes while whoever has evidence of the trace is away.
    let without = [Rule::Patience, Rule::SilenceBreaks];
    splits(&[Silent], Faults { coordinators_die: 2, cuts: 2, ..NONE }, &without);
}

#[test]
fn what_only_an_agent_knew_dies_with_it() {
    // It has kept by a clause and not said so.
    splits(&[Clause], Faults { agents_die: 1, ..NONE }, &[]);
    // It was told to keep, and so was nobody else before the coordinator died too.
    splits(&[Together], Faults { agents_die: 1, coordinators_die: 1, ..NONE }, &[]);
}

#[test]
fn without_replacing_streams_nothing_is_split_but_what_comes_back_may_be_judged_by_a_part() {
    let faults = Faults { changes: 2, ..NONE };
    for policy in [Together, Unless, Budget, Silent, Clause] {
        let protocol = Protocol { traces: vec![policy], faults, without: vec![Rule::StreamsReplace] };
        let checker = protocol.checker().spawn_bfs().join();
        for name in [Protocol::WHOLE, Protocol::KNOWN, Protocol::ENDS] {
            checker.assert_no_discovery(name);
        }
        if policy == Together {
            checker.assert_any_discovery(Protocol::RIGHT);
        }
    }
}
