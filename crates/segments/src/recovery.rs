//! What an earlier process has left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use crate::error::{Error, at};
use crate::record::{self, Address, Kind};
use crate::segment::Segment;
use crate::{SEGMENT_BYTES_MAX, file};

/// Something that was found when a log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered<'a> {
    /// What [`append`](crate::Segments::append) has written. It is live.
    Record {
        /// Where it is, as before.
        address: Address,
        /// Its parts, joined.
        payload: &'a [u8],
    },
    /// What [`mark`](crate::Segments::mark) has written, its parts joined.
    Mark(&'a [u8]),
}

/// How much was found when a log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Records.
    pub records: u64,
    /// Marks.
    pub marks: u64,
    /// Segments that ended in something torn or damaged.
    pub segments_cut: u64,
    /// Bytes that were cut off there.
    pub bytes_cut: u64,
}

/// The records of a segment that begins at `base`, one after the other, as far as they are intact.
struct Scanner {
    file: BufReader<File>,
    segment: Segment,
    /// Bytes of the file.
    length: u64,
    record: Vec<u8>,
}

const BUFFER_BYTES: usize = 256 << 10;

/// Reads the segment in the file at `path`, which begins at `base`. Cuts off what follows the last record that is
/// intact, and removes the file if there is none.
pub(crate) fn read(
    path: &Path,
    base: u64,
    recovery: &mut Recovery,
    mut recover: impl FnMut(Recovered<'_>),
) -> Result<Option<Segment>, Error> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(at(path, "open"))?;
    let (mut scanner, header) = Scanner::new(file, base).map_err(at(path, "read"))?;
    let end = if file::check(path, &header)? {
        while let Some((address, kind, payload)) = scanner.next().map_err(at(path, "read"))? {
            match kind {
                Kind::Record => {
                    recovery.records += 1;
                    recover(Recovered::Record { address, payload });
                }
                Kind::Mark => {
                    recovery.marks += 1;
                    recover(Recovered::Mark(payload));
                }
            }
        }
        scanner.segment.length()
    } else {
        0
    };
    let cut = scanner.length.saturating_sub(end);
    recovery.bytes_cut += cut;
    recovery.segments_cut += u64::from(cut > 0);
    if end <= file::HEADER_BYTES {
        fs::remove_file(path).map_err(at(path, "remove"))?;
        return Ok(None);
    }
    if cut > 0 {
        scanner.file.get_ref().set_len(end).map_err(at(path, "shorten"))?;
    }
    Ok(Some(scanner.segment))
}

impl Scanner {
    /// Begins to read a file, with its header.
    fn new(file: File, base: u64) -> io::Result<(Self, Vec<u8>)> {
        let length = file.metadata()?.len();
        let segment = Segment::new(base, file::HEADER_BYTES);
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut scanner = Self { file, segment, length, record: Vec::new() };
        let mut header = Vec::new();
        scanner.file.by_ref().take(file::HEADER_BYTES).read_to_end(&mut header)?;
        Ok((scanner, header))
    }

    /// The next record; none at the end, and none that is not intact or begins where none can.
    fn next(&mut self) -> io::Result<Option<(Address, Kind, &[u8])>> {
        if self.segment.length() > SEGMENT_BYTES_MAX {
            return Ok(None);
        }
        self.record.clear();
        self.take(record::HEADER_BYTES as u64)?;
        let Ok(header) = <[u8; record::HEADER_BYTES]>::try_from(&*self.record) else { return Ok(None) };
        let length = record::payload_length(header);
        self.take(u64::from(length))?;
        let address = self.segment.next();
        let Some((kind, payload)) = record::parse(address, &self.record) else { return Ok(None) };
        self.segment.push(record::bytes(length), kind == Kind::Record);
        Ok(Some((address, kind, payload)))
    }

    /// Reads up to `bytes` more of the record.
    fn take(&mut self, bytes: u64) -> io::Result<()> {
        self.file.by_ref().take(bytes).read_to_end(&mut self.record).map(drop)
    }
}
