//! Started by systemd: with sockets that it listens on already, and told what the process does.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use forebay_otlp::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixDatagram, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{DEADLINE, GrpcClient, request_of, span};

/// Hands standard input and output on as the first two sockets, as systemd numbers them.
const ACTIVATE: &str = r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec "$@""#;

/// What stands in for systemd: the sockets, and what has been told.
struct Manager {
    directory: TempDir,
    tcp: TcpListener,
    unix: UnixListener,
    told: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(path("otlp.sock")).unwrap();
        let told = UnixDatagram::bind(path("notify.sock")).unwrap();
        Self { directory, tcp, unix, told }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Starts the process with the receiver's gRPC endpoint at the TCP socket, and HTTP at `http`.
    fn start(&self, http: &str, variables: &[(&str, &str)]) -> Child {
        let yaml = format!(
            "{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{}'}}, http: {{endpoint: '{http}'}}}}}}}}, \
              exporters: {{nop: }}, service: {{telemetry: {{metrics: {{level: none}}}}, \
              pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}}}",
            self.tcp.local_addr().unwrap()
        );
        let sockets: [OwnedFd; 2] =
            [self.tcp.try_clone().unwrap().into(), self.unix.try_clone().unwrap().into()];
        let [stdin, stdout] = sockets.map(Stdio::from);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", ACTIVATE, "sh", env!("CARGO_BIN_EXE_forebay")])
            .arg(format!("--config=yaml:{yaml}"));
        command.env_clear().env("NOTIFY_SOCKET", self.path("notify.sock")).envs(variables.iter().copied());
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }

    /// What the process says next.
    async fn hears(&self) -> String {
        let mut message = vec![0; 4096];
        let length = timeout(DEADLINE, self.told.recv(&mut message)).await.expect("a message").unwrap();
        message.truncate(length);
        String::from_utf8(message).unwrap()
    }
}

async fn signal(process: &Child, name: &str) {
    let pid = process.id().expect("the process runs").to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap().success());
}

/// Ends the process by SIGTERM, which it must obey, and returns what it has logged.
async fn stopped(mut process: Child) -> String {
    signal(&process, "TERM").await;
    let mut log = String::new();
    process.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
    assert!(process.wait().await.unwrap().success(), "{log}");
    log
}

/// The first line of the answer to a request for what is not there.
async fn asked(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn sockets_of_the_manager_are_served_before_and_after_a_reload_and_stay_when_the_process_ends() {
    let manager = Manager::new();
    let path = manager.path("otlp.sock");
    // A client that is there before the process waits in the socket.
    let early = tokio::spawn({
        let client = GrpcClient::new(manager.tcp.local_addr().unwrap());
        async move { client.export(Signal::Traces, request_of([span(1)])).await }
    });
    let process = manager.start(&format!("unix://{path}"), &[]);
    assert_eq!(manager.hears().await, "READY=1\n");
    early.await.unwrap().unwrap();
    assert_eq!(asked(Path::new(&path)).await, "HTTP/1.1 404 Not Found");

    signal(&process, "HUP").await;
    let reloading = manager.hears().await;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.hears().await, "READY=1\n");
    let client = GrpcClient::new(manager.tcp.local_addr().unwrap());
    client.export(Signal::Traces, request_of([span(2)])).await.unwrap();
    assert_eq!(asked(Path::new(&path)).await, "HTTP/1.1 404 Not Found");

    let log = stopped(process).await;
    assert_eq!(manager.hears().await, "STOPPING=1\n");
    assert!(!log.contains("no endpoint"), "{log}");
    // The next process is to find it.
    assert!(UnixStream::connect(&path).await.is_ok());
}

#[tokio::test]
async fn a_socket_that_nothing_is_served_on_is_named() {
    let manager = Manager::new();
    let process = manager.start("127.0.0.1:0", &[]);
    assert_eq!(manager.hears().await, "READY=1\n");
    let log = stopped(process).await;
    let socket = format!("socket=unix://{}", manager.path("otlp.sock"));
    assert!(log.contains("no endpoint of the configuration") && log.contains(&socket), "{log}");
}

#[tokio::test]
async fn a_watchdog_hears_that_the_process_lives() {
    let manager = Manager::new();
    let process = manager.start("127.0.0.1:0", &[("WATCHDOG_USEC", "100000")]);
    let mut heard = vec![manager.hears().await];
    while heard.len() < 4 {
        heard.push(manager.hears().await);
    }
    heard.sort();
    assert_eq!(heard, ["READY=1\n", "WATCHDOG=1\n", "WATCHDOG=1\n", "WATCHDOG=1\n"]);
    stopped(process).await;
}
