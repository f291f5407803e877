//! What a sampler that records its policies makes of spans on which another has recorded its own.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

use super::*;
use crate::testing::{Span, Value, attribute, span_with_state, text, trace};

/// The names of a sampler's policies, and of the second one's part.
const NAMES: [&str; 2] = ["errors", "a policy with a longer name"];
const PART: &str = "a part";

fn stamp(policy: u16, late: bool) -> Stamp {
    let parts = [Vec::new(), vec![PART.to_owned()]];
    let names =
        NAMES.into_iter().zip(parts).map(|(name, parts)| PolicyNames { policy: name.to_owned(), parts });
    let part = (policy == 1).then_some(0);
    Stamps::new(Some(names.collect())).stamp(Kept { policy, part, threshold: Threshold::new(1 << 55) }, late)
}

proptest! {
    #[test]
    fn what_is_recorded_replaces_what_was_before_and_all_else_stays(
        keys in vec(select([OF_POLICIES, &["tailsampling.policies", "http.route", ""]].concat()), 0..6),
        values in vec("[a-z]{0,200}", 6),
        trace_state in prop_oneof![Just(""), Just("vendor=1,ot=th:4"), Just("=unreadable=")],
        elided: bool,
        policy in 0..2_u16,
        late: bool,
    ) {
        let attributes = keys.iter().zip(&values).map(|(key, value)| attribute(key, text(value))).collect();
        let id = trace(1, 1 << 55);
        let before = Span { attributes, ..span_with_state(id, 1, trace_state) };
        let body = before.encode_to_vec();
        let rest = if elided { &body[18..] } else { &body[..] };
        let stamp = stamp(policy, late);
        let piece = stamp.apply(elided.then_some(id), rest, !trace_state.is_empty());
        let mut written = Vec::new();
        piece.write(&mut written);
        prop_assert_eq!(written.len(), piece.len(), "sizes are exact");

        let mut expected = before;
        expected.attributes.retain(|attribute| !OF_POLICIES.contains(&&*attribute.key));
        expected.attributes.push(attribute("tailsampling.policy", text(NAMES[usize::from(policy)])));
        expected.attributes.extend((policy == 1).then(|| attribute("tailsampling.composite_policy", text(PART))));
        expected.attributes.extend(late.then(|| attribute("tailsampling.cached_decision", Value::BoolValue(true))));
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
    let stamp = Stamps::new(None).stamp(Kept { policy: 0, part: None, threshold: None }, true);
    let mut written = Vec::new();
    stamp.apply(None, &body, false).write(&mut written);
    assert_eq!(written, body);
}
