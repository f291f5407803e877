use forebay_config::read_str;
use serde_json::{Value, json};

use super::*;

fn read(text: &str) -> (Strategies, String) {
    let (strategies, diagnostics) = read_str(text, |table| Strategies::read(table, DEFAULT_PROBABILITY));
    (strategies, diagnostics.render(false))
}

fn told(strategies: &Strategies, service: &str) -> Value {
    serde_json::from_slice(&strategies.of(service).json).unwrap()
}

/// The probabilities by operation, the default under "".
fn probabilities(strategies: &Strategies, service: &str) -> HashMap<String, f64> {
    let told = told(strategies, service);
    let operations = &told["operationSampling"];
    let listed = operations["perOperationStrategies"].as_array().unwrap().iter().map(|operation| {
        let name = operation["operation"].as_str().unwrap();
        (name.to_owned(), operation["probabilisticSampling"]["samplingRate"].as_f64().unwrap())
    });
    listed.chain([(String::new(), operations["defaultSamplingProbability"].as_f64().unwrap())]).collect()
}

/// The example of Jaeger's documentation, with its tabs.
const JAEGER: &str = "{
\t\"service_strategies\": [
\t\t{
\t\t\t\"service\": \"foo\", \"type\": \"probabilistic\", \"param\": 0.8,
\t\t\t\"operation_strategies\": [
\t\t\t\t{ \"operation\": \"op1\", \"type\": \"probabilistic\", \"param\": 0.2 },
\t\t\t\t{ \"operation\": \"op2\", \"type\": \"probabilistic\", \"param\": 0.4 }
\t\t\t]
\t\t},
\t\t{ \"service\": \"bar\", \"type\": \"ratelimiting\", \"param\": 5 },
\t\t{ \"service\": \"baz\", \"type\": \"probabilistic\", \"param\": 1 }
\t],
\t\"default_strategy\": {
\t\t\"type\": \"probabilistic\", \"param\": 0.5,
\t\t\"operation_strategies\": [
\t\t\t{ \"operation\": \"/health\", \"type\": \"probabilistic\", \"param\": 0.0 },
\t\t\t{ \"operation\": \"op1\", \"type\": \"probabilistic\", \"param\": 0.9 }
\t\t]
\t}
}
";

#[test]
fn services_inherit_the_operations_that_they_do_not_list() {
    let (strategies, findings) = read(JAEGER);
    assert_eq!(findings, "");
    let expect = |service: &str, expected: &[(&str, f64)]| {
        let expected =
            expected.iter().map(|(name, probability)| ((*name).to_owned(), *probability)).collect();
        assert_eq!(probabilities(&strategies, service), expected, "{service}");
    };
    expect("foo", &[("", 0.8), ("op1", 0.2), ("op2", 0.4), ("/health", 0.0)]);
    expect("baz", &[("", 1.0), ("op1", 0.9), ("/health", 0.0)]);
    expect("unheard of", &[("", 0.5), ("op1", 0.9), ("/health", 0.0)]);
}

#[test]
fn a_rate_limit_is_not_made_void_by_inherited_operations() {
    let (strategies, _) = read(JAEGER);
    assert_eq!(
        told(&strategies, "bar"),
        json!({"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 5}})
    );
}

#[test]
fn operations_beside_a_rate_limit_have_jaegers_default_and_a_warning() {
    let (strategies, findings) = read(
        "service_strategies: [{service: a, type: ratelimiting, param: 5, operation_strategies: \
         [{operation: b, type: probabilistic, param: 1}]}]",
    );
    assert!(findings.contains("warning") && findings.contains("ignore the rate limit"), "{findings}");
    assert_eq!(probabilities(&strategies, "a")[""], 0.001);
}

#[test]
fn a_limit_below_one_is_not_a_limit_of_none() {
    let (strategies, findings) = read(
        "default_strategy: {type: ratelimiting, param: 0.9}\n\
         service_strategies: [{service: none, type: ratelimiting, param: 0}]",
    );
    assert_eq!(told(&strategies, "any")["rateLimitingSampling"]["maxTracesPerSecond"], 1);
    assert_eq!(told(&strategies, "none")["rateLimitingSampling"]["maxTracesPerSecond"], 0);
    assert!(findings.contains("yaml:1:") && findings.ends_with("1 warning\n"), "{findings}");
}

#[test]
fn without_a_default_strategy_others_get_jaegers_default() {
    let (strategies, _) = read("service_strategies: []");
    assert_eq!(told(&strategies, "any")["probabilisticSampling"]["samplingRate"], 0.001);
}

#[test]
fn mistakes_are_errors_at_their_place() {
    for (text, said) in [
        ("", "there are no strategies"),
        ("null", "there are no strategies"),
        ("[]", "expected a mapping"),
        ("{\"default_strategy\": ", "yaml:1:"),
        ("default_strategy:\n  type: probabilistic\n  param: .nan", "yaml:3:10"),
        ("default_strategy:\n  type: probabilistic\n  param: -0.1", "yaml:3:10"),
        ("default_strategy:\n  type: probabilistic\n  param: 1.1", "yaml:3:10"),
        ("default_strategy:\n  type: ratelimiting\n  param: -1", "yaml:3:10"),
        ("default_strategy:\n  type: ratelimiting\n  param: 3e9", "yaml:3:10"),
        ("default_strategy:\n  type: probabilistic", "`param` is required"),
        ("default_strategy:\n  param: 0.1", "`type` is required"),
        ("default_strategy:\n  type: lowerbound\n  param: 1", "one of probabilistic, ratelimiting"),
        ("service_strategies:\n  - type: probabilistic\n    param: 1", "`service` is required"),
        (
            "service_strategies:\n  - {service: a, type: probabilistic, param: 1}\n  \
             - {service: a, type: probabilistic, param: 0}",
            "yaml:3:15",
        ),
        (
            "default_strategy:\n  type: probabilistic\n  param: 1\n  operation_strategies:\n    \
             - {operation: b, type: probabilistic, param: 1}\n    \
             - {operation: b, type: probabilistic, param: 1}",
            "yaml:6:19",
        ),
        (
            "default_strategy:\n  type: probabilistic\n  param: 1\n  operation_strategies: [{operation: a}]",
            "yaml:4:",
        ),
        ("default_strategy:\n  typo: probabilistic\n  param: 1", "did you mean `type`"),
    ] {
        let (_, findings) = read(text);
        assert!(findings.contains("error") && findings.contains(said), "{text}\n{findings}");
    }
}

#[test]
fn an_operation_with_a_rate_limit_is_left_to_its_service_as_in_jaeger() {
    let (strategies, findings) = read(
        "default_strategy: {type: probabilistic, param: 0.5, operation_strategies: \
         [{operation: a, type: ratelimiting, param: 1}]}",
    );
    assert!(findings.contains("warning") && !findings.contains("error"), "{findings}");
    assert_eq!(
        told(&strategies, "any"),
        json!({"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 0.5}})
    );
}
