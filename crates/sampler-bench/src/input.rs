//! Recorded traces, read from files.
//!
//! A file may be what a `file` exporter writes, Forebay's or the Collector's: OTLP/JSON, a request a line, or OTLP
//! protobuf, each request behind its length; or one bare protobuf request; or what Jaeger's user interface downloads.
//! It may be compressed by zstd or gzip. Which of them it is its first bytes say. Files are read as streams, and no
//! more than one request of a bounded size is held beside the workload that is built ([`WorkloadBuilder`]), which has
//! a bound of its own. What is wrong with a request costs that request, and is counted ([`Oddities`](crate::Oddities)).

mod frames;
mod jaeger;
pub mod labels;
mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use crate::{Workload, WorkloadBuilder};

/// A file cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}: {error}", path.display())]
pub struct InputError {
    path: PathBuf,
    error: io::Error,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    OtlpJsonLines,
    OtlpFrames,
    JaegerJson,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct Input {
    /// Files with traces, in the order of their time.
    pub traces: Vec<PathBuf>,
    /// A file that says which traces are anomalous: a CSV file with the columns `TraceID`, `label` (0 or 1) and,
    /// if it likes, `fault`, in any order and among others.
    pub labels: Option<PathBuf>,
    /// How many spans to hold at most.
    pub span_limit: usize,
    /// How much to take, from the first request on.
    pub time_limit: Duration,
}

/// A request may be this long; the longest that others send are a quarter of it.
const REQUEST_MAX: usize = 64 << 20;
/// How far a file is looked into to tell what it holds.
const PEEK: usize = 64 << 10;

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP: &[u8] = &[0x1f, 0x8b];

impl Input {
    /// Reads everything.
    ///
    /// # Errors
    /// When a file cannot be opened, or ends in the middle of what is compressed.
    pub fn read(&self) -> Result<Workload, InputError> {
        let mut builder = WorkloadBuilder::new(self.span_limit).with_time_limit(self.time_limit);
        for (number, path) in (0..).zip(&self.traces) {
            read_file(path, number, &mut builder).map_err(at(path))?;
        }
        let faults = self.labels.as_ref().map(|path| {
            let file = File::open(path).map_err(at(path))?;
            Ok(labels::read(BufReader::new(file), &mut builder))
        });
        let name = self.traces.first().and_then(|path| {
            // Files called `traces.jsonl.zst` tell less than the folder they lie in.
            let stem = path.file_name()?.to_str()?.split('.').next()?;
            let folder = path.parent().and_then(|folder| folder.file_name()?.to_str());
            Some(if stem == "traces" { folder.unwrap_or(stem) } else { stem }.to_owned())
        });
        Ok(builder.finish(name.unwrap_or_default(), faults.transpose()?))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InputError + use<'_> {
    move |error| InputError { path: path.to_owned(), error }
}

fn read_file(path: &Path, number: u32, builder: &mut WorkloadBuilder) -> io::Result<()> {
    read_from(BufReader::with_capacity(PEEK, File::open(path)?), number, builder)
}

/// Adds what `reader` has, in whichever form; `file` is the file's number.
///
/// # Errors
/// Those of reading, and of what is compressed and is cut short.
pub fn read_from(reader: impl BufRead + 'static, file: u32, builder: &mut WorkloadBuilder) -> io::Result<()> {
    read(decompressed(reader)?, file, builder)
}

fn read(mut reader: Box<dyn BufRead>, file: u32, builder: &mut WorkloadBuilder) -> io::Result<()> {
    match Format::of(reader.fill_buf()?) {
        Format::OtlpJsonLines => lines::read(reader, file, builder),
        Format::OtlpFrames => frames::read(reader, file, builder),
        Format::JaegerJson => jaeger::read(reader, file, builder),
    }
}

fn decompressed<R: BufRead + 'static>(mut reader: R) -> io::Result<Box<dyn BufRead>> {
    let begin = reader.fill_buf()?;
    let buffered =
        |decoder: Box<dyn Read>| Box::new(BufReader::with_capacity(PEEK, decoder)) as Box<dyn BufRead>;
    Ok(if begin.starts_with(ZSTD) {
        buffered(Box::new(zstd::Decoder::with_buffer(reader)?))
    } else if begin.starts_with(GZIP) {
        buffered(Box::new(MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
}

impl Format {
    /// What a file holds that begins so.
    fn of(begin: &[u8]) -> Self {
        let contains = |word: &str| memchr::memmem::find(begin, word.as_bytes()).is_some();
        if begin.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            Self::OtlpFrames
        } else if !contains("\"resourceSpans\"") && (contains("\"traceID\"") || contains("\"data\"")) {
            Self::JaegerJson
        } else {
            Self::OtlpJsonLines
        }
    }
}

#[cfg(test)]
mod tests;
