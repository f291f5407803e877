//! Whatever the bytes, loading and reading ends with a configuration or a rendered complaint.

use forebay_config::{Cursor, Loader, Table, Value, is_sensitive, parse_duration, print, read_str};
use proptest::prelude::*;

/// Pieces of YAML, so that most texts get past the scanner.
fn yaml() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "key",
        ": ",
        ":\n",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&x ",
        "*x",
        "<<: ",
        "!!str ",
        "!t ",
        "# ",
        "---\n",
        "...\n",
        "? ",
        "~",
        "1",
        "0x1",
        "1.5",
        "2s",
        "${env:A}",
        "${A}",
        "${",
        "$$",
        "${env:B:-",
        "::",
        "é",
        "\r\n",
        "%",
        "@",
        "\u{feff}",
        "\u{0}",
        "\u{85}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn read_everything(table: &Table<'_>) {
    table.bool("a");
    table.string("key");
    table.accept("b", "it is a test");
    for (_, cursor) in table.entries() {
        read_as_everything(&cursor);
    }
    table.components();
}

fn read_as_everything(cursor: &Cursor<'_>) {
    let _ = (
        cursor.bool(),
        cursor.string(),
        cursor.integer::<u8>(1..),
        cursor.float(0.0..=1.0),
        cursor.duration(),
    );
    let _ = (cursor.choice(&[("a", 1), ("b", 2)]), cursor.strings(), cursor.map(), cursor.component_id());
    if let Some(table) = cursor.table() {
        read_everything(&table);
    }
    for item in cursor.list().unwrap_or_default() {
        read_as_everything(&item);
    }
}

fn load(text: &str, assignment: &str) {
    let environment = |name: &str| (name == "A").then(|| text.to_owned());
    let (node, diagnostics) = Loader::new(environment).config(format!("yaml:{text}")).set(assignment).load();
    match &node {
        Some(node) => {
            assert!(matches!(node.value, Value::Map(_)));
            read_everything(&Table::root(node, &diagnostics));
            let _ = print(node, &is_sensitive);
        }
        None => assert!(diagnostics.has_errors()),
    }
    assert_eq!(diagnostics.render(true).is_empty(), diagnostics.is_empty());
}

proptest! {
    #[test]
    fn any_text(text in any::<String>(), assignment in any::<String>()) {
        load(&text, &assignment);
    }

    #[test]
    fn anything_like_yaml(text in yaml(), assignment in yaml()) {
        load(&text, &format!("a.b={assignment}"));
        read_str(&text, read_everything);
    }

    #[test]
    fn any_bytes_in_a_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let (node, diagnostics) = Loader::new(|_| None).config(path).load();
        assert!(node.is_some() || diagnostics.has_errors());
        let _ = diagnostics.render(false);
        let including = format!("yaml:{{a: '${{file:{path}}}', b: 'x${{file:{path}}}'}}");
        let _ = Loader::new(|_| None).config(including).load().1.render(false);
    }

    #[test]
    fn any_duration(text in "[-+]?[0-9.]{0,30}(h|m|s|ms|us|µs|ns|)[0-9.a-z]{0,5}") {
        if let Ok(duration) = parse_duration(&text) {
            assert!(duration.as_nanos() <= i64::MAX.unsigned_abs().into());
        }
    }
}
