use super::*;

fn keys(setting: &Setting) -> Vec<&str> {
    setting.keys.iter().flatten().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn what_a_reader_asks_for_is_there_with_its_type_and_default() {
    let found = survey(|table| {
        table.bool_or("enabled", true);
        table.integer_or("size", 1..=100_usize, 7);
        table.integer::<u16>("port", ..);
        table.float_or("weight", 0.0..=f64::MAX, 0.5);
        table.duration_or("timeout", Duration::from_millis(90_500));
        table.choice_or("mode", &[("a", 1), ("b", 2)], 2);
        table.accept("old", "it is gone");
    });
    assert_eq!(keys(&found), ["enabled", "size", "port", "weight", "timeout", "mode", "old"]);
    let of = |key| found.get(key).unwrap();
    assert_eq!(of("enabled").default, Some(Literal::Bool(true)));
    assert_eq!(of("size").scalars, [Scalar::Integer { min: Some(1), max: Some(100) }]);
    assert_eq!(of("size").default, Some(Literal::Int(7)));
    assert_eq!(of("port").scalars, [Scalar::Integer { min: Some(0), max: Some(65_535) }]);
    assert_eq!(of("weight").scalars, [Scalar::Number { min: Some(0.0), max: None }]);
    assert_eq!(of("timeout").default, Some(Literal::from("1m30s500ms")));
    assert_eq!(of("mode").scalars, [Scalar::Choice(vec!["a".to_owned(), "b".to_owned()])]);
    assert_eq!(of("mode").default, Some(Literal::from("b")));
    assert_eq!(of("old").why_idle(), Some("it is gone"));
}

#[test]
fn sections_and_lists_are_entered_though_nothing_is_there() {
    let found = survey(|table| {
        table.section("logs").string("level");
        table.table("tls").map(|tls| tls.bool("insecure"));
        for rule in table.tables("rules") {
            rule.strings("names");
        }
        table.map("headers");
    });
    assert!(found.get("logs").unwrap().section && !found.get("tls").unwrap().section);
    assert_eq!(keys(found.get("tls").unwrap()), ["insecure"]);
    let rule = found.get("rules").unwrap().item.as_ref().unwrap();
    let names = rule.get("names").unwrap();
    assert_eq!(names.item.as_ref().unwrap().scalars, [Scalar::String]);
    assert!(found.get("headers").unwrap().open);
}

#[test]
fn keys_behind_a_choice_are_found_however_deep() {
    fn policy(table: &Table<'_>, depth: usize) {
        let types =
            if depth == 0 { &[("latency", 0), ("status", 1)][..] } else { &[("latency", 0), ("not", 2)] };
        match table.choice("type", types) {
            Some(0) => drop(table.section("latency").integer::<u32>("threshold_ms", ..)),
            Some(1) => drop(table.section("status").strings("codes")),
            Some(_) => policy(&table.section("not"), depth - 1),
            None => {}
        }
    }
    let found = survey(|table| policy(table, 2));
    assert_eq!(keys(&found), ["type", "latency", "not"]);
    let innermost = found.get("not").and_then(|not| not.get("not")).unwrap();
    let mut inside = keys(innermost);
    inside.sort_unstable();
    assert_eq!(inside, ["latency", "status", "type"]);
}
