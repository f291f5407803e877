//! Wrong configurations, and what is said of them.
//!
//! Each `mistakes/NAME.yaml` has its whole report beside it in `NAME.stderr`; `BLESS=1` writes the reports
//! anew. The tables below are about single mistakes, each by what its report must contain.

use std::fs;
use std::path::Path;

use crate::harness::{Output, forebay};

/// A configuration in which nothing is wrong, to lay a mistake over.
const SOUND: &str = "
receivers: {otlp: {protocols: {grpc: , http: }}}
processors:
  batch:
  probabilistic_sampler: {sampling_percentage: 10}
  tail_sampling: {policies: [{name: all, type: always_sample}]}
exporters: {otlp: {endpoint: 'backend:4317'}, otlphttp: {endpoint: 'http://backend:4318'}, file: {path: out.jsonl}}
extensions: {health_check: }
service:
  extensions: [health_check]
  pipelines: {traces: {receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}
";

/// Validates `SOUND` with `mistake` over it.
async fn validate(mistake: &str) -> Output {
    let (sound, mistake) = (format!("--config=yaml:{SOUND}"), format!("--config=yaml:{mistake}"));
    forebay(Path::new("/"), &["validate", &sound, &mistake], &[]).await
}

/// Each mistake is an error, and the only one, whose report has all of the fragments.
async fn assert_errors(mistakes: &[(&str, &[&str])]) {
    for (mistake, fragments) in mistakes {
        let Output { code, stderr, .. } = validate(mistake).await;
        assert_eq!(code, Some(1), "{mistake}:\n{stderr}");
        assert!(stderr.ends_with("\n1 error\n"), "{mistake}:\n{stderr}");
        for fragment in *fragments {
            assert!(stderr.contains(fragment), "{mistake}: no {fragment:?} in\n{stderr}");
        }
    }
}

#[tokio::test]
async fn reports_are_as_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/mistakes");
    let names =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| name.ends_with(".yaml")).collect();
    assert!(!names.is_empty());
    for name in names {
        let Output { code, stderr, stdout } =
            forebay(&directory, &["validate", "--config", &name], &[]).await;
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{name}");
        let expected = directory.join(&name).with_extension("stderr");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &stderr).unwrap();
        }
        assert_eq!(stderr, fs::read_to_string(&expected).unwrap(), "{name}");
        // What `validate` finds also keeps the pipelines from starting, in the same words.
        assert_eq!(forebay(&directory, &["--config", &name], &[]).await.stderr, stderr, "{name}");
    }
}

#[tokio::test]
async fn what_is_sound_is_passed_in_silence() {
    let Output { code, stderr, stdout } = validate("{}").await;
    assert_eq!((code, stderr.as_str(), stdout.as_str()), (Some(0), "", ""));
}

#[tokio::test]
async fn addresses_that_go_together_and_those_of_what_does_not_run_are_no_mistakes() {
    for sound in [
        "{extensions: {health_check: {endpoint: 'localhost:0'}}, receivers: {otlp: {protocols: {grpc: {endpoint: ':0'}, http: {endpoint: ':0'}}}}}",
        "{extensions: {health_check: {endpoint: '[::1]:4317'}}}",
        "{extensions: {health_check: {endpoint: ':8888'}}, service: {telemetry: {metrics: {level: none}}}}",
        "{receivers: {otlp/unused: {protocols: {grpc: , http: }}}}",
    ] {
        let Output { code, stderr, .. } = validate(sound).await;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{sound}");
    }
}

#[tokio::test]
async fn an_exporter_needs_an_endpoint_for_each_signal_that_it_gets() {
    let traces = "{exporters: {otlphttp/traces: {traces_endpoint: 'http://backend/in'}}, service: {pipelines: {traces: {exporters: [otlphttp/traces]}}}}";
    assert_eq!(validate(traces).await.code, Some(0));
    assert_errors(&[(
        "{exporters: {otlphttp/traces: {traces_endpoint: 'http://backend/in'}}, service: {pipelines: {logs: {receivers: [otlp], exporters: [otlphttp/traces]}}}}",
        &[
            "service::pipelines::logs::exporters[0]: `otlphttp/traces` cannot take logs",
            "neither an `endpoint` nor a `logs_endpoint`",
        ],
    )])
    .await;
}

#[tokio::test]
async fn keys_are_checked_everywhere() {
    assert_errors(&[
        ("{recievers: {}}", &["unknown key `recievers`", "did you mean `receivers`?", "yaml:1:2"]),
        ("{x-notes: here}", &["unknown key `x-notes`"]),
        (
            "{forebay: {memory_limit: 64}}",
            &["forebay: unknown key `memory_limit`", "did you mean `memory_limit_mib`?"],
        ),
        ("{service: {pipeline: {}}}", &["service: unknown key `pipeline`", "did you mean `pipelines`?"]),
        (
            "{service: {pipelines: {traces: {exporter: [otlp]}}}}",
            &["service::pipelines::traces: unknown key `exporter`"],
        ),
        (
            "{service: {telemetry: {logs: {levle: info}}}}",
            &["service::telemetry::logs: unknown key `levle`", "`level`"],
        ),
        (
            "{receivers: {otlp: {protocols: {grcp: }}}}",
            &["receivers::otlp::protocols: unknown key `grcp`", "`grpc`"],
        ),
        (
            "{exporters: {otlp: {tls: {insecur: true}}}}",
            &["exporters::otlp::tls: unknown key `insecur`", "`insecure`"],
        ),
        (
            "{exporters: {otlp: {sending_queue: {size: 5}}}}",
            &["exporters::otlp::sending_queue: unknown key `size`"],
        ),
        (
            "{exporters: {otlp: {retry_on_failure: {max_interval_time: 5s}}}}",
            &["unknown key `max_interval_time`"],
        ),
        (
            "{processors: {batch: {max_size: 5}}}",
            &["unknown key `max_size`", "did you mean `send_batch_max_size`?"],
        ),
        (
            "{processors: {batch: {sendBatchSize: 5}}}",
            &["unknown key `sendBatchSize`", "did you mean `send_batch_size`?"],
        ),
        ("{extensions: {health_check: {port: 13133}}}", &["extensions::health_check: unknown key `port`"]),
    ])
    .await;
}

#[tokio::test]
async fn values_are_checked_for_type_and_range() {
    assert_errors(&[
        (
            "{processors: {batch: {timeout: soon}}}",
            &["processors::batch::timeout", "expected a duration", "\"soon\""],
        ),
        ("{processors: {batch: {timeout: -1s}}}", &["processors::batch::timeout"]),
        (
            "{processors: {batch: {send_batch_size: '100'}}}",
            &["expected an integer", "found the string \"100\""],
        ),
        ("{processors: {batch: {send_batch_size: 10.5}}}", &["expected an integer"]),
        (
            "{exporters: {otlp: {tls: {insecure: 'yes'}}}}",
            &["exporters::otlp::tls::insecure", "true or false"],
        ),
        ("{processors: {probabilistic_sampler: {sampling_percentage: -1}}}", &["of at least 0", "-1"]),
        ("{processors: {probabilistic_sampler: {sampling_percentage: 1.0e-16}}}", &["is below 2^-56"]),
        ("{processors: {probabilistic_sampler: {sampling_precision: 15}}}", &["from 1 to 14"]),
        ("{processors: {probabilistic_sampler: {hash_seed: 4294967296}}}", &["hash_seed", "4294967296"]),
        ("{processors: {probabilistic_sampler: {mode: hash}}}", &["did you mean `hash_seed`?"]),
        ("{forebay: {shards: 0}}", &["forebay::shards", "from 1 to 256"]),
        ("{forebay: {compat: [latency]}}", &["forebay::compat[0]", "did you mean `latency_milliseconds`?"]),
        (
            "{receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: 5000}}}}}",
            &["max_recv_msg_size_mib", "5000"],
        ),
        (
            "{exporters: {otlp: {retry_on_failure: {max_elapsed_time: 10s}}}}",
            &["max_elapsed_time` is less than `max_interval` (30s)"],
        ),
        (
            "{exporters: {otlp: {sending_queue: {sizer: megabytes}}}}",
            &["expected one of requests, items, bytes"],
        ),
        (
            "{exporters: {otlp: {sending_queue: {batch: {min_size: 10, max_size: 5}}}}}",
            &["less than `min_size`"],
        ),
        (
            "{service: {telemetry: {logs: {level: trace}}}}",
            &["service::telemetry::logs::level", "debug, info, warn, error"],
        ),
        (
            "{service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 88888}}}}]}}}}",
            &["::port", "88888"],
        ),
        ("{forebay: []}", &["forebay: expected a mapping"]),
        ("{service: {pipelines: {traces: {receivers: otlp}}}}", &["service::pipelines::traces::receivers"]),
    ])
    .await;
}

#[tokio::test]
async fn addresses_certificates_and_authentication_are_checked_before_the_start() {
    assert_errors(&[
        ("{receivers: {otlp: {protocols: {grpc: {endpoint: '0.0.0.0'}}}}}", &["has no port"]),
        (
            "{receivers: {otlp: {protocols: {grpc: {endpoint: '0.0.0.0:431700'}}}}}",
            &["`431700` is not a port"],
        ),
        (
            "{receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:4318'}}}}}",
            &["`localhost:4318` is taken"],
        ),
        ("{receivers: {otlp: {protocols: {http: {endpoint: '::1:4318'}}}}}", &["in brackets"]),
        (
            "{receivers: {otlp: {protocols: {http: {auth: {authenticator: oidc}}}}}}",
            &["authenticators are not supported"],
        ),
        (
            "{receivers: {otlp: {protocols: {http: {tls: {cert_file: /no.pem, key_file: /no.key}}}}}}",
            &["/no.pem", "No such file"],
        ),
        ("{exporters: {otlp: {endpoint: 'backend:4317/v1/traces'}}}", &["has a path"]),
        (
            "{exporters: {otlp: {auth: {authenticator: basicauth}}}}",
            &["exporters::otlp::auth", "not supported"],
        ),
        ("{exporters: {otlp: {tls: {ca_file: /no.pem}}}}", &["exporters::otlp::tls::ca_file", "/no.pem"]),
        ("{exporters: {otlp: {headers: {'a b': c}}}}", &["exporters::otlp::headers"]),
        ("{exporters: {otlphttp: {endpoint: 'backend:4318'}}}", &["has no scheme"]),
        ("{exporters: {otlphttp: {compression: snappy}}}", &["exporters::otlphttp::compression"]),
        (
            "{exporters: {file: {path: /no/such/directory/out.jsonl}}}",
            &["exporters::file::path", "/no/such/directory"],
        ),
        (
            "{extensions: {health_check: {endpoint: localhost}}}",
            &["extensions::health_check::endpoint: `localhost` has no port"],
        ),
        ("{extensions: {health_check: {endpoint: 'unix:///run/health'}}}", &["not on a Unix socket"]),
        ("{extensions: {health_check: {path: healthz}}}", &["a path begins with `/`"]),
    ])
    .await;
}

#[tokio::test]
async fn the_graph_of_pipelines_is_checked() {
    assert_errors(&[
        ("{service: {pipelines: {traces: {exporters: [debug]}}}}", &["`debug` is not declared under `exporters`"]),
        ("{service: {pipelines: {traces: {processors: [otlp]}}}}", &["`otlp` is not declared under `processors`"]),
        ("{service: {extensions: [pprof]}}", &["service::extensions[0]", "`pprof` is not declared under `extensions`"]),
        ("{service: {pipelines: {traces: {processors: [batch, batch]}}}}", &["processor `batch` is named twice in one pipeline"]),
        ("{service: {pipelines: {metrics: {receivers: [otlp], processors: [probabilistic_sampler], exporters: [otlp]}}}}", &["does not take metrics"]),
        ("{service: {pipelines: {profiles: {receivers: [otlp], exporters: [otlp]}}}}", &["unknown signal `profiles`"]),
        ("{service: {pipelines: {traces: {exporters: }}}}", &["needs at least one of `exporters`"]),
        ("{service: {pipelines: {traces/: {receivers: [otlp], exporters: [otlp]}}}}", &["traces/"]),
        ("{processors: {'tail_sampling/ ': }}", &["tail_sampling/"]),
        ("{processors: {filter: }}", &["processor `filter` exists in the Collector but not in Forebay"]),
        ("{processors: {bach: }}", &["unknown processor type `bach`", "did you mean `batch`?"]),
        ("{exporters: {logging: }}", &["exporter `logging` exists in the Collector but not in Forebay"]),
        ("{receivers: {jaeger: }}", &["receiver `jaeger` exists in the Collector but not in Forebay"]),
        ("{connectors: {forward: }}", &["connectors are not supported"]),
    ])
    .await;
    let nothing = forebay(
        Path::new("/"),
        &["validate", "--config=yaml:{receivers: {otlp: {protocols: {grpc: }}}}"],
        &[],
    )
    .await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("there is no `service`"), "{}", nothing.stderr);
}

#[tokio::test]
async fn policies_are_checked_although_the_collector_would_not() {
    let with = |policy: &str| format!("{{processors: {{tail_sampling: {{policies: [{policy}]}}}}}}");
    for (policy, fragment) in [
        (
            "{name: a, type: rate_limitng, rate_limiting: {spans_per_second: 5}}",
            "did you mean `rate_limiting`?",
        ),
        ("{name: a}", "`type` is required"),
        ("{type: always_sample}", "a policy needs a name"),
        ("{name: a, type: always_sample}, {name: a, type: always_sample}", "two policies are named `a`"),
        ("{name: a, type: latency}", "`threshold_ms` is required"),
        ("{name: a, type: latency, latency: {threshold_ms: 5}, latencies: {}}", "unknown key `latencies`"),
        ("{name: a, type: latency, latency: {threshold_ms: -5}}", "latency::threshold_ms"),
        (
            "{name: a, type: latency, latency: {threshold_ms: 9, upper_threshold_ms: 5}}",
            "no latency is above 9 ms",
        ),
        (
            "{name: a, type: status_code, status_code: {status_codes: []}}",
            "name at least one of OK, ERROR and UNSET",
        ),
        ("{name: a, type: status_code, status_code: {status_codes: [error]}}", "did you mean `ERROR`?"),
        ("{name: a, type: status_code}", "`status_codes` is required"),
        ("{name: a, type: string_attribute, string_attribute: {values: [x]}}", "`key` is required"),
        (
            "{name: a, type: string_attribute, string_attribute: {key: k, values: ['('], enabled_regex_matching: true}}",
            "invalid regular expression: unclosed group",
        ),
        (
            "{name: a, type: numeric_attribute, numeric_attribute: {key: k}}",
            "set `min_value`, `max_value` or both",
        ),
        ("{name: a, type: probabilistic, probabilistic: {sampling_percentage: -1}}", "of at least 0"),
        ("{name: a, type: and, and: {and_sub_policy: []}}", "name at least one sub-policy"),
        ("{name: a, type: and, and: {and_sub_policy: [{name: b, type: and}]}}", "and_sub_policy[0]::type"),
        ("", "tail_sampling needs policies"),
    ] {
        assert_errors(&[(&with(policy), &["processors::tail_sampling", fragment])]).await;
    }
}

#[tokio::test]
async fn a_value_from_elsewhere_is_traced_to_where_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("sound.yaml"), SOUND).unwrap();
    let validate = async |argument: &str| {
        let arguments = ["validate", "--config", "sound.yaml", argument];
        let output = forebay(directory.path(), &arguments, &[("WAIT", "ten")]).await;
        assert_eq!(output.code, Some(1));
        output.stderr
    };
    let set = validate("--set=processors.tail_sampling.decision_wait=ten").await;
    let expected = "\
error: processors::tail_sampling::decision_wait: expected a duration such as 200ms or 5s, found the string \"ten\"
 --> --set:1:40
  |
1 | processors.tail_sampling.decision_wait=ten
  |                                        ^^^
  = help: expected numbers with units (h, m, s, ms, us, ns) such as 200ms or 1h30m

1 error
";
    assert_eq!(set, expected);
    let variable =
        validate("--config=yaml:{processors: {tail_sampling: {decision_wait: '${env:WAIT}'}}}").await;
    assert!(variable.contains("the value comes from environment variable `WAIT`"), "{variable}");
    fs::write(
        directory.path().join("second.yaml"),
        "processors:\n  tail_sampling:\n    decision_wait: ten\n",
    )
    .unwrap();
    let file = validate("--config=second.yaml").await;
    assert!(file.contains(" --> second.yaml:3:20\n"), "{file}");
}

#[tokio::test]
async fn what_has_no_effect_here_is_a_warning_that_names_it() {
    for (doubtful, fragments) in [
        ("{processors: {tail_sampling: {decision_wait: 10}}}", ["decision_wait", "nanoseconds"]),
        ("{processors: {tail_sampling: {num_shards: 4}}}", ["tail_sampling::num_shards", "forebay::shards"]),
        (
            "{processors: {memory_limiter: {check_interval: 1s, limit_mib: 64, spike_limit_mib: 16}}}",
            ["memory_limiter::spike_limit_mib", "no effect"],
        ),
        ("{processors: {probabilistic_sampler: {sampling_percentage: 0}}}", ["sampling_percentage", "is 0"]),
        (
            "{service: {pipelines: {traces: {exporters: [otlp, otlp]}}}}",
            ["traces::exporters[1]", "`otlp` is named twice"],
        ),
        (
            "{service: {telemetry: {metrics: {address: ':8888'}}}}",
            ["service::telemetry::metrics::address", "readers"],
        ),
        ("{service: {telemetry: {traces: {}}}}", ["service::telemetry::traces", "does not trace itself"]),
    ] {
        let Output { code, stderr, .. } = validate(doubtful).await;
        assert_eq!(code, Some(0), "{doubtful}:\n{stderr}");
        assert!(stderr.ends_with("\n1 warning\n"), "{doubtful}:\n{stderr}");
        for fragment in fragments {
            assert!(stderr.contains(fragment), "{doubtful}: no {fragment:?} in\n{stderr}");
        }
    }
}

#[tokio::test]
async fn feature_gates_without_a_meaning_are_warned_of() {
    let arguments =
        ["validate", "--feature-gates=+service.profilesSupport", &format!("--config=yaml:{SOUND}")];
    let Output { code, stderr, .. } = forebay(Path::new("/"), &arguments, &[]).await;
    assert_eq!(code, Some(0));
    assert_eq!(stderr, "warning: feature gate `service.profilesSupport` has no meaning here\n\n1 warning\n");
}
