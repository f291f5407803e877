use super::*;
use crate::{Place, Severity};

/// What `read` returns for a key `v` with this value, and the findings as `severity: path: message (help)`.
fn value<T>(yaml: &str, read: impl FnOnce(&Table<'_>) -> T) -> (T, Vec<String>) {
    findings(&format!("v: {yaml}\n"), read)
}

fn findings<T>(yaml: &str, read: impl FnOnce(&Table<'_>) -> T) -> (T, Vec<String>) {
    let (value, diagnostics) = read_str(yaml, read);
    let found = diagnostics.sorted().into_iter().map(|finding| match &finding.help {
        Some(help) => format!("{finding} ({help})"),
        None => finding.to_string(),
    });
    (value, found.collect())
}

fn no_findings() -> Vec<String> {
    Vec::new()
}

fn wrong(message: &str) -> Vec<String> {
    vec![format!("error: v: {message}")]
}

#[test]
fn absent_and_null_read_as_none_without_complaint() {
    for yaml in ["", "v:", "v: ~", "v: null"] {
        let (read, found) = findings(yaml, |t| {
            t.bool("v").is_none()
                && t.string("v").is_none()
                && t.integer::<u32>("v", ..).is_none()
                && t.float("v", 0.0..=1.0).is_none()
                && t.duration("v").is_none()
                && t.choice("v", &[("a", 1)]).is_none()
                && t.strings("v").is_none()
                && t.map("v").is_none()
                && t.list("v").is_none()
                && t.tables("v").is_empty()
        });
        assert!(read, "{yaml}");
        assert_eq!(found, no_findings(), "{yaml}");
    }
}

#[test]
fn booleans_are_true_and_false_only() {
    assert_eq!(value("true", |t| t.bool("v")), (Some(true), no_findings()));
    let (read, found) = value("yes", |t| t.bool("v"));
    assert_eq!(read, None);
    assert_eq!(
        found,
        wrong("expected true or false, found the string \"yes\" (YAML 1.2 has no other words for them)")
    );
    let (_, found) = value("'true'", |t| t.bool("v"));
    assert_eq!(found, wrong("expected true or false, found the string \"true\" (remove the quotes)"));
    let (_, found) = value("1", |t| t.bool("v"));
    assert_eq!(found, wrong("expected true or false, found the number 1"));
}

#[test]
fn a_string_field_refuses_numbers_and_quotes_what_was_written() {
    assert_eq!(value("a b", |t| t.string("v")), (Some("a b".to_owned()), no_findings()));
    let (read, found) = value("0042", |t| t.string("v"));
    assert_eq!(read, None);
    assert_eq!(found, wrong("expected a string, found the number 34 (put it in quotes: \"0042\")"));
    let (_, found) = value("{a: b}", |t| t.string("v"));
    assert_eq!(found, wrong("expected a string, found the mapping {..}"));
}

#[test]
fn integers_keep_to_their_range_and_type() {
    assert_eq!(value("0x10", |t| t.integer::<u16>("v", ..)), (Some(16), no_findings()));
    assert_eq!(value("-3", |t| t.integer::<i64>("v", -5..0)), (Some(-3), no_findings()));
    for (yaml, message) in [
        ("0", "expected an integer from 1 to 4294967295, found the number 0"),
        ("4294967296", "expected an integer from 1 to 4294967295, found the number 4294967296"),
        ("1.0", "expected an integer from 1 to 4294967295, found the number 1.0"),
        ("'5'", "expected an integer from 1 to 4294967295, found the string \"5\" (remove the quotes)"),
        ("5KiB", "expected an integer from 1 to 4294967295, found the string \"5KiB\""),
        ("[1]", "expected an integer from 1 to 4294967295, found the list [..]"),
    ] {
        let (read, found) = value(yaml, |t| t.integer::<u32>("v", 1..));
        assert_eq!((read, found), (None, wrong(message)), "{yaml}");
    }
}

#[test]
fn ranges_are_told_in_words() {
    let told = |read: fn(&Table<'_>) -> Option<u8>| value("-1", read).1.remove(0);
    assert!(told(|t| t.integer("v", 1..=100)).contains("an integer from 1 to 100,"));
    assert!(told(|t| t.integer("v", 1..100)).contains("an integer from 1 to 100 exclusive,"));
    assert!(told(|t| t.integer("v", ..=7)).contains("an integer from 0 to 7,"));
    assert!(told(|t| t.integer("v", ..)).contains("an integer from 0 to 255,"));
    assert!(value("-1", |t| t.integer::<u64>("v", ..)).1[0].contains("an integer of at least 0,"));
    assert!(value("x", |t| t.integer::<i64>("v", ..)).1[0].contains("expected an integer, found"));
}

#[test]
fn floats_take_integers_but_no_nan() {
    assert_eq!(value("50", |t| t.float("v", 0.0..=100.0)), (Some(50.0), no_findings()));
    assert_eq!(value("0.5", |t| t.float("v", 0.0..=100.0)), (Some(0.5), no_findings()));
    for (yaml, message) in [
        (".nan", "expected a number from 0.0 to 100.0, found the number NaN"),
        ("101", "expected a number from 0.0 to 100.0, found the number 101"),
        ("'1'", "expected a number from 0.0 to 100.0, found the string \"1\" (remove the quotes)"),
        ("50%", "expected a number from 0.0 to 100.0, found the string \"50%\""),
    ] {
        assert_eq!(value(yaml, |t| t.float("v", 0.0..=100.0)), (None, wrong(message)), "{yaml}");
    }
    let (_, found) = value("-1", |t| t.float("v", 0.0..=f64::INFINITY));
    assert_eq!(found, wrong("expected a number of at least 0.0, found the number -1"));
}

#[test]
fn durations_need_units_and_a_bare_number_is_nanoseconds() {
    assert_eq!(value("1m30s", |t| t.duration("v")), (Some(Duration::from_secs(90)), no_findings()));
    assert_eq!(value("0", |t| t.duration("v")), (Some(Duration::ZERO), no_findings()));
    let warning =
        "warning: v: a bare number is nanoseconds: this is 10ns (write the unit: 10s, 10ms or 10ns)";
    assert_eq!(value("10", |t| t.duration("v")), (Some(Duration::from_nanos(10)), vec![warning.to_owned()]));
    for (yaml, message) in [
        ("[5s]", "expected a duration such as 200ms or 5s, found the list [..]"),
        ("1.5", "expected a duration such as 200ms or 5s, found the number 1.5"),
        (
            "-5s",
            "expected a duration such as 200ms or 5s, found the string \"-5s\" (a duration must not be negative)",
        ),
        (
            "-5",
            "expected a duration such as 200ms or 5s, found the number -5 (a duration must not be negative)",
        ),
        (
            "'10'",
            "expected a duration such as 200ms or 5s, found the string \"10\" (the unit is missing (h, m, s, ms, us, ns))",
        ),
    ] {
        assert_eq!(value(yaml, |t| t.duration("v")), (None, wrong(message)), "{yaml}");
    }
}

#[test]
fn choices_list_themselves_and_guess() {
    let choices = [("latency", 1), ("status_code", 2)];
    assert_eq!(value("status_code", |t| t.choice("v", &choices)), (Some(2), no_findings()));
    let (_, found) = value("latncy", |t| t.choice("v", &choices));
    assert_eq!(
        found,
        wrong("expected one of latency, status_code, found the string \"latncy\" (did you mean `latency`?)")
    );
    let (_, found) = value("Latency", |t| t.choice("v", &choices));
    assert_eq!(found.len(), 1, "words are case-sensitive");
    let (_, found) = value("1", |t| t.choice("v", &choices));
    assert_eq!(found, wrong("expected one of latency, status_code, found the number 1"));
}

#[test]
fn one_string_is_a_list_split_at_commas() {
    let list = |items: &[&str]| Some(items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
    assert_eq!(value("[a, b]", |t| t.strings("v")), (list(&["a", "b"]), no_findings()));
    assert_eq!(value("ERROR", |t| t.strings("v")), (list(&["ERROR"]), no_findings()));
    assert_eq!(value("OK, ERROR", |t| t.strings("v")), (list(&["OK", "ERROR"]), no_findings()));
    assert_eq!(value("''", |t| t.strings("v")), (list(&[]), no_findings()));
    let (read, found) = value("[a, 200]", |t| t.strings("v"));
    assert_eq!(read, list(&["a"]));
    assert_eq!(found, ["error: v[1]: expected a string, found the number 200 (put it in quotes: \"200\")"]);
    let (_, found) = value("5", |t| t.strings("v"));
    assert_eq!(found, wrong("expected a list of strings, found the number 5"));
}

#[test]
fn null_items_are_errors() {
    let (names, found) = value("[a, ~, '']", |t| t.strings("v").unwrap().len());
    assert_eq!((names, found), (2, vec!["error: v[1]: an item of a list must not be null".to_owned()]));
}

#[test]
fn headers_are_a_mapping_or_a_list_of_pairs() {
    let pairs = Some(vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
    assert_eq!(value("{a: '1', b: }", |t| t.map("v")), (pairs.clone(), no_findings()));
    assert_eq!(value("[{name: a, value: '1'}, {name: b}]", |t| t.map("v")), (pairs, no_findings()));
    let (_, found) = value("{a: 1}", |t| t.map("v"));
    assert_eq!(found, ["error: v::a: expected a string, found the number 1 (put it in quotes: \"1\")"]);
    let (_, found) = value("[{value: x, nam: a}]", |t| t.map("v"));
    assert_eq!(
        found,
        [
            "error: v[0]: `name` is required",
            "error: v[0]: unknown key `nam` (did you mean `name`? known: name, value)"
        ]
    );
    let (_, found) = value("a=b", |t| t.map("v"));
    assert_eq!(found, wrong("expected a mapping of strings, found the string \"a=b\""));
}

#[test]
fn keys_nobody_asked_for_are_unknown() {
    let (_, found) = findings("decision_wait: 1s\npolicys: []\nx-mine: 1\n", |t| {
        t.duration("decision_wait");
        t.tables("policies");
    });
    assert_eq!(
        found,
        [
            "error: unknown key `policys` (did you mean `policies`? known: decision_wait, policies)",
            "error: unknown key `x-mine` (known: decision_wait, policies)",
        ]
    );
}

#[test]
fn a_table_without_keys_says_so() {
    let (_, found) = value("{a: 1}", |t| t.table("v").is_some());
    assert_eq!(found, ["error: v: unknown key `a` (no key is known here)"]);
}

#[test]
fn keys_are_known_only_where_they_were_asked_for() {
    let (_, found) = findings("tls: {insecure: true}\ninsecure: true\n", |t| {
        t.table("tls").map(|tls| tls.bool("insecure"))
    });
    assert_eq!(found, ["error: unknown key `insecure` (known: tls)"]);
}

#[test]
fn a_null_table_is_there_and_empty_while_an_absent_one_is_not() {
    assert!(findings("v:", |t| t.table("v").is_some()).0);
    assert!(!findings("w:", |t| t.table("v").is_some()).0);
    assert_eq!(
        value("5", |t| t.table("v").is_some()),
        (false, wrong("expected a mapping, found the number 5"))
    );
}

#[test]
fn tables_leave_out_what_is_no_mapping() {
    let (names, found) = value("[{name: a}, b, {name: c}]", |t| {
        t.tables("v").iter().map(|policy| policy.string("name").unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(names, ["a", "c"]);
    assert_eq!(found, ["error: v[1]: expected a mapping, found the string \"b\""]);
}

#[test]
fn free_keys_are_never_unknown() {
    let (keys, found) =
        findings("b: 1\na: 2\n", |t| t.entries().into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    assert_eq!((keys, found), (vec!["b".to_owned(), "a".to_owned()], no_findings()));
}

#[test]
fn accepted_keys_warn_when_present() {
    let (_, found) = findings("a:\n", |t| {
        t.accept("a", "spans wait in a log");
        t.accept("b", "nor does this");
    });
    assert_eq!(found, ["warning: a: has no effect here: spans wait in a log"]);
}

#[test]
fn required_keys_are_missed_when_absent_or_null_but_not_when_wrong() {
    for yaml in ["{}", "{endpoint: }"] {
        let (_, found) = value(yaml, |t| t.table("v").map(|t| t.require("endpoint", t.string("endpoint"))));
        assert_eq!(found, ["error: v: `endpoint` is required"], "{yaml}");
    }
    let (_, found) =
        value("{endpoint: [a]}", |t| t.table("v").map(|t| t.require("endpoint", t.string("endpoint"))));
    assert_eq!(found, ["error: v::endpoint: expected a string, found the list [..]"]);
}

#[test]
fn findings_point_at_the_value_or_the_key_of_a_block_or_the_table() {
    let (_, diagnostics) = read_str("t:\n  scalar: x\n  block:\n    a: b\n", |t| {
        let table = t.table("t").unwrap();
        table.entries();
        table.error("scalar", "1");
        table.error_with_help("block", "2", "help");
        table.warning("absent", "3");
    });
    let at = |n: usize| diagnostics.sorted()[n].at.map(|at| (at.line, at.column)).unwrap();
    assert_eq!([at(0), at(1), at(2)], [(1, 1), (2, 11), (3, 3)]);
    let first = &diagnostics.sorted()[0];
    assert_eq!((first.severity, first.path.as_str()), (Severity::Warning, "t::absent"));
}

#[test]
fn has_sees_nulls_and_makes_nothing_known() {
    let (_, found) = findings("a:\n", |t| assert!(t.has("a") && !t.has("b")));
    assert_eq!(found, ["error: unknown key `a` (no key is known here)"]);
}

#[test]
fn the_root_must_be_a_mapping() {
    assert_eq!(
        findings("[a]", |t| t.has("a")),
        (false, vec!["error: expected a mapping, found the list [..]".to_owned()])
    );
}

#[test]
fn component_ids_are_checked_at_their_keys() {
    let (ids, found) = findings("otlp:\notlp/a: {}\notlp / a: {}\n/b:\n", |t| {
        t.components().into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(ids, ["otlp", "otlp/a"]);
    assert_eq!(
        found,
        [
            "error: otlp / a: `otlp/a` is already there",
            "error: /b: the type is missing before the `/` in `/b`"
        ]
    );
}

#[test]
fn lists_of_component_ids_must_be_lists() {
    let ids = |t: &Table<'_>| {
        t.component_ids("v").map(|ids| ids.into_iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(
        value("[otlp, batch/a]", ids),
        (Some(vec!["otlp".to_owned(), "batch/a".to_owned()]), no_findings())
    );
    assert_eq!(value("otlp", ids), (None, wrong("expected a list, found the string \"otlp\"")));
    let (read, found) = value("[a b, 5, c]", ids);
    assert_eq!(read, Some(vec!["c".to_owned()]));
    assert_eq!(
        found,
        [
            "error: v[0]: `a b` is no type: it begins with a letter and has letters, digits and `_`, 63 at most",
            "error: v[1]: expected the id of a component, `type` or `type/name`, found the number 5"
        ]
    );
}

#[test]
fn long_strings_are_shortened_in_messages() {
    let (_, found) = value(&"x".repeat(1000), |t| t.bool("v"));
    assert_eq!(found, wrong(&format!("expected true or false, found the string \"{}…\"", "x".repeat(60))));
}

#[test]
fn what_is_missing_in_an_absent_section_is_reported_at_its_path() {
    let (_, problems) = read_str("{type: status_code}", |table| {
        table.string("type");
        let section = table.section("status_code");
        section.require("status_codes", section.list("status_codes")).is_some()
    });
    assert!(
        problems.render(false).contains("status_code: `status_codes` is required"),
        "{}",
        problems.render(false)
    );
}

#[test]
fn a_place_is_where_a_key_is_or_would_be() {
    let ((there, missing), diagnostics) = read_str("a:\n  b: 5\n", |table| {
        let section = table.section("a");
        let places = (section.place("b"), section.place("c"));
        section.entries();
        places
    });
    assert_eq!((there.path(), diagnostics.position(&there)), ("a::b", Some("yaml:2:6".to_owned())));
    assert_eq!((missing.path(), diagnostics.position(&missing)), ("a::c", Some("yaml:1:1".to_owned())));
    diagnostics.add(there.error("too late"));
    assert!(diagnostics.render(false).starts_with("error: a::b: too late\n --> yaml:2:6\n"));
    assert_eq!(diagnostics.position(&Place::default()), None);
}
