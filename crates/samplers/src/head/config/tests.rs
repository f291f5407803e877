use forebay_config::read_str;

use super::*;
use crate::testing::findings;

fn read(yaml: &str) -> (ProbabilisticConfig, Vec<String>) {
    let (config, diagnostics) = read_str(yaml, ProbabilisticConfig::read);
    (config, findings(&diagnostics))
}

#[test]
fn settings_and_their_defaults_are_the_collectors() {
    let (config, found) = read("sampling_percentage: 15");
    assert_eq!(config, ProbabilisticConfig { sampling_percentage: 15.0, ..ProbabilisticConfig::default() });
    assert_eq!(
        (config.mode, config.fail_closed, config.sampling_precision, config.hash_seed),
        (Mode::HashSeed, true, 4, 0)
    );
    assert_eq!(found, Vec::<String>::new());
    let all = "{mode: hash_seed, sampling_percentage: 0.5, hash_seed: 4294967295, fail_closed: false, sampling_precision: 14, \
               attribute_source: record, from_attribute: user.id, sampling_priority: priority}";
    let (config, found) = read(all);
    assert_eq!(
        config,
        ProbabilisticConfig {
            mode: Mode::HashSeed,
            sampling_percentage: 0.5,
            hash_seed: u32::MAX,
            fail_closed: false,
            sampling_precision: 14,
            hashes_trace_id: false,
            from_attribute: "user.id".to_owned(),
            sampling_priority: "priority".to_owned(),
        }
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn mistakes_are_reported() {
    for (yaml, mistake) in [
        (
            "{sampling_percentage: 5, mode: proportionl}",
            "error: mode: expected one of hash_seed, proportional, equalizing, found the string \"proportionl\" (did you mean `proportional`?)",
        ),
        ("sampling_percentage: -1", "error: sampling_percentage: expected a number"),
        ("sampling_percentage: .inf", "error: sampling_percentage: expected a number"),
        ("sampling_percentage: 1.0e-60", "error: sampling_percentage: is below 2^-56"),
        (
            "{sampling_percentage: 5, attribute_source: span}",
            "error: attribute_source: expected one of traceID, record, found the string \"span\"",
        ),
        ("sampling_percentage: 1.0e-20", "error: sampling_percentage: is below 2^-56"),
        (
            "{sampling_percentage: 5, sampling_precision: 0}",
            "error: sampling_precision: expected an integer from 1 to 14",
        ),
        (
            "{sampling_percentage: 5, sampling_precision: 15}",
            "error: sampling_precision: expected an integer from 1 to 14",
        ),
        ("{sampling_percentage: 5, hash_seed: -1}", "error: hash_seed: expected an integer"),
        (
            "{sampling_percentage: 5, hash_seeed: 1}",
            "error: unknown key `hash_seeed` (did you mean `hash_seed`?",
        ),
    ] {
        let (_, found) = read(yaml);
        assert!(found.iter().any(|finding| finding.starts_with(mistake)), "{found:?}");
        assert_eq!(found.iter().filter(|finding| finding.starts_with("error")).count(), 1, "{found:?}");
    }
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let (_, found) = read("{}");
    assert_eq!(
        found,
        ["warning: sampling_percentage: is 0: only what has a sampling priority above 0 is kept"]
    );
    let (_, found) =
        read("{mode: equalizing, sampling_percentage: 5, attribute_source: record, from_attribute: a}");
    assert_eq!(
        found,
        [
            "warning: attribute_source: has no effect: only mode `hash_seed` hashes attributes",
            "warning: from_attribute: has no effect: only mode `hash_seed` hashes attributes",
        ]
    );
    let (_, found) = read("{sampling_percentage: 5, attribute_source: record}");
    assert_eq!(
        found,
        [
            "warning: attribute_source: is `record`, but there is no `from_attribute`: log records have nothing to be chosen by"
        ]
    );
}
