//! Connections without the TCP stack: the extension, and its commands.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs};

use forebay_otlp::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{Forebay, eventually, forebay, request_of, span};

/// Tells a process that it is the one in the cgroup, and which.
const CGROUP: &str = "FOREBAY_TEST_CGROUP";
const PIPELINE: &str = "{receivers: {otlp: }, exporters: {nop: }, \
                        service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}";

/// A configuration with the extension.
fn with_extension(settings: &str) -> [String; 2] {
    let configuration = format!(
        "--config=yaml:{{receivers: {{otlp: }}, exporters: {{nop: }}, extensions: {{sockaccel: {settings}}}, service: \
         {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}}}"
    );
    [configuration, "--set=service.extensions=[health_check, sockaccel]".to_owned()]
}

async fn start(settings: &str) -> Forebay {
    Forebay::start_with(&with_extension(settings).each_ref().map(String::as_str), &[]).await
}

/// The cgroup in which this process is, after it has been started again in one of its own; none if this is the
/// process that has started it, or the host cannot.
async fn isolated(test: &str) -> Option<PathBuf> {
    if let Some(cgroup) = env::var_os(CGROUP) {
        return Some(cgroup.into());
    }
    let check = forebay(Path::new("/"), &["sockaccel", "check"], &[]).await;
    if check.code != Some(0) {
        // Not by `eprintln`, which the test runner keeps to itself.
        let reason = format!("test {test} is skipped:\n{}", check.stdout);
        std::io::stderr().write_all(reason.as_bytes()).unwrap();
        return None;
    }
    let mount =
        check.stdout.lines().find_map(|line| line.strip_prefix("ok      cgroup version 2: ")).unwrap();
    let cgroup = Path::new(mount).join(format!("forebay-{}-{}", std::process::id(), test.replace("::", "-")));
    fs::create_dir(&cgroup).unwrap();
    // The shell moves itself, and then becomes the test.
    let mut child = Command::new("sh");
    child.arg("-c").arg(r#"echo $$ > "$0/cgroup.procs" && exec "$@""#).arg(&cgroup);
    child.arg(env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]).env(CGROUP, &cgroup);
    let output = child.output().await.unwrap();
    eventually("an empty cgroup", async || fs::remove_dir(&cgroup).ok()).await;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && text[0].contains("1 passed"), "{}\n{}", text[0], text[1]);
    None
}

#[tokio::test]
async fn spans_reach_a_gateway_on_the_same_host_without_the_stack() {
    let Some(cgroup) = isolated("sockaccel::spans_reach_a_gateway_on_the_same_host_without_the_stack").await
    else {
        return;
    };
    let gateway = Forebay::start(PIPELINE).await;
    let settings =
        format!("{{mode: required, cgroup: {}, ports: [{}]}}", cgroup.display(), gateway.grpc.port());
    let accelerator = start(&settings).await;
    let client = gateway.client();
    client.export(Signal::Traces, request_of([span(1)])).await.unwrap();
    let metrics = accelerator.metrics().await;
    let bytes =
        |path| metrics.sum("forebay_sockaccel_bytes_total", &[("path", path), ("extension", "sockaccel")]);
    assert!(bytes("redirected") > 0 && bytes("tcp") == 0);
    assert_eq!(metrics.sum("forebay_sockaccel_live", &[("what", "redirected_directions")]), 2);
    // A configuration that is read again takes the programs off and on.
    accelerator.signal("HUP").await;
    accelerator.until_logged_times(2, "everything is ready").await;
    client.export(Signal::Traces, request_of([span(2)])).await.unwrap();
    accelerator.stop().await;
    client.export(Signal::Traces, request_of([span(3)])).await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn run_says_when_it_is_ready_and_ends_at_a_signal() {
    let Some(cgroup) = isolated("sockaccel::run_says_when_it_is_ready_and_ends_at_a_signal").await else {
        return;
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.args(["sockaccel", "run", "--ports", "4317,4318", "--cgroup"]).arg(&cgroup);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).await.unwrap();
    assert_eq!(line, "ready\n");
    let pid = child.id().unwrap();
    assert!(Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await.unwrap().success());
    assert!(child.wait().await.unwrap().success());
    line.clear();
    output.read_to_string(&mut line).await.unwrap();
    assert_eq!(line, "0 sockets were considered; 0 bytes were redirected, 0 went by TCP\n");
}

#[tokio::test]
async fn a_host_that_cannot_accelerate_stays_with_tcp_unless_it_must() {
    let process = start("{cgroup: /nowhere}").await;
    process.until_logged("connections on this host stay TCP").await;
    process.until_logged("cannot use cgroup /nowhere: No such file or directory").await;
    process.stop().await;
    let arguments = with_extension("{cgroup: /nowhere, mode: required}");
    let (code, log) = Forebay::launch(&arguments.each_ref().map(String::as_str), &[]).ended().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot start extension `sockaccel`: cannot use cgroup /nowhere"), "{log}");
    let off = start("{cgroup: /nowhere, mode: off}").await;
    assert!(!off.stop().await.contains("TCP"));
}
