use super::*;
use crate::{SourceId, Table};

const GATEWAY: &str = "\
processors:
  tail_sampling:
    decison_wait: 10
    policies:
      - name: slow
        type: latncy
      - type: always_sample
";

/// The findings of a small reader over [`GATEWAY`].
fn read() -> Diagnostics {
    let diagnostics = Diagnostics::new();
    let source = diagnostics.add_source("gateway.yaml", GATEWAY);
    let node = crate::parse::parse(source, GATEWAY, &diagnostics).unwrap();
    {
        let root = Table::root(&node, &diagnostics);
        let sampler = root.table("processors").unwrap().table("tail_sampling").unwrap();
        sampler.duration("decision_wait");
        sampler.integer::<u32>("num_traces", 1..);
        for policy in sampler.tables("policies") {
            policy.require("name", policy.string("name"));
            policy.choice("type", &[("always_sample", 1), ("latency", 2)]);
        }
    }
    diagnostics
}

#[test]
fn findings_are_shown_in_order_with_the_line_the_place_and_help() {
    let expected = "\
error: processors::tail_sampling: unknown key `decison_wait`
 --> gateway.yaml:3:5
  |
3 |     decison_wait: 10
  |     ^^^^^^^^^^^^
  = help: did you mean `decision_wait`? known: decision_wait, num_traces, policies

error: processors::tail_sampling::policies[0]::type: expected one of always_sample, latency, found the string \"latncy\"
 --> gateway.yaml:6:15
  |
6 |         type: latncy
  |               ^^^^^^
  = help: did you mean `latency`?

error: processors::tail_sampling::policies[1]: `name` is required
 --> gateway.yaml:7:9
  |
7 |       - type: always_sample
  |         ^

3 errors
";
    assert_eq!(read().render(false), expected);
}

#[test]
fn color_changes_nothing_but_the_style() {
    let colored = read().render(true);
    assert!(colored.contains("\x1b[1;31merror\x1b[0m\x1b[1m: processors::tail_sampling: unknown key"));
    let plain =
        [RED, BLUE, BOLD, YELLOW, "\x1b[0m"].iter().fold(colored, |text, style| text.replace(style, ""));
    assert_eq!(plain, read().render(false));
}

#[test]
fn nothing_found_is_nothing_shown() {
    assert_eq!(Diagnostics::new().render(true), "");
}

#[test]
fn a_finding_without_a_place_has_no_snippet() {
    let diagnostics = Diagnostics::new();
    diagnostics.add(Diagnostic::warning("", "no file").help("name one"));
    assert_eq!(diagnostics.render(false), "warning: no file\n  = help: name one\n\n1 warning\n");
}

#[test]
fn the_gutter_is_as_wide_as_the_line_number() {
    let diagnostics = Diagnostics::new();
    let source = diagnostics.add_source("a", "\n".repeat(99) + "key: value");
    diagnostics.error(
        Location { line: 100, column: 6, width: 5, ..Location::start_of(source) },
        "key",
        "wrong",
    );
    let expected =
        "error: key: wrong\n   --> a:100:6\n    |\n100 | key: value\n    |      ^^^^^\n\n1 error\n";
    assert_eq!(diagnostics.render(false), expected);
}

#[test]
fn the_same_finding_is_shown_once() {
    let diagnostics = Diagnostics::new();
    for message in ["a", "b", "a"] {
        diagnostics.warning(Location::start_of(SourceId(0)), "", message);
    }
    assert!(diagnostics.render(false).ends_with("2 warnings\n"));
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let diagnostics = Diagnostics::new();
    let line = format!("{}HERE{}", "a".repeat(1000), "b".repeat(1000));
    let source = diagnostics.add_source("a", line);
    diagnostics.error(Location { column: 1001, width: 4, ..Location::start_of(source) }, "", "wrong");
    let rendered = diagnostics.render(false);
    let lines = rendered.lines().collect::<Vec<_>>();
    assert!(lines[3].starts_with("1 | …aaa") && lines[3].ends_with("bbb…"), "{rendered}");
    assert!(lines[3].chars().count() < 150);
    let caret = lines[4].find('^').unwrap();
    assert_eq!(lines[3].chars().skip(caret).take(4).collect::<String>(), "HERE");
    assert_eq!(lines[4].matches('^').count(), 4);
}

#[test]
fn a_place_past_the_end_of_its_source_is_still_named() {
    let diagnostics = Diagnostics::new();
    let source = diagnostics.add_source("a", "x");
    diagnostics.error(Location { column: 9, width: 9, ..Location::start_of(source) }, "", "one");
    diagnostics.error(Location { line: 9, ..Location::start_of(source) }, "", "two");
    let expected = "error: one\n --> a:1:9\n  |\n1 | x\n  |  ^\n\nerror: two\n --> a:9:1\n\n2 errors\n";
    assert_eq!(diagnostics.render(false), expected);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let diagnostics = Diagnostics::new();
    let source = diagnostics.add_source("a\x1b[2J", "x\x1b[2J\ty");
    diagnostics.add(Diagnostic::error("p\x07", "m\x1b").help("h\x1b").at(Location::start_of(source)));
    assert!(!diagnostics.render(false).contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn the_hundredth_finding_is_the_last_one_shown() {
    let diagnostics = Diagnostics::new();
    for number in 0..250 {
        diagnostics.add(Diagnostic::error("", number.to_string()));
    }
    let rendered = diagnostics.render(false);
    assert_eq!(rendered.matches("error: ").count(), 100);
    assert!(rendered.ends_with("250 errors (the first 100 are shown)\n"));
}
