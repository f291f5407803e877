//! What is said of texts that are no conditions, and where.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use forebay_ottl::{Condition, Context, ParseError};

fn mistake(source: &str) -> ParseError {
    Condition::parse(source, Context::Span).expect_err(source)
}

#[test]
fn a_mistake_is_reported_at_its_column() {
    for (source, column, message) in [
        ("", 1, "unexpected end of the condition"),
        ("name ==", 8, "unexpected end of the condition"),
        (r#"name = "a""#, 6, "unexpected `=`"),
        (r#"name == "a" name"#, 13, "unexpected `name`"),
        (r#"name == "a"#, 9, "string without an end"),
        (r#"name == "a\""#, 9, "string without an end"),
        (r#"name == "a\d""#, 11, r"unknown escape `\d` in a string"),
        (r#"name == 'a'"#, 9, "unexpected `'`"),
        (r#""Ω" == "Ω" and "#, 16, "unexpected end of the condition"),
        ("(kind == 2", 11, "unexpected end of the condition"),
        ("kind == 2)", 10, "unexpected `)`"),
        ("not not true", 5, "unexpected `not`"),
        ("1 < 2 < 3", 7, "unexpected `<`"),
        ("kind == 99999999999999999999", 9, "`99999999999999999999` is not a 64-bit integer"),
        ("kind == 0x123", 9, "`0x123` is not a whole number of bytes"),
        (r#"not attributes["x"]"#, 5, "`attributes` is a value, not true or false"),
        ("kind == 2 and name", 15, "`name` is a value, not true or false"),
        ("kind == 2 and 3", 15, "a value, where something true or false is needed"),
        ("Len(name)", 1, "`Len` is an int, not true or false"),
        ("(kind == 2) + 1 == 2", 2, "something true or false, where a value is needed"),
        ("nam == 2", 1, "unknown path in the context `span` `nam`"),
        ("resource.name == 2", 1, "unknown path in the context `resource` `name`"),
        (r#"name["a"] == 2"#, 6, "`name` cannot be indexed"),
        ("attributes[0] == nil", 12, "attributes are indexed by strings"),
        ("trace_state[0] == nil", 13, "a trace state is indexed by one string"),
        ("kind == SPAN_KIND_SERVR", 9, "unknown enum `SPAN_KIND_SERVR`"),
        ("IsMach(name)", 1, "unknown function `IsMach`"),
        ("SHA256(name) == name", 1, "function `SHA256` exists in the Collector, not here"),
        (r#"set(name, "a")"#, 1, "`set` is an editor: a condition cannot change data"),
        ("IsMatch(name)", 1, "`IsMatch` lacks its argument `pattern`"),
        (r#"IsMatch(name, "a", "b")"#, 20, "`IsMatch` has too many arguments"),
        (r#"IsMatch(name, regex="a")"#, 21, "`IsMatch` has no argument `regex`"),
        (r#"IsMatch(target=name, "a")"#, 22, "an argument without a name after one with a name"),
        (r#"HasPrefix(name, target="a")"#, 24, "argument `target` is given twice"),
        (r#"IsMatch(name, "(")"#, 1, "invalid regular expression: unclosed group"),
        (r#"HasPrefix(kind, "a")"#, 11, "argument `target` of `HasPrefix` is a string, not an int"),
        ("kind == 2 or name == 5", 14, "a string is never equal to an int"),
        (r#"trace_id == "0a""#, 1, "a trace id is never equal to a string"),
        ("attributes < {}", 1, "a map is neither more nor less than another"),
        ("name + 1 == 2", 8, "cannot calculate a string + an int"),
        ("-name == 2", 1, "a string has no opposite"),
        (r#"start_time > Duration("1x")"#, 14, "`1x` is not a duration such as `1m30s` or `200ms`"),
        (r#"Time("x", "%H") == start_time"#, 1, "a time's format needs a year, such as `%Y`"),
        (r#"IsInCIDR(name, ["10.0.0.0/33"])"#, 1, "`10.0.0.0/33` is not a network such as `10.0.0.0/8`"),
    ] {
        let mistake = mistake(source);
        assert_eq!((mistake.column, &*mistake.message), (column, message), "{source}");
    }
}

#[test]
fn help_names_what_was_meant_and_what_there_is() {
    for (source, help) in [
        ("nam == 2", "did you mean `name`? known are trace_id, trace_id.string, span_id"),
        ("IsMach(name)", "did you mean `IsMatch`? known are Bool, Coalesce, Concat"),
        ("SHA256(name) == name", "known are Bool, Coalesce"),
        ("kind == SPAN_KIND_SERVR", "did you mean `SPAN_KIND_SERVER`?"),
        (r#"not attributes["x"]"#, "compare it, as in `… == true` or `… != nil`"),
        (r#"trace_id == "0a""#, "write `TraceID(\"…\")`"),
        ("IsMatch(name)", "it is called as `IsMatch(target, pattern)`"),
        ("Trim()", "it is called as `Trim(target, replacement?)`"),
    ] {
        let given = mistake(source).help.unwrap_or_default();
        assert!(given.starts_with(help), "{source}: {given}");
    }
    let other_contexts = mistake("spanevent.name == name").help.unwrap_or_default();
    assert!(
        other_contexts.ends_with("start with span., resource., scope., instrumentation_scope."),
        "{other_contexts}"
    );
}

#[test]
fn hostile_texts_are_refused_without_harm() {
    for open in ["(", "[", "{\"a\":", "Len(", "attributes[", "not (", "-(", "1 + ("] {
        for depth in [65, 1_000, 20_000] {
            let message = mistake(&open.repeat(depth)).message;
            assert_eq!(message, "more than 64 brackets are open", "{open}");
        }
    }
    let nested = format!("{}true{}", "(".repeat(64), ")".repeat(64));
    assert!(Condition::parse(&nested, Context::Span).is_ok());
    let huge = r#"IsMatch(name, "(((a{100}){100}){100})")"#;
    assert!(mistake(huge).message.starts_with("invalid regular expression"), "{}", mistake(huge).message);
}

#[test]
fn long_texts_are_conditions_like_others() {
    for joint in [" or ", " and "] {
        let text = vec!["kind == 2"; 10_000].join(joint);
        assert!(Condition::parse(&text, Context::Span).is_ok());
    }
    assert!(Condition::parse(&format!("{} == kind", vec!["1"; 10_000].join(" + ")), Context::Span).is_ok());
}
