//! The exporter `debug`: writes what arrives for people to read, in the Collector's words.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_config::Table;
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Signal, Telemetry};
use tokio::time::Instant;
use tracing::info;

use crate::account::{Account, PerSignal};
use crate::{BuildError, ExporterContext};

mod message;
#[cfg(test)]
mod tests;
mod text;

use message::Message;

/// `exporters::debug`, with the Collector's keys and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugConfig {
    verbosity: Verbosity,
    /// So many requests are shown each second.
    sampling_initial: u64,
    /// After these, one out of so many; 0: none.
    sampling_thereafter: u64,
    /// Write log lines; else plain text to standard output, without sampling.
    use_internal_logger: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verbosity {
    /// How many spans, points or records a request has.
    Basic,
    /// Each of them in a line.
    Normal,
    /// All there is to know about them.
    Detailed,
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::Basic,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
        }
    }
}

impl DebugConfig {
    /// Reads the exporter's mapping.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        table.accept("sending_queue", "what arrives is written at once");
        table.accept("output_paths", "use_internal_logger: false writes to standard output");
        Self {
            verbosity: table.choice_or(
                "verbosity",
                &[
                    ("basic", Verbosity::Basic),
                    ("normal", Verbosity::Normal),
                    ("detailed", Verbosity::Detailed),
                ],
                default.verbosity,
            ),
            sampling_initial: table.integer_or("sampling_initial", 0.., default.sampling_initial),
            sampling_thereafter: table.integer_or("sampling_thereafter", 0.., default.sampling_thereafter),
            use_internal_logger: table.bool_or("use_internal_logger", default.use_internal_logger),
        }
    }
}

/// Makes the exporter `id`.
///
/// # Errors
/// Never.
pub fn build(
    id: &str,
    config: DebugConfig,
    context: &ExporterContext,
) -> Result<Arc<dyn Consumer>, BuildError> {
    let output = if config.use_internal_logger {
        Output::Log(Mutex::new(Sampling::new(config.sampling_initial, config.sampling_thereafter)))
    } else {
        Output::Plain(Mutex::new(Box::new(std::io::stdout())))
    };
    Ok(Arc::new(Debug::new(id, config.verbosity, output, &context.telemetry)))
}

struct Debug {
    id: String,
    verbosity: Verbosity,
    output: Output,
    telemetry: Telemetry,
    accounts: PerSignal<Account>,
}

enum Output {
    Log(Mutex<Sampling>),
    Plain(Mutex<Box<dyn Write + Send>>),
}

/// Which requests of each second are shown.
struct Sampling {
    initial: u64,
    thereafter: u64,
    second: Instant,
    seen: u64,
}

impl Debug {
    fn new(id: &str, verbosity: Verbosity, output: Output, telemetry: &Telemetry) -> Self {
        Self {
            id: id.to_owned(),
            verbosity,
            output,
            telemetry: telemetry.clone(),
            accounts: PerSignal::default(),
        }
    }

    fn show(&self, batch: &Batch) {
        match &self.output {
            Output::Log(sampling) => {
                if sampling.lock().unwrap_or_else(PoisonError::into_inner).admit() {
                    info!(exporter = self.id, "{}", self.describe(batch));
                }
            }
            Output::Plain(out) => {
                let text = self.describe(batch);
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                // Whoever closed standard output does not want to see more.
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
            }
        }
    }

    fn describe(&self, batch: &Batch) -> String {
        let (title, resources, items) = match batch.signal {
            Signal::Traces => ("Traces", "resource spans", "spans"),
            Signal::Metrics => ("Metrics", "resource metrics", "data points"),
            Signal::Logs => ("Logs", "resource logs", "log records"),
        };
        let request = Message::new(&batch.bytes);
        let count = request.messages(1).count();
        let mut text = format!("{title} {{\"{resources}\": {count}, \"{items}\": {}}}", batch.items);
        let detail = match self.verbosity {
            Verbosity::Basic => return text,
            Verbosity::Normal => text::lines(batch.signal, &request),
            Verbosity::Detailed => text::everything(batch.signal, &request),
        };
        let _ = write!(text, "\n{detail}");
        text
    }
}

impl Consumer for Debug {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        self.show(&batch);
        self.accounts
            .get_or_init(batch.signal, || Account::new(&self.telemetry, &self.id, batch.signal))
            .delivered(batch.items);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Sampling {
    fn new(initial: u64, thereafter: u64) -> Self {
        Self { initial, thereafter, second: Instant::now(), seen: 0 }
    }

    fn admit(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.seen = 0;
        }
        self.seen += 1;
        match self.seen.checked_sub(self.initial) {
            None | Some(0) => true,
            Some(beyond) => self.thereafter > 0 && beyond.is_multiple_of(self.thereafter),
        }
    }
}
