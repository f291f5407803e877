use super::*;
use crate::print;

fn environment(name: &str) -> Option<String> {
    match name {
        "CONFIG" => Some("receivers:\n  otlp:\n    protocols: [\n".to_owned()),
        "OVERRIDE" => Some("a: {b: '${X}'}".to_owned()),
        "X" => Some("9".to_owned()),
        _ => None,
    }
}

fn load(configs: &[&str], assignments: &[&str]) -> (Option<Node>, Diagnostics) {
    let loader = configs.iter().fold(Loader::new(environment), |loader, uri| loader.config(*uri));
    assignments.iter().fold(loader, |loader, assignment| loader.set(*assignment)).load()
}

fn merged(configs: &[&str], assignments: &[&str]) -> String {
    let (node, diagnostics) = load(configs, assignments);
    assert_eq!(diagnostics.render(false), "");
    print(&node.unwrap(), &|_| false)
}

fn failure(configs: &[&str], assignments: &[&str]) -> String {
    let (node, diagnostics) = load(configs, assignments);
    assert!(node.is_none());
    diagnostics.render(false)
}

#[test]
fn mappings_merge_deeply_and_everything_else_is_replaced() {
    let base = "yaml:{a: {b: 1, c: [1, 2], d: {e: 1}}, f: x}";
    let over = "yaml:{a: {c: [3], d: null, g: 2}, f: {h: 1}}";
    assert_eq!(merged(&[base, over], &[]), "a:\n  b: 1\n  c:\n    - 3\n  d: null\n  g: 2\nf:\n  h: 1\n");
}

#[test]
fn assignments_come_after_all_configurations() {
    let yaml = merged(&["yaml:{a: {b: 1}}"], &["a.b=2", "a.c=[x, z]", "d = {e: 5s}"]);
    assert_eq!(yaml, "a:\n  b: 2\n  c:\n    - x\n    - z\nd:\n  e: 5s\n");
    assert_eq!(merged(&["yaml:a: 1"], &["a="]), "a: null\n");
}

#[test]
fn double_colons_separate_keys() {
    let yaml = merged(&["yaml:processors::batch::timeout: 2s", "yaml:processors::batch/x::timeout: 3s"], &[]);
    assert_eq!(yaml, "processors:\n  batch:\n    timeout: 2s\n  batch/x:\n    timeout: 3s\n");
}

#[test]
fn references_are_expanded_after_merging() {
    assert_eq!(merged(&["yaml:{a: {b: '${NEVER_USED}'}}", "env:OVERRIDE"], &[]), "a:\n  b: 9\n");
    assert_eq!(merged(&["env:UNSET:-{a: 1}"], &["b=${env:X}"]), "a: 1\nb: 9\n");
}

#[test]
fn an_empty_source_changes_nothing() {
    assert_eq!(merged(&["yaml:", "yaml:a: 1", "yaml:# nothing"], &[]), "a: 1\n");
    assert_eq!(merged(&["yaml:"], &[]), "{}\n");
}

#[test]
fn files_are_read_by_path_and_by_scheme() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml").to_str().unwrap().to_owned();
    std::fs::write(&path, "a: 1\n").unwrap();
    assert_eq!(merged(&[&path], &[]), "a: 1\n");
    assert_eq!(merged(&[&format!("file:{path}")], &[]), "a: 1\n");
}

#[test]
fn positions_are_those_of_the_source_that_supplied_the_value() {
    let (node, diagnostics) = load(&["yaml:{a: {b: 1, c: 2}}", "yaml:{a: {c: x}}"], &["a.d=[y, z]"]);
    let node = node.unwrap();
    {
        let table = crate::Table::root(&node, &diagnostics);
        let a = table.table("a").unwrap();
        a.bool("b");
        a.bool("c");
        a.list("d").unwrap()[1].bool();
    }
    let places = diagnostics.sorted().iter().map(|d| d.at.unwrap()).collect::<Vec<_>>();
    assert_eq!(places.iter().map(|at| at.source.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(places.iter().map(|at| at.column).collect::<Vec<_>>(), [9, 9, 9]);
    assert_eq!(
        diagnostics.render(false).split("\n\n").nth(2).unwrap(),
        "error: a::d[1]: expected true or false, found the string \"z\"\n --> --set:1:9\n  |\n1 | a.d=[y, z]\n  |         ^"
    );
}

#[test]
fn a_source_that_cannot_be_read_yields_no_configuration() {
    assert!(failure(&["/no/such.yaml"], &[]).starts_with("error: cannot read /no/such.yaml: "));
    assert_eq!(
        failure(&["env:NO", "yaml:a: 1"], &[]),
        "error: environment variable `NO` is not set\n  = help: `--config env:NO` reads YAML from it\n\n1 error\n"
    );
    assert_eq!(
        failure(&[], &[]),
        "error: no configuration is given\n  = help: name a file: --config FILE\n\n1 error\n"
    );
    assert!(failure(&["https://example.com/a.yaml"], &[]).contains("fetch it to a file first"));
}

#[test]
fn all_broken_sources_are_reported_with_their_places() {
    let rendered = failure(&["env:CONFIG", "yaml:[a]"], &["a", "a..b=1", "a=[b"]);
    for part in [
        " --> env:CONFIG:",
        " --> yaml:1:1\n  |\n1 | [a]\n  | ^",
        "error: expected KEY=VALUE\n --> --set:1:1\n  |\n1 | a\n  | ^",
        "error: a key is empty\n --> --set:1:1\n  |\n1 | a..b=1\n  | ^^^^^^",
        "not YAML: ",
        "5 errors\n",
    ] {
        assert!(rendered.contains(part), "{part:?} is not in\n{rendered}");
    }
}

#[test]
fn a_broken_reference_leaves_the_rest_to_be_checked() {
    let (node, diagnostics) = load(&["yaml:{a: '${X:-1}', b: 2}"], &[]);
    assert!(node.unwrap().get("b").is_some());
    assert!(diagnostics.has_errors());
}

#[test]
fn a_source_that_is_too_large_is_refused() {
    let rendered = failure(&[&format!("yaml:a: {}", "x".repeat(1 << 20))], &[]);
    assert_eq!(rendered, "error: inline YAML is larger than 1 MiB\n\n1 error\n");
}
