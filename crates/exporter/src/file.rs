//! The exporter `file`: every request is a line of OTLP/JSON, or a message of protobuf.
//!
//! A request is in the file, whole, when it is accepted: nothing waits in a buffer, and what a full disk
//! cuts short is taken back. Encoding and writing happen on a thread where they may block.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use forebay_config::Table;
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Telemetry, Throttle};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tracing::error;

use crate::account::{Account, PerSignal};
use crate::{BuildError, ExporterContext};

#[cfg(test)]
mod tests;
mod writer;

use writer::{WriteError, Writer};

/// `exporters::file`, with the Collector's keys and defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileConfig {
    path: PathBuf,
    format: Format,
    /// Each message is a zstd frame of its own.
    zstd: bool,
    append: bool,
    rotation: Option<Rotation>,
    /// Make the directory, with these permissions.
    create_directory: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Json,
    Proto,
}

/// When a file is set aside and a new one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rotation {
    /// Before a file gets larger than this, in bytes.
    max_bytes: u64,
    /// Files set aside longer ago are removed; 0 keeps them.
    max_days: u64,
    /// Only so many of them are kept; 0 keeps all.
    max_backups: usize,
}

/// Makes the exporter `id`, and opens its file. Must be called inside a runtime.
///
/// # Errors
/// When the file cannot be opened.
pub fn build(
    id: &str,
    config: FileConfig,
    context: &ExporterContext,
) -> Result<Arc<dyn Consumer>, BuildError> {
    let path = config.path.clone();
    let writer = Writer::open(config).map_err(|source| BuildError::Open { path, source })?;
    Ok(Arc::new(FileExporter {
        id: id.to_owned(),
        telemetry: context.telemetry.clone(),
        accounts: PerSignal::default(),
        writer: Arc::new(Mutex::new(writer)),
        failures: Throttle::default(),
        runtime: Handle::current(),
    }))
}

impl FileConfig {
    /// Reads the exporter's mapping.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        table.accept("flush_interval", "every request is written at once");
        if table.table("group_by").is_some_and(|group| {
            for key in ["resource_attribute", "sub_directory", "max_open_files"] {
                let _ = group.get(key);
            }
            group.bool_or("enabled", false)
        }) {
            table.error("group_by", "`group_by` is not supported yet");
        }
        table.refuse("encoding", "encoding extensions are not supported yet");
        let create = table.bool_or("create_directory", false);
        let permissions = permissions(table).unwrap_or(0o755);
        let config = Self {
            path: table.require("path", table.string("path")).unwrap_or_default().into(),
            format: table.choice_or(
                "format",
                &[("json", Format::Json), ("proto", Format::Proto)],
                Format::Json,
            ),
            zstd: table.choice_or("compression", &[("", false), ("zstd", true)], false),
            append: table.bool_or("append", false),
            rotation: table.table("rotation").map(|rotation| Rotation::read(&rotation)),
            create_directory: create.then_some(permissions),
        };
        config.check(table);
        config
    }

    fn check(&self, table: &Table<'_>) {
        if self.append && self.rotation.is_some() {
            table.error("append", "`append` and `rotation` exclude each other: rotation appends by itself");
        }
        if self.append && self.zstd {
            table.error("append", "`append` and `compression` exclude each other");
        }
        if self.path.is_dir() {
            table.error("path", format!("`{}` is a directory", self.path.display()));
        }
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(directory) = directory
            && self.create_directory.is_none()
            && !directory.is_dir()
        {
            let message = format!("there is no directory `{}`", directory.display());
            table.error_with_help("path", message, "make it, or set `create_directory: true`");
        }
    }
}

/// `directory_permissions` are octal digits in a string.
fn permissions(table: &Table<'_>) -> Option<u32> {
    let text = table.string("directory_permissions").filter(|text| !text.is_empty())?;
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o777 => Some(mode),
        _ => {
            table.error("directory_permissions", format!("`{text}` is not permissions such as 0755"));
            None
        }
    }
}

impl Rotation {
    const MEGABYTE: u64 = 1024 * 1024;

    fn read(table: &Table<'_>) -> Self {
        if table.bool("localtime") == Some(true) {
            table.warning("localtime", "the names of files set aside are in UTC");
        }
        let megabytes = table.integer("max_megabytes", 0..=u32::MAX.into()).filter(|size| *size > 0);
        Self {
            max_bytes: megabytes.unwrap_or(100) * Self::MEGABYTE,
            max_days: table.integer_or("max_days", 0..=1_000_000, 0),
            max_backups: table.integer_or("max_backups", 0.., 100),
        }
    }
}

struct FileExporter {
    id: String,
    telemetry: Telemetry,
    accounts: PerSignal<Arc<Account>>,
    writer: Arc<Mutex<Writer>>,
    failures: Throttle,
    runtime: Handle,
}

impl Consumer for FileExporter {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let signal = batch.signal;
            let account = Arc::clone(
                self.accounts
                    .get_or_init(signal, || Arc::new(Account::new(&self.telemetry, &self.id, signal))),
            );
            let mut writer = Arc::clone(&self.writer).lock_owned().await;
            // Counted where it is written, since this future may be dropped meanwhile.
            let writing = self.runtime.spawn_blocking(move || {
                let written = writer.write(signal, &batch.bytes, SystemTime::now());
                match &written {
                    Ok(()) => account.delivered(batch.items),
                    Err(_) => account.send_failed.inc_by(batch.items as u64),
                }
                written
            });
            let failure = match writing.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(WriteError::Malformed(error))) => {
                    return Err(Refusal::Permanent(error.to_string()));
                }
                Ok(Err(WriteError::Io(error))) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if let Some(suppressed) = self.failures.pass() {
                error!(exporter = self.id, suppressed, "cannot write: {failure}");
            }
            Err(Refusal::retryable(format!("{} cannot write: {failure}", self.id)))
        })
    }
}
