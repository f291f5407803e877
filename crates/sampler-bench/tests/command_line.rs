//! The command as a build uses it: exit codes, what is written, and what is said about bad input.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn sampler_bench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sampler-bench")).current_dir(folder).args(arguments).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A comparison of little traffic.
const RUN: [&str; 9] =
    ["run", "--seconds", "5", "--seeds", "2", "--sweep-seeds", "1", "--builtin", "head-equalizing-10%"];

fn run(folder: &Path, more: &[&str]) -> Output {
    sampler_bench(folder, &[&RUN, more].concat())
}

#[test]
fn an_assertion_decides_the_exit_code_and_results_are_written_either_way() {
    let folder = TempDir::new().unwrap();
    let holds = run(folder.path(), &["--out", "a", "--assert", "kept_ratio < 0.5 && egress_ratio <= 1"]);
    assert_eq!(holds.status.code(), Some(0), "{}", text(&holds.stderr));
    let fails = run(folder.path(), &["--out", "b", "--assert", "head-equalizing-10%: kept_ratio > 0.5"]);
    assert_eq!(fails.status.code(), Some(1));
    assert!(text(&fails.stdout).contains("assertion failed for head-equalizing-10%"));
    for name in ["report.html", "results.json", "results.csv"] {
        assert!(folder.path().join("a").join(name).is_file() && folder.path().join("b").join(name).is_file());
    }
    let csv = fs::read_to_string(folder.path().join("a/results.csv")).unwrap();
    assert!(csv.starts_with("workload,strategy,metric,"));
    let same = sampler_bench(folder.path(), &["compare", "a/results.json", "b/results.json"]);
    assert_eq!(same.status.code(), Some(0));
    let wrong = run(folder.path(), &["--assert", "anomaly_recal > 1"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("anomaly_recal"), "{}", text(&wrong.stderr));
}

#[test]
fn a_wrong_strategy_file_gets_the_errors_of_validate() {
    let folder = TempDir::new().unwrap();
    let gateway = "receivers: {otlp: {protocols: {grpc: }}}\nprocessors: {tail_sampling: {decision_wiat: 1s}}\n\
        exporters: {nop: }\nservice: {pipelines: {traces: {receivers: [otlp], processors: [tail_sampling], exporters: [nop]}}}\n";
    fs::write(folder.path().join("gateway.yaml"), gateway).unwrap();
    let output = sampler_bench(folder.path(), &["run", "--seconds", "1", "--strategy", "ours=gateway.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("did you mean `decision_wait`?") && said.contains("gateway.yaml:2:"), "{said}");
    for (strategy, why) in [
        ("ours", "is no strategy"),
        ("ours=a.yaml,b.yaml", "several configurations for one tier"),
        ("ours=missing.yaml", "missing.yaml"),
    ] {
        let output = sampler_bench(folder.path(), &["run", "--seconds", "1", "--strategy", strategy]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}

#[test]
fn what_is_odd_about_the_input_is_said() {
    let folder = TempDir::new().unwrap();
    let generated = sampler_bench(folder.path(), &["generate", "--out", "."]);
    assert_eq!(generated.status.code(), Some(0), "{}", text(&generated.stderr));
    let packed = fs::read(folder.path().join("traces.jsonl.zst")).unwrap();
    let lines = text(&zstd::decode_all(&packed[..]).unwrap());
    let some: Vec<_> = lines.lines().take(50).collect();
    fs::write(folder.path().join("a.jsonl"), format!("{}\nnonsense\n", some.join("\n"))).unwrap();
    fs::write(folder.path().join("b.jsonl"), some[0]).unwrap();
    fs::write(folder.path().join("labels.csv"), "TraceID,label,fault\nabc,1,disk\n").unwrap();
    let inspect = |more: &[&str]| {
        let output = sampler_bench(
            folder.path(),
            &[&["inspect", "a.jsonl", "b.jsonl", "--labels", "labels.csv"], more].concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let said = inspect(&[]);
    for odd in ["1 malformed requests", "duplicate spans", "1 labels for unknown traces"] {
        assert!(said.contains(odd), "{said}");
    }
    assert!(inspect(&["--span-limit", "10"]).contains("spans beyond the limit, left out"));
    fs::write(folder.path().join("empty.jsonl"), "{\"resourceSpans\": 7}\n").unwrap();
    let empty = sampler_bench(folder.path(), &["inspect", "empty.jsonl"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(text(&empty.stderr).contains("there are no spans in the input; 1 malformed requests"));
}
