//! OTTL: no text harms the compiler, and no bytes harm what it makes.
//!
//! The text ends at the first zero byte; what follows is a span, a resource and a scope all at once. Two texts
//! asked together answer as each does alone.

#![no_main]

use forebay_ottl::{Condition, ConditionMask, ConditionSet, Context, Scratch, Subject};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_700_000_000_000_000_000;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let Ok(source) = std::str::from_utf8(&input[..end]) else {
        return;
    };
    let message = input.get(end + 1..).unwrap_or_default();
    let conditions: Vec<_> = [Context::Span, Context::SpanEvent]
        .into_iter()
        .filter_map(|context| parse(source, context))
        .collect();
    let alone: Vec<_> =
        conditions.iter().map(|condition| ask(std::slice::from_ref(condition), message)).collect();
    let mut together = vec![Vec::new(); conditions.len()];
    for (index, answer) in ask(&conditions, message) {
        together[index].push((0, answer));
    }
    assert_eq!(together, alone, "{source}");
});

fn parse(source: &str, context: Context) -> Option<Condition> {
    match Condition::parse(source, context) {
        Ok(condition) => Some(condition),
        Err(mistake) => {
            assert!((1..=source.chars().count() + 1).contains(&mistake.column), "{mistake}");
            None
        }
    }
}

fn ask(conditions: &[Condition], message: &[u8]) -> Vec<(usize, bool)> {
    let mut set = ConditionSet::default();
    for condition in conditions {
        set.add(condition.clone()).expect("there is room");
    }
    let envelope = set.envelope(message, message);
    let subject = Subject { span: message, envelope: &envelope, now_unix_nano: NOW };
    let mut told = Vec::new();
    set.evaluate(&subject, ConditionMask::ALL, &mut Scratch::default(), |index, answer| {
        told.push((index, answer.is_ok()));
    });
    told
}
