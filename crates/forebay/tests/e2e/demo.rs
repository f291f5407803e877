//! `forebay demo`, which needs nothing and leaves nothing.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{GrpcClient, forebay, request_of, span};

#[tokio::test]
async fn the_demo_ends_by_itself_and_its_numbers_add_up() {
    let output = forebay(Path::new("/"), &["demo"], &[]).await;
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let text = output.stdout;
    assert!(text.trim_end().ends_with("  Everything is accounted for."), "{text}");
    // Progress is shown while it runs.
    assert!(text.lines().filter(|line| line.contains("pending")).count() > 5, "{text}");
    for policy in ["slow", "checkout", "floor"] {
        let line =
            text.lines().find(|line| line.starts_with(&format!("  {policy} ")) && line.ends_with(" spans"));
        assert!(line.is_some(), "no line on policy {policy} in\n{text}");
    }
    assert!(text.contains("spans: no policy asked for them."), "{text}");
}

#[tokio::test]
async fn the_demo_of_a_fleet_shows_its_bytes_and_keeps_what_a_tail_sampler_keeps() {
    let output = forebay(Path::new("/"), &["demo", "--retroactive"], &[]).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let text = output.stdout;
    assert!(text.contains("retroactive: evidence, to the coordinator"), "{text}");
    let line = text.lines().find(|line| line.starts_with("Kept: ")).unwrap();
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<usize>().ok());
    let [by_tail, by_fleet, same] = numbers.collect::<Vec<_>>()[..] else { panic!("{line}") };
    // On a slow machine some spans come later than a decision, to one and not to the other.
    let enough = by_tail.max(by_fleet) * 9 / 10;
    assert!(by_tail > 50 && same >= enough, "{line}");
}

#[tokio::test]
async fn the_demo_can_be_left_running() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let mut child =
        command.args(["demo", "--keep-running"]).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        text.push_str(&line);
        text.push('\n');
        if line.starts_with("      exporters: [otlp]") {
            break;
        }
    }
    let (_, rest) = text.split_once("Still listening on ").unwrap();
    let address = rest.split(',').next().unwrap();
    assert!(
        rest.contains(&format!("endpoint: {address}")),
        "the configuration is printed with its ports:\n{rest}"
    );
    GrpcClient::new(address.parse().unwrap())
        .export(forebay_otlp::Signal::Traces, request_of([span(1)]))
        .await
        .unwrap();
    let pid = child.id().unwrap();
    Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await.unwrap();
    // Whoever reads no longer is no reason to fail.
    drop(lines);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}
