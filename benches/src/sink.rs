//! The backend: takes OTLP/gRPC and counts.
//!
//! While it runs it prints its [`Report`] as a line of JSON whenever that has changed, so who started it can
//! see when nothing more comes.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs::File,
    io::{self, BufWriter, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;
use forebay_otlp::wire::WireError;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Server;

use crate::{
    Error,
    compare::{Kept, TraceId},
    grpc::OtlpService,
    walk::{for_each_message, for_each_span},
};

/// A batch of the Collector has no upper bound by default.
const MAX_MESSAGE: usize = 64 << 20;
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// How to receive.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to listen for OTLP/gRPC.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: SocketAddr,
    /// Do not look into requests: what it costs to receive bytes and answer, and no more.
    #[arg(long, conflicts_with = "record")]
    pub discard: bool,
    /// Write the trace ids and the number of spans of each to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// What has come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Requests.
    pub requests: u64,
    /// Bytes of the requests.
    pub bytes: u64,
    /// Spans, if they are counted.
    pub spans: u64,
    /// Requests that are not OTLP.
    pub malformed: u64,
}

/// Receives until SIGTERM or SIGINT.
///
/// # Errors
/// If the address is taken or the record cannot be written.
pub async fn run(options: &Options) -> Result<(), Error> {
    let looking = match options {
        Options { discard: true, .. } => Looking::Away,
        Options { record: None, .. } => Looking::AtSpans,
        Options { record: Some(_), .. } => Looking::AtTraces,
    };
    let counter = Arc::new(Counter { looking, state: Mutex::default() });
    let service = OtlpService::new(MAX_MESSAGE, {
        let counter = Arc::clone(&counter);
        move |request| counter.take(&request)
    });
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        served = Server::builder().serve(options.listen, service) => served?,
        never = counter.print_changes() => match never? {},
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let state = counter.state();
    print(&state.report)?;
    if let Some(file) = &options.record {
        let mut out = BufWriter::new(File::create(file)?);
        Kept::new(state.traces.iter().map(|(trace, spans)| (*trace, *spans))).write(&mut out)?;
        out.flush()?;
    }
    Ok(())
}

fn print(report: &Report) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// How closely requests are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    Away,
    AtSpans,
    AtTraces,
}

#[derive(Debug, Default)]
struct State {
    report: Report,
    traces: HashMap<TraceId, u32, RandomState>,
}

struct Counter {
    looking: Looking,
    state: Mutex<State>,
}

impl Counter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, request: &[u8]) {
        let State { report, traces } = &mut *self.state();
        report.requests += 1;
        report.bytes += request.len() as u64;
        if self.looking == Looking::Away {
            return;
        }
        let walked = for_each_span(request, |_, span| {
            report.spans += 1;
            if self.looking == Looking::AtTraces {
                *traces.entry(trace_id(span)?).or_default() += 1;
            }
            Ok(())
        });
        report.malformed += u64::from(walked.is_err());
    }

    /// Prints the report now and then. Does not end by itself.
    async fn print_changes(&self) -> Result<Infallible, Error> {
        let mut printed = Report::default();
        let mut turn = tokio::time::interval(REPORT_EVERY);
        loop {
            turn.tick().await;
            let report = self.state().report;
            if report != printed {
                print(&report)?;
                printed = report;
            }
        }
    }
}

/// The trace id of a span; zero if it has none of the right length.
pub(crate) fn trace_id(span: &[u8]) -> Result<TraceId, WireError> {
    let mut id = TraceId::default();
    for_each_message(0, span, |field, _, content| {
        if field == 1 {
            id = content.try_into().map_or(0, TraceId::from_be_bytes);
        }
        Ok(())
    })?;
    Ok(id)
}
