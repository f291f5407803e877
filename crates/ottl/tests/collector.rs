//! What the Collector answers, and what Forebay does: `testdata/expected.jsonl` was written by the program in
//! `testdata/generate`, which asks the Collector's own code.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod spans;

use forebay_ottl::{Condition, Context};
use serde::Deserialize;

use spans::{Span, ask, events, spans};

/// What the Collector said of one condition.
#[derive(Deserialize)]
struct Expected {
    context: String,
    condition: String,
    /// Why it is no condition.
    #[serde(default)]
    invalid: String,
    /// `true`, `false`, `error` or `panic` for each span, or for each event of each span.
    #[serde(default)]
    answers: Vec<String>,
}

/// Conditions that the Collector takes and that can only be a mistake: they compare or calculate with types
/// that never fit, and are false or fail for every span.
const REFUSED: &[(&str, &str)] = &[
    ("span", r#"name == 5"#),
    ("span", r#"trace_id == "0102030405060708090a0b0c0d0e0f10""#),
    ("span", r#"trace_id == 0x0102030405060708090a0b0c0d0e0f10"#),
    ("span", r#"kind == "Server""#),
    ("span", r#"start_time > 5"#),
    ("span", r#"status == 2"#),
    ("span", r#"attributes > {}"#),
    ("span", r#"trace_id < trace_id"#),
    ("span", r#"HasPrefix(kind, "2")"#),
    ("span", r#"name + 1 == 2"#),
    ("span", r#"Duration("soon") < Duration("1s")"#),
    ("span", r#"Len(name)"#),
    ("span", r#"Len(events) > 1 and HasPrefix(kind, "2")"#),
    ("span", r#"IsRootSpan(name)"#),
    ("span", r#"attributes[0] == nil"#),
    ("span", r#"trace_state[name] == nil"#),
    ("span", r#"Hex(span_id) == "x""#),
];

/// Conditions that the Collector does not take, though what they mean is plain.
const ACCEPTED: &[(&str, &str)] = &[
    // A key that starts with a number is read as that number alone.
    ("span", r#"attributes["tags"][1 + 1] == 2.5"#),
    // Parentheses are for calculations.
    ("span", r#"("a") == "a""#),
    ("span", r#"IsString(5)"#),
    // Regular expressions that Go does not know.
    ("span", r#"IsMatch(attributes["text"], "(?i)\\u0130")"#),
    ("span", r#"IsMatch(attributes["lines"], "a++")"#),
    ("span", r#"Coalesce([]) == nil"#),
    // The function is known for spans, but not for their events.
    ("spanevent", r#"IsRootSpan()"#),
];

/// Conditions that are answered otherwise, with our answers.
const DIFFERENT: &[(&str, &str)] = &[
    // A list of events without any is not empty to the Collector.
    (r#"IsEmpty(events)"#, "false false true true"),
    // What `Split` returns is not equal to any list, and comparing two of them panics.
    (r#"Split(name, " ") == ["SELECT", "orders"]"#, "false true false false"),
    (r#"Split(name, " ") == Split(name, " ")"#, "true true true true"),
    // An id as text is a list of numbers.
    (r#"String(trace_id) == "0102030405060708090a0b0c0d0e0f10""#, "true true true false"),
    // A map within a list is not equal to itself written out.
    (r#"attributes["nested"]["a"] == [7, {"deep": true}]"#, "true false false false"),
];

fn expected() -> impl Iterator<Item = Expected> {
    include_str!("../testdata/expected.jsonl").lines().map(|line| serde_json::from_str(line).unwrap())
}

fn context(name: &str) -> Context {
    if name == "span" { Context::Span } else { Context::SpanEvent }
}

/// What asking of each span is to tell, by what the Collector answers: see [`ask`].
fn telling(answers: &[String], context: Context, spans: &[Span]) -> Vec<Vec<String>> {
    let mut answers = answers.iter();
    let of_span = |span| {
        let asked = if context == Context::Span { 1 } else { events(span) };
        let mut told: Vec<_> =
            answers.by_ref().take(asked).filter(|answer| *answer != "false").cloned().collect();
        told.truncate(told.iter().position(|answer| answer == "true").map_or(told.len(), |first| first + 1));
        told
    };
    spans.iter().map(of_span).collect()
}

#[test]
fn conditions_are_answered_as_the_collector_answers_them() {
    let spans = spans(include_str!("../testdata/spans.json"));
    let mut wrong = Vec::new();
    let mut answered = 0;
    for Expected { context: name, condition: source, invalid, answers } in expected() {
        let condition = match Condition::parse(&source, context(&name)) {
            Ok(condition) => condition,
            Err(error) => {
                if invalid.is_empty() != REFUSED.contains(&(&*name, &*source)) {
                    wrong.push(format!("{name}: {source}\n  is not taken: {error}"));
                }
                continue;
            }
        };
        if REFUSED.contains(&(&*name, &*source))
            || invalid.is_empty() == ACCEPTED.contains(&(&*name, &*source))
        {
            wrong.push(format!("{name}: {source}\n  is taken; theirs: {invalid}"));
        }
        if !invalid.is_empty() {
            continue;
        }
        answered += answers.len();
        let theirs = telling(&answers, context(&name), &spans);
        let different = DIFFERENT.iter().find(|(other, _)| *other == source);
        let wanted = different.map_or_else(
            || theirs.clone(),
            |(_, answers)| {
                let answers: Vec<_> = answers.split(' ').map(str::to_owned).collect();
                telling(&answers, context(&name), &spans)
            },
        );
        let ours: Vec<_> = spans.iter().map(|span| ask(&condition, span)).collect();
        if ours != wanted || different.is_some() && theirs == wanted {
            wrong.push(format!("{name}: {source}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(answered > 2000, "{answered}");
}
