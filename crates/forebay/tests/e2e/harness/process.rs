//! Running the binary.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{GrpcClient, Metrics, eventually, free_port, get, within_deadline};

const BINARY: &str = env!("CARGO_BIN_EXE_forebay");

/// A running process with an `otlp` receiver, metrics and a health check.
pub(crate) struct Forebay {
    child: Child,
    directory: TempDir,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) health: SocketAddr,
    metrics: SocketAddr,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Everything a process has written so far, to either stream.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

/// Runs `forebay` in `directory` to its end.
pub(crate) async fn forebay(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = in_environment(Command::new(BINARY), directory, variables);
    let output = command.args(arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A command in an environment that the test alone defines.
fn in_environment(mut command: Command, directory: &Path, variables: &[(&str, &str)]) -> Command {
    command.current_dir(directory).env_clear().envs(variables.iter().copied()).kill_on_drop(true);
    command
}

impl Forebay {
    /// Starts a configuration that lacks what [`Self::launch`] adds, and waits until it is healthy.
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::start_with(&[&format!("--config=yaml:{yaml}")], &[]).await
    }

    /// The same, with arguments and variables of the caller's.
    pub(crate) async fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Self::launch(arguments, variables);
        process.until_healthy().await;
        process
    }

    /// The same in a cgroup, by the file that its processes are written to.
    pub(crate) async fn start_in(group: &Path, arguments: &[&str]) -> Self {
        Self::start_by(Command::new("sh"), "echo $$ > \"$0\" && exec \"$@\"", group, arguments).await
    }

    /// The same with another `/etc/resolv.conf`.
    pub(crate) async fn start_resolving_by(configuration: &Path, arguments: &[&str]) -> Self {
        let mut namespace = Command::new("unshare");
        namespace.args(["--mount", "sh"]);
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        Self::start_by(namespace, script, configuration, arguments).await
    }

    /// The same by a script for `shell` that begins with a path, and ends by becoming the process.
    async fn start_by(mut shell: Command, script: &str, path: &Path, arguments: &[&str]) -> Self {
        shell.args(["-c", script]).arg(path).arg(BINARY);
        let mut process = Self::launch_by(shell, arguments, &[]);
        process.until_healthy().await;
        process
    }

    /// Starts a process whose receiver `otlp`, metrics and health check have ports of their own.
    pub(crate) fn launch(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::launch_by(Command::new(BINARY), arguments, variables)
    }

    fn launch_by(command: Command, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [grpc, http, metrics, health] =
            std::array::from_fn(|_| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let ports = format!(
            "{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{grpc}'}}, http: {{endpoint: '{http}'}}}}}}}}, \
              extensions: {{health_check: {{endpoint: '{health}'}}}}, \
              service: {{extensions: [health_check], telemetry: {{metrics: {{readers: [{{pull: {{exporter: \
              {{prometheus: {{host: 127.0.0.1, port: {}}}}}}}}}]}}}}}}}}",
            metrics.port()
        );
        let mut command = in_environment(command, directory.path(), variables);
        command.args(arguments).arg(format!("--config=yaml:{ports}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::default();
        let readers =
            vec![log.follow(child.stdout.take().unwrap()), log.follow(child.stderr.take().unwrap())];
        Self { child, directory, grpc, http, metrics, health, log, readers }
    }

    async fn until_healthy(&mut self) {
        eventually("a healthy process", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the process has ended with {status}:\n{}", self.log);
            }
            (self.health().await == Some(200)).then_some(())
        })
        .await;
    }

    /// The status of the health check; none if nobody answers.
    pub(crate) async fn health(&self) -> Option<u16> {
        get(self.health, "/").await.ok().map(|answer| answer.status.as_u16())
    }

    /// The process's metrics now.
    pub(crate) async fn metrics(&self) -> Metrics {
        let answer = get(self.metrics, "/metrics").await.unwrap();
        assert_eq!(answer.status, 200);
        Metrics::parse(str::from_utf8(&answer.body).unwrap())
    }

    /// Waits until the metrics are as `wanted`, and returns them.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        let scrape = async || {
            let metrics = self.metrics().await;
            if wanted(&metrics) { Ok(metrics) } else { Err(metrics) }
        };
        let found = within_deadline(scrape).await;
        found.unwrap_or_else(|metrics| panic!("{what}: not in time, but\n{}", metrics.ledgers()))
    }

    /// Waits until a log line contains `text`.
    pub(crate) async fn until_logged(&self, text: &str) {
        self.until_logged_times(1, text).await;
    }

    /// Waits until `text` has been logged so many times.
    pub(crate) async fn until_logged_times(&self, times: usize, text: &str) {
        eventually(&format!("{text:?} in the log, {times} times"), async || {
            (self.log.to_string().matches(text).count() >= times).then_some(())
        })
        .await;
    }

    /// The process's working directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A connection to the gRPC endpoint.
    pub(crate) fn client(&self) -> GrpcClient {
        GrpcClient::new(self.grpc)
    }

    /// Sends a signal: `TERM`, `INT` or `HUP`.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the process runs");
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await.unwrap();
        assert!(status.success());
    }

    /// The most memory that the process has ever had resident, in bytes. Its code is not counted, of which a test build
    /// has much more than one that anybody runs.
    pub(crate) fn peak_memory(&self) -> usize {
        let pid = self.child.id().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let bytes = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() << 10
        };
        bytes("VmHWM:") - bytes("RssFile:")
    }

    /// Waits for the end of the process, and returns its exit code and everything it has written.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = self.wait().await;
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
        (status.code(), self.log.to_string())
    }

    async fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let log = &self.log;
        let ended = tokio::time::timeout(super::DEADLINE, child.wait()).await;
        ended.unwrap_or_else(|_| panic!("the process does not end:\n{log}")).unwrap()
    }

    /// Ends the process by SIGTERM, which it must obey with exit code 0.
    pub(crate) async fn stop(self) -> String {
        self.signal("TERM").await;
        let (code, log) = self.ended().await;
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Log {
    fn follow(&self, stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut text = log.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        })
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.lock().unwrap())
    }
}
