//! Both systems as processes, with all cases at once.
//!
//! Every case is a pipeline of its own with an exporter and a port of its own; one receiver gives them all the same
//! spans. So a system is started once for all cases that agree about what holds for a whole process.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use forebay_benches::{
    grpc::{OtlpService, RawClient},
    process::{Process, free_addresses},
};
use forebay_config::print;
use forebay_otlp::Signal;
use tokio::{task::JoinSet, time::sleep};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::{Error, case::Case, traffic::Traffic};

/// A system that can be run.
#[derive(Clone, Debug)]
pub struct System {
    /// Its name in messages.
    pub name: &'static str,
    /// Its executable.
    pub program: PathBuf,
    /// Whether it knows the key `forebay`.
    pub is_forebay: bool,
}

/// How long traces wait: longer than it takes to send all of them.
const DECISION_WAIT: Duration = Duration::from_secs(5);
/// The Collector decides up to a second late.
const DECIDED: Duration = DECISION_WAIT.saturating_add(Duration::from_secs(2));
/// Nothing more comes when nothing has come for so long.
const QUIET: Duration = Duration::from_secs(2);
/// How long a system may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_MESSAGE: usize = 64 << 20;

/// Runs `cases` on `system`, which all have the same traffic, gates and switches; what came out of each.
///
/// # Errors
/// If the system does not start, refuses spans, does not take them in time or does not end.
pub async fn run(system: &System, cases: &[&Case], traffic: &Traffic) -> Result<Vec<Vec<Bytes>>, Error> {
    let files = tempfile::tempdir()?;
    let log = files.path().join("log");
    run_in(files.path(), &log, system, cases, traffic).await.map_err(|error| {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let skipped = log.lines().count().saturating_sub(20);
        let log: String = log.lines().skip(skipped).map(|line| format!("\n  | {line}")).collect();
        format!("{}: {error}{log}", system.name).into()
    })
}

async fn run_in(
    files: &Path,
    log: &Path,
    system: &System,
    cases: &[&Case],
    traffic: &Traffic,
) -> Result<Vec<Vec<Bytes>>, Error> {
    let mut sinks = Sinks::default();
    let mut ports = Vec::new();
    for _ in cases {
        ports.push(sinks.open().await?);
    }
    let [listen] = free_addresses()?;
    let file = files.join("config.yaml");
    fs::write(&file, configuration(system, cases, listen, &ports)?)?;
    let mut command = Command::new(&system.program);
    command.arg("--config").arg(file);
    let gates: Vec<_> = cases.iter().flat_map(|case| &case.gates).map(String::as_str).collect();
    if !gates.is_empty() {
        command.arg(format!("--feature-gates={}", gates.join(",")));
    }
    let log = File::create(log)?;
    let mut process = Process::start(system.name, command.stdout(log.try_clone()?).stderr(log))?;
    process.wait_until(PATIENCE, || TcpStream::connect(listen).is_ok())?;

    let mut client = RawClient::connect(listen).await?;
    let signal = cases.first().map_or(Signal::Traces, |case| case.sort.signal());
    for act in &traffic.acts {
        let begun = Instant::now();
        for request in act {
            client.export(signal, request.clone()).await?;
        }
        let sent = begun.elapsed();
        if sent > DECISION_WAIT.mul_f64(0.8) {
            return Err(
                format!("took {sent:?} to take the spans, so some traces were decided in pieces").into()
            );
        }
        if !act.is_empty() {
            sleep(DECIDED).await;
        }
        sinks.wait_until_quiet().await;
    }
    process.terminate(PATIENCE)?;
    Ok(sinks.close())
}

fn configuration(
    system: &System,
    cases: &[&Case],
    listen: SocketAddr,
    ports: &[SocketAddr],
) -> Result<String, Error> {
    let mut yaml = format!("receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{listen}'}}}}}}}}\n");
    let mut exporters = "exporters:\n".to_owned();
    let mut pipelines =
        "service:\n  telemetry: {logs: {level: error}, metrics: {level: none}}\n  pipelines:\n".to_owned();
    if let (true, Some(case)) = (system.is_forebay, cases.first()) {
        let compat: Vec<_> = case.compat.iter().map(String::as_str).collect();
        writeln!(yaml, "forebay: {{compat: [{}]}}", compat.join(", "))?;
    }
    // The Collector's sampler hands on each trace as a request of its own, which overruns the exporter's queue.
    yaml.push_str("processors:\n  batch:\n");
    for (case, port) in cases.iter().zip(ports) {
        let id = case.id();
        let mut names = Vec::new();
        for processor in &case.processors {
            names.push(format!("{}/{id}", processor.kind));
            writeln!(yaml, "  {}/{id}:", processor.kind)?;
            for line in print(&processor.settings, &|_| false).lines() {
                writeln!(yaml, "    {line}")?;
            }
            if processor.kind == "tail_sampling" && processor.settings.get("decision_wait").is_none() {
                writeln!(yaml, "    decision_wait: {}s", DECISION_WAIT.as_secs())?;
            }
        }
        writeln!(
            exporters,
            "  otlp_grpc/{id}: {{endpoint: '{port}', compression: none, tls: {{insecure: true}}, \
             sending_queue: {{block_on_overflow: true}}}}"
        )?;
        writeln!(
            pipelines,
            "    {}/{id}: {{receivers: [otlp], processors: [{}, batch], exporters: [otlp_grpc/{id}]}}",
            case.sort.signal(),
            names.join(", ")
        )?;
    }
    Ok(yaml + &exporters + &pipelines)
}

/// Backends, one for each case, which keep what they receive.
#[derive(Default)]
struct Sinks {
    received: Vec<Arc<Mutex<Vec<Bytes>>>>,
    requests: Arc<AtomicUsize>,
    servers: JoinSet<Result<(), tonic::transport::Error>>,
}

impl Sinks {
    async fn open(&mut self) -> Result<SocketAddr, Error> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::<Mutex<Vec<Bytes>>>::default();
        self.received.push(Arc::clone(&received));
        let requests = Arc::clone(&self.requests);
        let service = OtlpService::new(MAX_MESSAGE, move |request| {
            requests.fetch_add(1, Ordering::Relaxed);
            received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        });
        self.servers.spawn(Server::builder().serve_with_incoming(service, TcpListenerStream::new(listener)));
        Ok(address)
    }

    async fn wait_until_quiet(&self) {
        let mut before = None;
        while before != Some(self.requests.load(Ordering::Relaxed)) {
            before = Some(self.requests.load(Ordering::Relaxed));
            sleep(QUIET).await;
        }
    }

    fn close(self) -> Vec<Vec<Bytes>> {
        let take = |received: &Arc<Mutex<Vec<Bytes>>>| {
            std::mem::take(&mut *received.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.received.iter().map(take).collect()
    }
}
