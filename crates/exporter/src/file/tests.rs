use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use forebay_config::read_str;
use forebay_otlp::json;
use forebay_pipeline::Signal;

use super::*;
use crate::testing::{context, spans};

fn config(yaml: &str) -> FileConfig {
    let (config, diagnostics) = read_str(yaml, FileConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config
}

fn in_directory(directory: &Path, yaml: &str) -> FileConfig {
    config(&format!("path: {}/traces.json\n{yaml}", directory.display()))
}

/// The messages of a file of frames that follow their length.
fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn each_request_is_a_line_that_says_what_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let context = context();
    let exporter = build("file", in_directory(directory.path(), ""), &context).unwrap();
    let batches = [spans(3, 5), spans(1, 2000), spans(40, 1)];
    for batch in batches.clone() {
        exporter.consume(batch).await.unwrap();
        // Nothing waits for a flush or the end.
    }
    let text = fs::read_to_string(directory.path().join("traces.json")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    for (line, batch) in lines.iter().zip(batches) {
        assert!(json::decode(Signal::Traces, line.as_bytes()).unwrap() == batch.bytes);
    }
    let ledger = context.telemetry.ledger("exporter/file", Signal::Traces);
    assert_eq!((ledger.incoming.get(), ledger.outgoing.get()), (44, 44));
}

#[tokio::test]
async fn binary_messages_follow_their_length() {
    for (yaml, read) in [
        ("format: proto", (|frame| frame.to_vec()) as fn(&[u8]) -> Vec<u8>),
        ("{format: proto, compression: zstd}", |frame| zstd::decode_all(frame).unwrap()),
        ("compression: zstd", |frame| {
            json::decode(Signal::Traces, &zstd::decode_all(frame).unwrap()).unwrap()
        }),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let yaml = yaml.trim_matches(['{', '}']).replace(", ", "\n");
        let exporter = build("file", in_directory(directory.path(), &yaml), &context()).unwrap();
        let batches = [spans(3, 5), spans(100, 20)];
        for batch in batches.clone() {
            exporter.consume(batch).await.unwrap();
        }
        let bytes = fs::read(directory.path().join("traces.json")).unwrap();
        let written: Vec<Vec<u8>> = frames(&bytes).into_iter().map(read).collect();
        assert!(written == batches.map(|batch| batch.bytes.to_vec()), "{yaml}");
    }
}

#[tokio::test]
async fn a_file_is_emptied_unless_it_is_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    for (yaml, lines) in [("", 1), ("", 1), ("append: true", 2), ("rotation: {}", 3), ("", 1)] {
        let exporter = build("file", in_directory(directory.path(), yaml), &context()).unwrap();
        exporter.consume(spans(1, 1)).await.unwrap();
        let text = fs::read_to_string(directory.path().join("traces.json")).unwrap();
        assert_eq!(text.lines().count(), lines, "{yaml}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_otlp_is_refused_and_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let exporter = build("file", in_directory(directory.path(), ""), &context()).unwrap();
    let garbage = Batch::new(Signal::Traces, Bytes::from_static(&[0xff, 0xff]), 1);
    assert!(matches!(exporter.consume(garbage).await, Err(Refusal::Permanent(_))));
    assert_eq!(fs::read(directory.path().join("traces.json")).unwrap(), b"");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_full_disk_is_a_retryable_refusal() {
    let context = context();
    let exporter = build("file", config("{path: /dev/full, append: true}"), &context).unwrap();
    let refusal = exporter.consume(spans(1, 1)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Retryable { .. }), "{refusal}");
    assert!(refusal.to_string().contains("No space left"), "{refusal}");
    let ledger = context.telemetry.ledger("exporter/file", Signal::Traces);
    assert_eq!((ledger.incoming.get(), ledger.outgoing.get()), (0, 0));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = in_directory(directory.path(), "");
    drop(directory);
    let error = build("file", config, &context()).err().unwrap();
    assert!(error.to_string().contains("traces.json"), "{error}");
}

/// Writes `sizes` requests into files of at most `rotation.max_bytes`, a second apart.
fn rotated(rotation: Rotation, requests: u64) -> (tempfile::TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Some(rotation);
    let config = FileConfig { rotation, ..in_directory(directory.path(), "format: proto") };
    let mut writer = Writer::open(config).unwrap();
    let mut sent = Vec::new();
    for request in 0..requests {
        let batch = spans(usize::try_from(request % 3).unwrap() + 1, 100);
        sent.extend_from_slice(&batch.bytes);
        let now = UNIX_EPOCH + Duration::from_secs(1_795_262_400 + request);
        writer.write(Signal::Traces, &batch.bytes, now).unwrap();
    }
    (directory, sent)
}

#[test]
fn a_full_file_is_set_aside_and_nothing_is_lost() {
    let max_bytes = 1000;
    let rotation = Rotation { max_bytes, max_days: 0, max_backups: 0 };
    let (directory, sent) = rotated(rotation, 40);
    let mut names = names(directory.path());
    assert!(names.len() > 5, "{names:?}");
    assert!(names[0].starts_with("traces-2026-11-21T12-0"), "{names:?}");
    assert_eq!(names.pop().unwrap(), "traces.json");
    let mut written = Vec::new();
    for name in names.iter().map(String::as_str).chain(["traces.json"]) {
        let bytes = fs::read(directory.path().join(name)).unwrap();
        assert!(bytes.len() as u64 <= max_bytes);
        written.extend(frames(&bytes).concat());
    }
    assert!(written == sent);
}

#[test]
fn only_the_newest_files_are_kept() {
    let all = Rotation { max_bytes: 1000, max_days: 0, max_backups: 0 };
    let (everything, _) = rotated(all, 40);
    let (some, _) = rotated(Rotation { max_backups: 2, ..all }, 40);
    let expected: Vec<String> = names(everything.path()).into_iter().rev().take(3).rev().collect();
    assert_eq!(names(some.path()), expected);
}

#[test]
fn old_files_are_removed_and_those_of_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let strangers = ["traces-old.json", "traces-2026-01-01.json", "other-2000-01-01T00-00-00.000.json"];
    let old = "traces-2026-11-18T00-00-00.000.json";
    let recent = "traces-2026-11-20T00-00-00.000.json";
    for name in strangers.iter().chain([&old, &recent]) {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    let rotation = Some(Rotation { max_bytes: 1, max_days: 2, max_backups: 0 });
    let config = FileConfig { rotation, ..in_directory(directory.path(), "") };
    let mut writer = Writer::open(config).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_795_262_400);
    for _ in 0..2 {
        writer.write(Signal::Traces, &spans(1, 1).bytes, now).unwrap();
    }
    let names = names(directory.path());
    assert!(!names.contains(&old.to_owned()), "{names:?}");
    for name in strangers.iter().chain([&recent]) {
        assert!(names.contains(&(*name).to_owned()), "{name}: {names:?}");
    }
}

#[test]
fn files_set_aside_in_the_same_moment_do_not_replace_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Some(Rotation { max_bytes: 1, max_days: 0, max_backups: 0 });
    let mut writer = Writer::open(FileConfig { rotation, ..in_directory(directory.path(), "") }).unwrap();
    for _ in 0..5 {
        writer.write(Signal::Traces, &spans(1, 1).bytes, UNIX_EPOCH).unwrap();
    }
    assert_eq!(names(directory.path()).len(), 5);
}

#[test]
fn directories_are_made_when_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/traces.json");
    let yaml = format!("path: {}", path.display());
    let (_, diagnostics) = read_str(&yaml, FileConfig::read);
    assert!(diagnostics.render(false).contains("there is no directory"));
    let yaml = format!("{yaml}\ncreate_directory: true\ndirectory_permissions: \"0700\"");
    drop(Writer::open(config(&yaml)).unwrap());
    assert!(path.is_file());
}

#[test]
fn settings_that_cannot_work_are_errors() {
    for (yaml, problem) in [
        ("format: json", "`path` is required"),
        ("{path: /tmp}", "is a directory"),
        ("{path: x, append: true, rotation: {}}", "exclude each other"),
        ("{path: x, append: true, compression: zstd}", "exclude each other"),
        ("{path: x, group_by: {enabled: true}}", "not supported"),
        ("{path: x, encoding: otlp_encoding}", "not supported"),
        ("{path: x, compression: gzip}", "one of"),
        ("{path: x, create_directory: true, directory_permissions: rwx}", "permissions"),
    ] {
        let (_, diagnostics) = read_str(yaml, FileConfig::read);
        assert!(diagnostics.has_errors(), "{yaml}");
        assert!(diagnostics.render(false).contains(problem), "{}", diagnostics.render(false));
    }
    let yaml = "
path: x
flush_interval: 5s
group_by: {enabled: false, max_open_files: 10}
rotation: {max_megabytes: 10, max_days: 3, max_backups: 3, localtime: true}
";
    let config = config(yaml);
    let rotation = Rotation { max_bytes: 10 * 1024 * 1024, max_days: 3, max_backups: 3 };
    assert_eq!(config.rotation, Some(rotation));
}
