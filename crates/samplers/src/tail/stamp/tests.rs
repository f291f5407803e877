//! What a sampler that records its policies makes of spans on which another has recorded its own.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::testing::{Span, attribute, span_with_state, text, trace};

/// The names of a sampler's policies.
const NAMES: [&str; 2] = ["errors", "a policy with a longer name"];

fn stamp(policy: u16) -> Stamp {
    let names = NAMES.map(str::to_owned).to_vec();
    Stamps::new(Some(names)).stamp(Kept { policy, threshold: Threshold::new(1 << 55) })
}

proptest! {
    #[test]
    fn the_recorded_policy_replaces_the_one_before_and_all_else_stays(
        keys in vec(prop_oneof![Just(POLICY_ATTRIBUTE), Just("tailsampling.policies"), Just("http.route"), Just("")], 0..6),
        values in vec("[a-z]{0,200}", 6),
        trace_state in prop_oneof![Just(""), Just("vendor=1,ot=th:4"), Just("=unreadable=")],
        elided: bool,
        policy in 0..2_u16,
    ) {
        let attributes = keys.iter().zip(&values).map(|(key, value)| attribute(key, text(value))).collect();
        let id = trace(1, 1 << 55);
        let before = Span { attributes, ..span_with_state(id, 1, trace_state) };
        let body = before.encode_to_vec();
        let rest = if elided { &body[18..] } else { &body[..] };
        let stamp = stamp(policy);
        let piece = stamp.apply(elided.then_some(id), rest, !trace_state.is_empty());
        let mut written = Vec::new();
        piece.write(&mut written);
        prop_assert_eq!(written.len(), piece.len(), "sizes are exact");

        let mut expected = before;
        expected.attributes.retain(|attribute| attribute.key != POLICY_ATTRIBUTE);
        expected.attributes.push(attribute(POLICY_ATTRIBUTE, text(NAMES[usize::from(policy)])));
        expected.trace_state = match trace_state {
            "" => "ot=th:8",
            "vendor=1,ot=th:4" => "ot=th:8,vendor=1",
            unreadable => unreadable,
        }
        .to_owned();
        prop_assert_eq!(Span::decode(&*written).unwrap(), expected);
    }
}

#[test]
fn a_sampler_that_records_nothing_leaves_what_another_has_recorded() {
    let attributes = vec![attribute(POLICY_ATTRIBUTE, text("edge"))];
    let before = Span { attributes, ..span_with_state(trace(1, 0), 1, "") };
    let body = before.encode_to_vec();
    let stamp = Stamps::new(None).stamp(Kept { policy: 0, threshold: None });
    let mut written = Vec::new();
    stamp.apply(None, &body, false).write(&mut written);
    assert_eq!(written, body);
}
