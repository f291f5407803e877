use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> TraceState<'_> {
    TraceState::parse(text.as_bytes()).unwrap()
}

fn th(text: &str) -> Option<Threshold> {
    Some(text.parse().unwrap())
}

#[test]
fn members_are_found_among_white_space_and_empty_ones() {
    let state = parse("\t rojo=00f067aa0ba902b7 ,, tenant@vendor=a b:c,ot=th:c;rv:9b8233f7e3a151\t");
    assert_eq!(state.members().count(), 3);
    assert_eq!(state.get("rojo"), Some("00f067aa0ba902b7"));
    assert_eq!(state.get("tenant@vendor"), Some("a b:c"));
    assert_eq!(state.get("ot"), Some("th:c;rv:9b8233f7e3a151"));
    assert_eq!(state.get("o"), None);
    let ot = state.ot();
    assert_eq!((ot.th, ot.rv), (Ok(th("c")), Ok(Some("9b8233f7e3a151".parse().unwrap()))));
}

#[test]
fn a_state_without_ot_has_neither_key() {
    for text in ["", " , ,", "rojo=1", "rojot=th:c"] {
        assert_eq!(parse(text).ot(), Ot { th: Ok(None), rv: Ok(None) }, "{text:?}");
    }
}

#[test]
fn malformed_lists_are_errors() {
    let long = format!("a={}", "x".repeat(257));
    let many = vec!["a=b"; 33].join(",");
    for (text, error) in [
        ("a", TraceStateError::Member),
        ("a=b,c", TraceStateError::Member),
        ("=b", TraceStateError::Key),
        ("Upper=b", TraceStateError::Key),
        ("a =b", TraceStateError::Key),
        ("a=", TraceStateError::Value),
        ("a=b=c", TraceStateError::Value),
        ("a=\u{7f}", TraceStateError::Value),
        ("a=b\tc", TraceStateError::Value),
        (&long, TraceStateError::Value),
        ("a=é", TraceStateError::NotAscii),
        (&many, TraceStateError::TooManyMembers),
        ("ot=th:c,a=b,ot=th:8", TraceStateError::Repeated("ot")),
    ] {
        assert_eq!(TraceState::parse(text.as_bytes()).unwrap_err(), error, "{text:?}");
    }
    assert_eq!(TraceState::parse(b"a=\xff").unwrap_err(), TraceStateError::NotAscii);
    assert!(TraceState::parse(vec!["a=b"; 32].join(",").as_bytes()).is_ok());
}

#[test]
fn a_key_that_cannot_be_read_does_not_hide_the_other() {
    let ot = parse("ot=th:C;rv:9b8233f7e3a151").ot();
    assert_eq!(ot.th, Err(TraceStateError::Threshold(ThresholdError)));
    assert!(ot.rv.is_ok());
    let ot = parse("ot=th:c;rv:9b").ot();
    assert_eq!((ot.th, ot.rv), (Ok(th("c")), Err(TraceStateError::Randomness(RandomnessError))));
    assert_eq!(parse("ot=th:").ot().th, Err(TraceStateError::Threshold(ThresholdError)));
    assert_eq!(parse("ot=th:c;th:c").ot().th, Err(TraceStateError::Repeated("th")));
    assert_eq!(parse("ot=garbage;;").ot().th, Ok(None));
}

#[test]
fn a_changed_ot_moves_to_the_front_with_what_was_set_first() {
    let state = parse("rojo=1 , ot=ts:1;rv:9b8233f7e3a151;th:c;!? ,congo=2");
    assert_eq!(state.with_threshold(th("e")).unwrap(), "ot=th:e;ts:1;rv:9b8233f7e3a151;!?,rojo=1,congo=2");
    assert_eq!(state.with_threshold(None).unwrap(), "ot=ts:1;rv:9b8233f7e3a151;!?,rojo=1,congo=2");
    let randomness = "00000000000001".parse().unwrap();
    assert_eq!(
        state.with_randomness(randomness).unwrap(),
        "ot=rv:00000000000001;ts:1;th:c;!?,rojo=1,congo=2"
    );
    assert_eq!(
        state.with_threshold_and_randomness(th("e"), randomness).unwrap(),
        "ot=th:e;rv:00000000000001;ts:1;!?,rojo=1,congo=2"
    );
}

#[test]
fn an_unchanged_ot_stays_where_it_is() {
    for text in ["rojo=1 ,, ot=th:c;rv:9b8233f7e3a151", "ot=th:c", "rojo=1,ot=th:c;x:1"] {
        assert_eq!(parse(text).with_threshold(th("c")).unwrap(), text);
    }
    assert_eq!(parse("rojo=1 , congo=2").with_threshold(None).unwrap(), "rojo=1 , congo=2");
}

#[test]
fn ot_comes_with_its_first_key_and_goes_with_its_last() {
    assert_eq!(parse("").with_threshold(th("0")).unwrap(), "ot=th:0");
    assert_eq!(parse("rojo=1").with_threshold(th("c")).unwrap(), "ot=th:c,rojo=1");
    assert_eq!(parse("rojo=1,ot=th:c").with_threshold(None).unwrap(), "rojo=1");
    assert_eq!(parse("ot=th:c;th:8").with_threshold(None).unwrap(), "");
    assert_eq!(parse("ot=; ;th:c").with_threshold(None).unwrap(), "");
    assert_eq!(parse("ot=x:1 ;th:c").with_threshold(None).unwrap(), "ot=x:1");
}

#[test]
fn a_new_ot_takes_the_place_of_the_last_of_32() {
    let members: Vec<_> = (0..32).map(|index| format!("v{index}=1")).collect();
    let text = parse(&members.join(",")).with_threshold(th("c")).unwrap();
    assert_eq!(text, format!("ot=th:c,{}", members[..31].join(",")));
    assert!(TraceState::parse(text.as_bytes()).is_ok());
}

#[test]
fn an_ot_without_room_is_refused_rather_than_cut() {
    let text = format!("ot=x:{}", "1".repeat(250));
    assert_eq!(parse(&text).with_threshold(th("c")), Err(TraceStateError::TooLong));
    assert_eq!(parse(&text).with_threshold(None).unwrap(), text);
}

/// Lists that are mostly well formed, with `ot` in many of them.
fn list() -> impl Strategy<Value = String> {
    let key = "(th|rv|th|[a-z][a-z0-9]{0,3}):[a-z0-9.]{0,14}";
    let ot = prop::collection::vec(key, 1..5).prop_map(|keys| format!("ot={}", keys.join(";")));
    let other = "[ \t]?[a-z0-9][a-z0-9_*/@-]{0,5}=[ -+.-<>-~]{0,6}[!-+]";
    prop_oneof![
        (prop::collection::vec(other, 0..4), prop::option::of(ot), prop::collection::vec(other, 0..4))
            .prop_map(|(before, ot, after)| before
                .into_iter()
                .chain(ot)
                .chain(after)
                .collect::<Vec<_>>()
                .join(",")),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_beside_what_was_there(text in list(), threshold in 0..1_u64 << 56, rv: Option<u32>) {
        let Ok(state) = TraceState::parse(text.as_bytes()) else { return Ok(()) };
        let threshold = Threshold::new(threshold);
        let randomness = rv.and_then(|value| Randomness::new(value.into()));
        let written = match randomness {
            Some(randomness) => state.with_threshold_and_randomness(threshold, randomness),
            None => state.with_threshold(threshold),
        };
        let written = written.unwrap();
        let read = parse(&written);
        prop_assert_eq!(read.ot().th, Ok(threshold));
        prop_assert_eq!(read.ot().rv, randomness.map_or(state.ot().rv, |randomness| Ok(Some(randomness))));
        let others = |state: TraceState<'_>| -> Vec<(String, String)> {
            state.members().filter(|(key, _)| *key != "ot").map(|(key, value)| (key.into(), value.into())).collect()
        };
        prop_assert_eq!(others(read), others(state));
        let cleared = read.with_threshold(None).unwrap();
        prop_assert_eq!(parse(&cleared).ot(), Ot { th: Ok(None), rv: read.ot().rv });
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        if let Ok(state) = TraceState::parse(&bytes) {
            let _ = (state.ot(), state.members().count(), state.with_threshold(None));
        }
    }
}
