//! One file that is written to, and the ones set aside.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use forebay_otlp::json;
use forebay_otlp::wire::WireError;
use forebay_pipeline::Signal;
use thiserror::Error;

use super::{FileConfig, Format, Rotation};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An open file.
pub(super) struct Writer {
    config: FileConfig,
    file: File,
    /// Bytes in the file.
    size: u64,
}

/// Why a request is not in the file.
#[derive(Debug, Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Malformed(#[from] WireError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Writer {
    /// Opens the file; it is emptied unless it is to be appended to or rotated.
    pub(super) fn open(config: FileConfig) -> io::Result<Self> {
        if let Some(mode) = config.create_directory
            && let Some(directory) = config.path.parent()
        {
            create(directory, mode)?;
        }
        let keep = config.append || config.rotation.is_some();
        // Always appending, so that two writers do not overwrite each other's lines.
        let file = OpenOptions::new().create(true).append(true).open(&config.path)?;
        if !keep {
            file.set_len(0)?;
        }
        let size = file.metadata()?.len();
        Ok(Self { config, file, size })
    }

    /// Writes a request, whole or not at all.
    pub(super) fn write(
        &mut self,
        signal: Signal,
        request: &Bytes,
        now: SystemTime,
    ) -> Result<(), WriteError> {
        let message = self.encode(signal, request)?;
        Ok(self.append(&message, now)?)
    }

    /// JSON is a line; anything binary follows its length in four bytes, the highest first.
    fn encode(&self, signal: Signal, request: &Bytes) -> Result<Vec<u8>, WriteError> {
        let mut plain = Vec::new();
        match self.config.format {
            Format::Proto => plain.extend_from_slice(request),
            Format::Json => json::encode(signal, request, &mut plain)?,
        }
        if self.config.format == Format::Json && !self.config.zstd {
            plain.push(b'\n');
            return Ok(plain);
        }
        if self.config.zstd {
            plain = zstd::encode_all(&*plain, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        }
        let length = u32::try_from(plain.len()).map_err(io::Error::other)?;
        plain.splice(..0, length.to_be_bytes());
        Ok(plain)
    }

    fn append(&mut self, message: &[u8], now: SystemTime) -> io::Result<()> {
        let after = self.size + message.len() as u64;
        if let Some(rotation) = self.config.rotation
            && self.size > 0
            && after > rotation.max_bytes
        {
            self.rotate(rotation, now)?;
        }
        if let Err(error) = self.file.write_all(message) {
            // A torn message would make what follows unreadable. If this fails too, the error at hand
            // says more.
            let _ = self.file.set_len(self.size);
            return Err(error);
        }
        self.size += message.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, rotation: Rotation, now: SystemTime) -> io::Result<()> {
        let names = Names::of(&self.config.path);
        match fs::rename(&self.config.path, names.free(now)) {
            Ok(()) => {}
            // Somebody else took the file away, or opening the next one failed the last time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.file = OpenOptions::new().create(true).append(true).open(&self.config.path)?;
        self.size = self.file.metadata()?.len();
        names.prune(rotation, now)
    }
}

#[cfg(unix)]
fn create(directory: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    DirBuilder::new().recursive(true).mode(mode).create(directory)
}

#[cfg(not(unix))]
fn create(directory: &Path, _: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(directory)
}

/// The names of files set aside: `traces-2026-11-21T12-31-04.123.json` beside `traces.json`, as those of
/// the Collector. Their order is the order of time.
struct Names<'a> {
    directory: &'a Path,
    stem: &'a str,
    extension: String,
}

impl<'a> Names<'a> {
    fn of(path: &'a Path) -> Self {
        let text = |part: Option<&'a OsStr>| part.and_then(OsStr::to_str).unwrap_or_default();
        let extension = text(path.extension());
        Self {
            directory: path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            stem: text(path.file_stem()),
            extension: if extension.is_empty() { String::new() } else { format!(".{extension}") },
        }
    }

    fn at(&self, time: SystemTime) -> String {
        let time = humantime::format_rfc3339_millis(time).to_string().replace(':', "-");
        format!("{}-{}{}", self.stem, time.trim_end_matches('Z'), self.extension)
    }

    /// A name that no file has yet.
    fn free(&self, now: SystemTime) -> PathBuf {
        let mut time = now;
        loop {
            let path = self.directory.join(self.at(time));
            if !path.exists() {
                return path;
            }
            time += Duration::from_millis(1);
        }
    }

    /// Removes files that are too old or too many.
    fn prune(&self, rotation: Rotation, now: SystemTime) -> io::Result<()> {
        let mut backups: Vec<String> = fs::read_dir(self.directory)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.is_backup(name))
            .collect();
        backups.sort_unstable_by(|a, b| b.cmp(a));
        let many = if rotation.max_backups == 0 { usize::MAX } else { rotation.max_backups };
        let age = DAY.saturating_mul(u32::try_from(rotation.max_days).unwrap_or(u32::MAX));
        let oldest = match rotation.max_days {
            0 => None,
            _ => now.checked_sub(age).map(|time| self.at(time)),
        };
        for (index, name) in backups.iter().enumerate() {
            if index >= many || oldest.as_ref().is_some_and(|oldest| name < oldest) {
                fs::remove_file(self.directory.join(name))?;
            }
        }
        Ok(())
    }

    fn is_backup(&self, name: &str) -> bool {
        let time = name
            .strip_prefix(self.stem)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(self.extension.as_str()));
        time.is_some_and(|time| {
            let pattern = b"dddd-dd-ddTdd-dd-dd.ddd";
            time.len() == pattern.len()
                && time.bytes().zip(pattern).all(|(byte, &expected)| match expected {
                    b'd' => byte.is_ascii_digit(),
                    _ => byte == expected,
                })
        })
    }
}
