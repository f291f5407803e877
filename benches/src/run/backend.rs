//! The sink as a child process.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{PATIENCE, sibling};
use crate::{
    Error,
    process::{Process, pinned},
    sink,
};

/// The run is over when the sink has been quiet for this long: longer than a trace waits for its decision.
const QUIET: Duration = Duration::from_secs(4);
/// A system that still sends after this long never stops.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);

/// The sink, with what it last said and when.
pub(super) struct Backend {
    process: Process,
    said: Arc<Mutex<(sink::Report, Instant)>>,
    reader: JoinHandle<()>,
}

impl Backend {
    /// Starts the sink on `core`; `record` is the file it is to write the traces to.
    pub(super) fn start(core: usize, listen: SocketAddr, record: Option<&Path>) -> Result<Self, Error> {
        let mut command = pinned(core, sibling("sink")?);
        command.arg("--listen").arg(listen.to_string()).stdout(Stdio::piped());
        if let Some(file) = record {
            command.arg("--record").arg(file);
        }
        let mut process = Process::start("the sink", &mut command)?;
        let stdout = process.stdout().ok_or("the sink has no standard output")?;
        process.wait_until(PATIENCE, || TcpStream::connect(listen).is_ok())?;
        let said = Arc::new(Mutex::new((sink::Report::default(), Instant::now())));
        let reader = thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Ok(report) = serde_json::from_str(&line) {
                        *said.lock().unwrap_or_else(PoisonError::into_inner) = (report, Instant::now());
                    }
                }
            }
        });
        Ok(Self { process, said, reader })
    }

    /// Waits until nothing has come in for a while.
    pub(super) fn wait_until_quiet(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let said = Arc::clone(&self.said);
        self.process.wait_until(DRAINED_WITHIN, || {
            let last = said.lock().unwrap_or_else(PoisonError::into_inner).1;
            last.max(begun).elapsed() > QUIET
        })
    }

    /// Ends the sink and returns what it received.
    pub(super) fn finish(self) -> Result<sink::Report, Error> {
        self.process.terminate(PATIENCE)?;
        self.reader.join().map_err(|_| "the sink's output could not be read")?;
        let (report, _) = *self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if report.malformed > 0 {
            return Err(format!("{} requests that came out are not OTLP", report.malformed).into());
        }
        Ok(report)
    }
}
