use super::*;

fn read(text: &str) -> (Option<Node>, Diagnostics) {
    let diagnostics = Diagnostics::new();
    let source = diagnostics.add_source("a.yaml", text);
    (parse(source, text, &diagnostics), diagnostics)
}

fn valid(text: &str) -> Node {
    let (node, diagnostics) = read(text);
    assert_eq!(diagnostics.render(false), "");
    node.unwrap()
}

/// The only finding, as `line:column+width severity: path: message`.
fn finding(text: &str) -> String {
    let (_, diagnostics) = read(text);
    let found = diagnostics.sorted();
    let [finding] = found.as_slice() else { panic!("{}", diagnostics.render(false)) };
    let at = finding.at.unwrap();
    format!("{}:{}+{} {finding}", at.line, at.column, at.width)
}

fn place(node: &Node) -> (u32, u32, u32) {
    (node.at.line, node.at.column, node.at.width)
}

#[test]
fn nothing_is_null() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n"] {
        assert!(valid(text).is_null(), "{text:?}");
    }
}

#[test]
fn values_know_their_places() {
    let root = valid("a: 1\nb:\n  - x\n  - {c: \"two words\"}\nd:\n");
    let Value::Map(entries) = &root.value else { panic!("{root:?}") };
    assert_eq!(entries.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!((entries[1].key_at.line, entries[1].key_at.column), (2, 1));
    assert_eq!(place(root.get("a").unwrap()), (1, 4, 1));
    let Value::List(items) = &root.get("b").unwrap().value else { panic!("{root:?}") };
    assert_eq!(place(&items[0]), (3, 5, 1));
    assert_eq!(place(items[1].get("c").unwrap()), (4, 9, 11));
    assert_eq!(place(root.get("d").unwrap()), (5, 1, 1), "an absent value is at its key");
}

#[test]
fn columns_count_characters() {
    assert_eq!(place(valid("{日本: é}").get("日本").unwrap()), (1, 6, 1));
}

#[test]
fn quoted_scalars_are_strings() {
    for text in ["'42'", "\"42\"", "|-\n  42", ">-\n  42", "!!str 42"] {
        assert!(matches!(valid(text).value, Value::String(ref value) if value == "42"), "{text:?}");
    }
}

#[test]
fn core_tags_say_the_type() {
    assert!(matches!(valid("!!int '42'").value, Value::Int(42)));
    assert!(matches!(valid("!!float 1").value, Value::Float(1.0)));
    assert!(matches!(valid("!!bool 'true'").value, Value::Bool(true)));
    assert!(valid("!!null ''").is_null());
    assert!(matches!(valid("!!seq [a]").value, Value::List(_)));
    assert!(matches!(valid("!!map {a: b}").value, Value::Map(_)));
    assert_eq!(finding("a: !!int x"), "1:4+7 error: a: this is no `!!int`");
}

#[test]
fn other_tags_are_refused() {
    assert_eq!(finding("a: !!binary QQ=="), "1:4+13 error: a: the tag `!!binary` is not supported here");
    assert_eq!(finding("a: !secret x"), "1:4+9 error: a: the tag `!secret` is not supported here");
    assert_eq!(finding("a: !!set {b: }"), "1:4+7 error: a: the tag `!!set` is not supported here");
}

#[test]
fn an_alias_is_what_its_anchor_was() {
    let root = valid("a: &x {b: 1}\nc: *x\nd: &y 5\ne: *y\n");
    assert!(matches!(root.get("c").unwrap().get("b").unwrap().value, Value::Int(1)));
    assert_eq!(place(root.get("c").unwrap()), (2, 4, 2));
    assert_eq!(place(root.get("c").unwrap().get("b").unwrap()), (1, 11, 1));
    assert!(matches!(root.get("e").unwrap().value, Value::Int(5)));
}

#[test]
fn an_alias_to_nothing_or_to_itself_is_refused() {
    assert!(finding("a: *x").starts_with("1:4+1 error: a: not YAML: "), "{}", finding("a: *x"));
    assert_eq!(finding("a: &x [*x]"), "1:8+2 error: a[0]: the alias stands inside of what it refers to");
    assert_eq!(finding("&a a: 1\n*a : 2"), "2:1+2 error: an alias cannot be a key");
}

#[test]
fn merge_keys_take_over_what_is_not_there() {
    let root = valid("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\n");
    let merged = root.get("z").unwrap();
    assert!(matches!(merged.get("a").unwrap().value, Value::Int(0)));
    assert!(matches!(merged.get("b").unwrap().value, Value::Int(2)));
    assert!(matches!(merged.get("c").unwrap().value, Value::Int(4)));
    assert!(merged.get("<<").is_none());
    assert!(valid("'<<': 1").get("<<").is_some());
    assert_eq!(finding("a:\n  <<: 1"), "2:3+2 error: a: `<<` takes a mapping or a list of mappings");
}

#[test]
fn a_key_twice_is_an_error_naming_both_places() {
    assert_eq!(
        finding("a:\n  b: 1\n  'b': 2\n"),
        "3:3+3 error: a: the key `b` is already on line 2, column 3"
    );
}

#[test]
fn a_key_must_be_a_word() {
    assert_eq!(finding("{a: 1}: b"), "1:1+1 error: a key must be a word, not a list or mapping");
    assert_eq!(finding(": b"), "1:1+1 error: a key is missing before the `:`");
    let long = format!("? {}\n: 1", "k".repeat(1001));
    assert_eq!(finding(&long), "1:3+1001 error: a key longer than 1000 characters");
}

#[test]
fn only_the_first_document_is_read() {
    let (node, _) = read("a: 1\n---\nb: 2\n");
    assert!(node.unwrap().get("b").is_none());
    assert_eq!(finding("a: 1\n---\nb: 2\n"), "2:1+3 warning: only the first YAML document is read");
    assert!(valid("---\na: 1\n").get("a").is_some());
}

#[test]
fn bad_syntax_is_placed() {
    assert_eq!(
        finding("a: 1\n b: 2\n"),
        "2:3+1 error: not YAML: mapping values are not allowed in this context"
    );
    assert_eq!(finding("a: [1, 2\nb: 3"), "2:2+1 error: a[1]: not YAML: illegal placement of ':' indicator");
    assert!(read("a: \"b").0.is_none());
    assert!(read("a\0b: 1").0.is_none());
}

#[test]
fn a_tab_in_the_indentation_gets_help() {
    let (_, diagnostics) = read("a:\n\tb: 1\n");
    assert_eq!(
        diagnostics.sorted()[0].help.as_deref(),
        Some("YAML is indented with spaces: replace the tab")
    );
}

#[test]
fn a_reference_within_brackets_needs_quotes() {
    for text in ["a: [b, ${env:X}]", "a: {b: ${env:X}}", "a: [${X}]"] {
        let (_, diagnostics) = read(text);
        let help = "within [ ] and { }, put `${…}` in quotes";
        assert_eq!(diagnostics.sorted()[0].help.as_deref(), Some(help), "{}", diagnostics.render(false));
    }
}

#[test]
fn brackets_that_go_on_must_be_indented() {
    let (_, diagnostics) = read("a: {\n  b: 1\n  }\nc: {\n}\n");
    let help = "what stands in brackets or quotes and goes on must be indented more than its key";
    assert_eq!(diagnostics.sorted()[0].help.as_deref(), Some(help));
    assert_eq!(diagnostics.sorted()[0].at.map(|at| at.line), Some(5));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    valid(&nested(DEEPEST));
    assert!(finding(&nested(DEEPEST + 1)).ends_with("nested more than 100 deep"));
    assert!(finding(&"- ".repeat(100_000)).ends_with("nested more than 100 deep"));
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..30 {
        let inner = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let message = "too large: with its aliases written out this takes more than 64 MiB";
    assert!(finding(&laughs).ends_with(message), "{}", finding(&laughs));
    let long = format!("a: &a '{}'\nb: [{}]", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    assert!(finding(&long).ends_with(message), "{}", finding(&long));
}

#[test]
fn crlf_and_missing_last_line_end_make_no_difference() {
    let root = valid("a: x\r\nb: y");
    assert!(matches!(root.get("a").unwrap().value, Value::String(ref text) if text == "x"));
    assert_eq!(place(root.get("b").unwrap()), (2, 4, 1));
}
