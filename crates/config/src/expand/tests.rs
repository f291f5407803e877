use super::*;
use crate::{Table, read_str};

const VARIABLES: [(&str, &str); 24] = [
    ("HOST", "localhost"),
    ("PORT", "4317"),
    ("OCTAL", "0042"),
    ("QUOTED", "\"0123\""),
    ("HEX", "0xff"),
    ("BOOL", "true"),
    ("COMMENTED", "true # not ${env:hello.world}"),
    ("NULL", "null"),
    ("EMPTY", ""),
    ("BROKEN", "[\"a\","),
    ("IPV6", "1111:1111::"),
    ("MAP", "{grpc: {endpoint: 0.0.0.0:4317}, list: [1, x]}"),
    ("LIST", "[a, '${HOST}']"),
    ("INDIRECT", "${env:PORT}"),
    ("WRAPPED", "<${env:INDIRECT}>"),
    ("DOLLARS", "pa$$word"),
    ("ESCAPED", "$${env:PORT}"),
    ("SELF", "${env:SELF}"),
    ("PING", "a${env:PONG}"),
    ("PONG", "b${env:PING}"),
    ("NAME", "PORT"),
    ("DEEP", "{a: {b: {c: \"${env:DEEP}\"}}}"),
    ("DOUBLE", "${env:TWICE}${env:TWICE}"),
    ("TWICE", "${env:DOUBLE}${env:DOUBLE}"),
];

fn environment(name: &str) -> Option<String> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Expands `v: {yaml}` and reads it.
fn expanded<T>(yaml: &str, read: impl FnOnce(&Table<'_>) -> T) -> (T, Vec<String>) {
    let text = format!("v: {yaml}\n");
    let diagnostics = Diagnostics::new();
    let node = parse::parse(diagnostics.add_source("a.yaml", text.as_str()), &text, &diagnostics).unwrap();
    let node = Expander::new(&environment, &diagnostics).expand(node);
    let value = {
        let table = Table::root(&node, &diagnostics);
        table.get("v");
        read(&table)
    };
    (value, diagnostics.sorted().iter().map(ToString::to_string).collect())
}

fn string(yaml: &str) -> String {
    let (text, found) = expanded(yaml, |t| t.string("v"));
    assert_eq!(found, Vec::<String>::new(), "{yaml}");
    text.unwrap_or_else(|| panic!("{yaml} is no string"))
}

fn findings(yaml: &str) -> Vec<String> {
    expanded(yaml, |_| ()).1
}

#[test]
fn a_whole_scalar_takes_its_type_from_the_value_even_within_quotes() {
    for yaml in
        ["${env:PORT}", "\"${env:PORT}\"", "'${PORT}'", "${env:INDIRECT}", "${yaml:4317}", "${env:NO:-4317}"]
    {
        assert_eq!(expanded(yaml, |t| t.integer::<u16>("v", ..)), (Some(4317), vec![]), "{yaml}");
    }
    assert_eq!(expanded("${env:BOOL}", |t| t.bool("v")), (Some(true), vec![]));
    assert_eq!(expanded("${env:OCTAL}", |t| t.integer::<u16>("v", ..)), (Some(34), vec![]));
}

#[test]
fn a_string_field_gets_the_text_that_was_there() {
    for (yaml, text) in [
        ("${env:OCTAL}", "0042"),
        ("${env:HEX}", "0xff"),
        ("${env:BOOL}", "true"),
        ("${env:NULL}", "null"),
        ("${env:QUOTED}", "\"0123\""),
        ("${env:BROKEN}", "[\"a\","),
        ("${env:IPV6}", "1111:1111::"),
        ("${env:MAP}", "{grpc: {endpoint: 0.0.0.0:4317}, list: [1, x]}"),
    ] {
        assert_eq!(string(yaml), text, "{yaml}");
    }
}

#[test]
fn within_text_a_reference_is_text() {
    assert_eq!(string("http://${env:HOST}:${PORT}/x"), "http://localhost:4317/x");
    assert_eq!(string("n${env:OCTAL}"), "n0042");
    assert_eq!(string("a ${env:WRAPPED} b"), "a <4317> b");
    assert_eq!(string("\"${env:PORT} \""), "4317 ");
    assert_eq!(string("=${env:EMPTY}="), "==");
}

#[test]
fn dollars_alone_are_text_and_doubled_ones_escape() {
    for (yaml, text) in [
        ("$HOST", "$HOST"),
        ("a$", "a$"),
        ("$${env:PORT}", "${env:PORT}"),
        ("$${HOST} ${env:PORT}", "${HOST} 4317"),
        ("$$$${env:PORT}", "$${env:PORT}"),
        ("$$${env:PORT}", "$4317"),
        ("${env:DOLLARS}", "pa$word"),
        ("${env:ESCAPED}", "${env:PORT}"),
        ("x${env:ESCAPED}", "x${env:PORT}"),
    ] {
        assert_eq!(string(yaml), text, "{yaml}");
    }
}

#[test]
fn defaults_apply_only_to_variables_that_are_not_set() {
    assert_eq!(string("${env:HOST:-other}"), "localhost");
    assert_eq!(string("${env:NO:-other}"), "other");
    assert_eq!(string("${env:NO:-${env:HOST}}"), "localhost");
    assert_eq!(string("${env:NO:-a:-b}"), "a:-b");
    assert_eq!(string("${env:NO:-}"), "");
    assert_eq!(string("${env:${NAME}}"), "4317");
    assert_eq!(expanded("${env:EMPTY:-5}", |t| t.integer::<u16>("v", ..)), (None, vec![]));
}

#[test]
fn a_variable_that_is_not_set_is_null_with_a_warning() {
    let warning = vec!["warning: v: environment variable `NO` is not set".to_owned()];
    assert_eq!(expanded("${env:NO}", |t| t.get("v").unwrap().is_null()), (true, warning.clone()));
    assert_eq!(expanded("=${NO}=", |t| t.string("v")), (Some("==".to_owned()), warning));
}

#[test]
fn mappings_and_lists_are_put_in_place_and_expanded_in_turn() {
    let (endpoint, found) = expanded("${env:MAP}", |t| {
        let map = t.table("v").unwrap();
        map.list("list");
        map.table("grpc").unwrap().string("endpoint")
    });
    assert_eq!((endpoint.as_deref(), found), (Some("0.0.0.0:4317"), vec![]));
    let (list, found) = expanded("${env:LIST}", |t| t.strings("v"));
    assert_eq!((list.unwrap(), found), (vec!["a".to_owned(), "localhost".to_owned()], vec![]));
}

#[test]
fn keys_are_not_expanded() {
    let (keys, _) = expanded("{'${HOST}': 1}", |t| t.table("v").unwrap().entries().remove(0).0);
    assert_eq!(keys, "${HOST}");
}

#[test]
fn what_is_no_reference_is_an_error_with_help() {
    for (yaml, message, help) in [
        (
            "${HOST:-x}",
            "`HOST:` is no source of configuration",
            "a default needs the scheme: write `${env:HOST:-x}`",
        ),
        (
            "${1}",
            "`1` is no name of an environment variable",
            "a name has letters, digits and `_` and does not begin with a digit",
        ),
        ("${http://x}", "`http:` is no source of configuration", "fetch it to a file first, and name that"),
        ("${vault:x}", "`vault:` is no source of configuration", "known: env, file, yaml"),
    ] {
        let (_, diagnostics) = read_str("", |_| ());
        let text = format!("v: {yaml}");
        let node =
            parse::parse(diagnostics.add_source("a.yaml", text.as_str()), &text, &diagnostics).unwrap();
        assert!(Expander::new(&environment, &diagnostics).expand(node).get("v").unwrap().is_null());
        let found = diagnostics.sorted();
        assert_eq!((found[0].message.as_str(), found[0].help.as_deref()), (message, Some(help)), "{yaml}");
    }
    assert_eq!(findings("${env:A$B}"), ["error: v: `$` cannot stand within `${env:A$B}`"]);
}

#[test]
fn a_brace_that_is_never_closed_is_text_with_a_warning() {
    let (text, found) = expanded("${env:HOST", |t| t.string("v"));
    assert_eq!(text.as_deref(), Some("${env:HOST"));
    assert_eq!(found, ["warning: v: a `${` is never closed and is taken as text"]);
}

#[test]
fn references_to_themselves_and_multiplying_ones_end() {
    let deep = ["error: v: values and references are nested more than 100 deep"];
    assert_eq!(findings("${env:SELF}"), deep);
    assert_eq!(findings("${env:PING}"), deep);
    assert!(findings("${env:DEEP}")[0].ends_with("are nested more than 100 deep"));
    assert!(findings("${env:DOUBLE}").iter().any(|found| found.ends_with("takes more than 64 MiB")));
    let nested = findings(&format!("{}HOST{}", "${env:".repeat(200), "}".repeat(200)));
    assert!(nested.contains(&deep[0].to_owned()), "{nested:?}");
}

#[test]
fn findings_point_at_the_reference_and_do_not_quote_its_value() {
    let text = "v: a ${env:NO} ${HOST}\nw: ${env:HOST}\nx: {y: '${env:MAP}'}\n";
    let diagnostics = Diagnostics::new();
    let node = parse::parse(diagnostics.add_source("a.yaml", text), text, &diagnostics).unwrap();
    let node = Expander::new(&environment, &diagnostics).expand(node);
    {
        let table = Table::root(&node, &diagnostics);
        table.bool("v");
        table.bool("w");
        let map = table.table("x").unwrap().table("y").unwrap();
        map.bool("grpc");
        map.list("list");
    }
    let rendered = diagnostics.render(false);
    let expected = "\
error: v: expected true or false, found a string
 --> a.yaml:1:4
  |
1 | v: a ${env:NO} ${HOST}
  |    ^^^^^^^^^^^^^^^^^^^
  = note: the value comes from environment variable `NO` and environment variable `HOST`

warning: v: environment variable `NO` is not set
 --> a.yaml:1:6
  |
1 | v: a ${env:NO} ${HOST}
  |      ^^^^^^^^^
  = help: set it, or give a default: `${env:NO:-…}`

error: w: expected true or false, found a string
 --> a.yaml:2:4
  |
2 | w: ${env:HOST}
  |    ^^^^^^^^^^^
  = note: the value comes from environment variable `HOST`

error: x::y::grpc: expected true or false, found the mapping {..}
 --> a.yaml:3:9
  |
3 | x: {y: '${env:MAP}'}
  |         ^^^^^^^^^^
  = note: the value comes from environment variable `MAP`

3 errors, 1 warning
";
    assert_eq!(rendered, expected);
}

#[test]
fn files_give_scalars_without_their_last_line_end_and_blocks_with_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = file("token", "s3cret\r\n");
    assert_eq!(string(&format!("${{file:{token}}}")), "s3cret");
    assert_eq!(string(&format!("Bearer ${{file:{token}}}")), "Bearer s3cret");

    let block = file("block.yaml", "host: ${HOST}\nport: x\n");
    let text = format!("v: ${{file:{block}}}\n");
    let diagnostics = Diagnostics::new();
    let node = parse::parse(diagnostics.add_source("a.yaml", text.as_str()), &text, &diagnostics).unwrap();
    let node = Expander::new(&environment, &diagnostics).expand(node);
    {
        let table = Table::root(&node, &diagnostics).table("v").unwrap();
        assert_eq!(table.string("host").as_deref(), Some("localhost"));
        table.integer::<u16>("port", ..);
    }
    assert!(diagnostics.render(false).contains("block.yaml:2:7"), "{}", diagnostics.render(false));

    let broken = file("broken.yaml", "host: a\nport: [1,\n");
    let text = format!("v: ${{file:{broken}}}\n");
    let diagnostics = Diagnostics::new();
    let node = parse::parse(diagnostics.add_source("a.yaml", text.as_str()), &text, &diagnostics).unwrap();
    let node = Expander::new(&environment, &diagnostics).expand(node);
    Table::root(&node, &diagnostics).table("v");
    let note = "broken.yaml, which is text and not YAML (see its line 3)";
    assert!(diagnostics.render(false).contains(note), "{}", diagnostics.render(false));

    let missing = findings("${file:/no/such/file}");
    assert!(missing[0].starts_with("error: v: cannot read /no/such/file: "), "{missing:?}");
}
