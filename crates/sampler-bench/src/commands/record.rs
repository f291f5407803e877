//! `record`

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::{Error, say};
use crate::cli::RecordArguments;
use crate::record::Recording;

/// How long what is on its way may take to arrive at the end.
const GRACE: Duration = Duration::from_secs(10);

pub(super) fn record(arguments: &RecordArguments) -> Result<ExitCode, Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (grpc, http) = (whole(&arguments.listen), arguments.http.as_deref().map(whole));
        let (mut stop, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let recording = Recording::start(&grpc, http.as_deref(), &arguments.out).await?;
        say(&format!("recording what comes to {grpc}, until Ctrl-C"));
        let limit = arguments.seconds.map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.into()));
        tokio::select! {
            () = sleep(limit) => {}
            _ = stop.recv() => {}
            _ = interrupt.recv() => {}
        }
        let recorded = recording.finish(Instant::now() + GRACE).await;
        let out = arguments.out.display();
        say(&format!("{} requests with {} spans are in {out}", recorded.requests, recorded.spans));
        Ok(ExitCode::SUCCESS)
    })
}

/// An address with a host: `:4317` is that port of all interfaces.
fn whole(address: &str) -> String {
    if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() }
}
