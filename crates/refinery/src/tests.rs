//! Rules files of every sampler and operator, and what becomes of them.

use std::fs;
use std::path::{Path, PathBuf};

use forebay_config::{Diagnostics, Table, read_document};

use super::*;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn document(name: &str) -> Document {
    Document::in_file(name, fs::read_to_string(testdata().join(name)).unwrap())
}

fn convert(text: &str) -> (String, Vec<String>) {
    let rules = Document { name: "rules".to_owned(), text: text.to_owned(), format: Format::Yaml };
    let conversion = Conversion::of(&rules, None);
    (conversion.yaml.clone(), conversion.lines())
}

/// The conditions that a rule with one condition has.
fn condition(condition: &str) -> (Vec<String>, Vec<String>) {
    let text = format!(
        "{{RulesVersion: 2, Samplers: {{__default__: {{RulesBasedSampler: {{Rules: \
         [{{Name: r, SampleRate: 1, Conditions: [{condition}]}}]}}}}}}}}"
    );
    let (yaml, notes) = convert(&text);
    (values(&yaml, "conditions"), notes)
}

/// The strings in the lists called `key` of a configuration's rules.
fn values(yaml: &str, key: &'static str) -> Vec<String> {
    read(yaml, |sampler| {
        let rules = sampler.tables("rules");
        rules
            .iter()
            .flat_map(|rule| {
                rule.entries();
                rule.strings(key).unwrap_or_default()
            })
            .collect()
    })
}

/// Runs `read` over the settings of the processor without a name.
fn read<T>(yaml: &str, read: impl FnOnce(&Table<'_>) -> T) -> T {
    read_document(&Diagnostics::new(), "yaml", yaml, |root| {
        root.entries();
        let processors = root.table("processors").unwrap();
        processors.entries();
        read(&processors.table("adaptive_tail_sampling").unwrap())
    })
}

/// Everything that a rules file can have, in both formats, against what was looked over once. To look it over again,
/// write the files anew with `BLESS=1`.
#[test]
fn rules_files_become_what_is_expected() {
    for (rules, config, expected) in [
        ("samplers.yaml", None, "samplers"),
        ("operators.yaml", None, "operators"),
        ("rules.toml", Some("config.yaml"), "rules"),
    ] {
        let config = config.map(document);
        let conversion = Conversion::of(&document(rules), config.as_ref());
        let found =
            [(conversion.lines().join("\n") + "\n", "notes"), (conversion.yaml.clone(), "converted.yaml")];
        for (text, ending) in found {
            let file = testdata().join(format!("{expected}.{ending}"));
            if std::env::var_os("BLESS").is_some() {
                fs::write(&file, &text).unwrap();
            }
            assert_eq!(text, fs::read_to_string(&file).unwrap(), "{}", file.display());
        }
        assert!(!conversion.notes.has_errors());
    }
}

#[test]
fn what_comes_of_rules_is_a_valid_processor() {
    for name in ["samplers.yaml", "operators.yaml", "rules.toml"] {
        let yaml = Conversion::of(&document(name), None).yaml;
        let diagnostics = Diagnostics::new();
        read_document(&diagnostics, name, &yaml, |root| {
            root.entries();
            for (_, processor) in root.table("processors").unwrap().entries() {
                let _ = forebay_samplers::adaptive::read(&processor.table().unwrap(), Default::default());
            }
        });
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    }
}

#[test]
fn a_field_is_looked_for_in_the_span_the_scope_and_the_resource() {
    let (conditions, notes) = condition("{Field: app.tier, Operator: '=', Value: gold}");
    let expected = r#"span.attributes["app.tier"] == "gold" or scope.attributes["app.tier"] == "gold" or resource.attributes["app.tier"] == "gold""#;
    assert_eq!((conditions, notes), (vec![expected.to_owned()], Vec::new()));
}

#[test]
fn a_negated_condition_asks_the_first_place_that_has_the_field() {
    for (theirs, ours) in [
        (
            "{Field: service.name, Operator: '!=', Value: a}",
            r#"(resource.attributes["service.name"] != nil and resource.attributes["service.name"] != "a")"#,
        ),
        (
            "{Fields: [service.name, host.name], Operator: not-in, Value: [a, b]}",
            r#"((resource.attributes["service.name"] != nil and not (String(resource.attributes["service.name"]) == "a" or String(resource.attributes["service.name"]) == "b")) or (resource.attributes["service.name"] == nil and ((resource.attributes["host.name"] != nil and not (String(resource.attributes["host.name"]) == "a" or String(resource.attributes["host.name"]) == "b")) or resource.attributes["host.name"] == nil)))"#,
        ),
        ("{Field: service.name, Operator: not-exists}", r#"resource.attributes["service.name"] == nil"#),
    ] {
        assert_eq!(condition(theirs), (vec![ours.to_owned()], Vec::new()), "{theirs}");
    }
}

#[test]
fn fields_of_honeycomb_are_fields_of_spans() {
    for (theirs, ours) in [
        (
            "{Field: duration_ms, Operator: '>', Value: 2.5}",
            "(span.end_time_unix_nano - span.start_time_unix_nano) > 2500000",
        ),
        ("{Field: name, Operator: starts-with, Value: GET}", r#"HasPrefix(String(span.name), "GET")"#),
        (
            "{Field: error, Operator: '=', Value: true, Datatype: bool}",
            "span.status.code == STATUS_CODE_ERROR",
        ),
        (
            "{Field: root.name, Operator: '=', Value: checkout}",
            r#"IsRootSpan() and (span.name == "checkout")"#,
        ),
        ("{Operator: has-root-span, Value: true}", "IsRootSpan()"),
    ] {
        assert_eq!(condition(theirs), (vec![ours.to_owned()], Vec::new()), "{theirs}");
    }
}

#[test]
fn a_condition_without_equivalent_takes_its_rule_along_and_says_where() {
    for (theirs, note) in [
        (
            "{Field: '?.NUM_DESCENDANTS', Operator: '>', Value: 10}",
            "Field: has no equivalent: `?.NUM_DESCENDANTS` is computed by Refinery, no part of the trace",
        ),
        (
            "{Operator: has-root-span, Value: false}",
            "Value: has no equivalent: no condition on a span says that the root is missing",
        ),
        (
            "{Fields: [a, root.b], Operator: exists}",
            "Fields: has no equivalent: some of the fields are the root's and some are any span's",
        ),
    ] {
        let (conditions, notes) = condition(theirs);
        assert_eq!(conditions, Vec::<String>::new());
        assert!(
            notes[0].starts_with("rules:1:") && notes.iter().any(|line| line.ends_with(note)),
            "{notes:?}"
        );
        assert!(
            notes.iter().any(|line| line.ends_with("is left out: one of its conditions has no equivalent"))
        );
    }
}

#[test]
fn without_rules_everything_is_kept_and_after_them_the_rest() {
    let (yaml, notes) =
        convert("{RulesVersion: 2, Samplers: {__default__: {RulesBasedSampler: {Rules: []}}}}");
    assert!(yaml.contains("- name: otherwise\n") && yaml.contains("type: always_sample"), "{yaml}");
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn mistakes_are_told_with_their_line() {
    let (_, notes) =
        convert("RulesVersion: 1\nSamplers:\n  __default__:\n    DynamicSampler:\n      SampleRate: 0\n");
    assert!(
        notes.iter().any(|line| line.starts_with("rules:1:15: error: RulesVersion: only version 2")),
        "{notes:?}"
    );
    assert!(notes.iter().any(|line| line.starts_with("rules:5:19: error: ")), "{notes:?}");
    let toml =
        Document { name: "rules.toml".to_owned(), text: "a = 1\nb = = 2\n".to_owned(), format: Format::Toml };
    let lines = Conversion::of(&toml, None).lines();
    assert!(lines[0].starts_with("rules.toml:2:5: error: is no TOML: "), "{lines:?}");
}
