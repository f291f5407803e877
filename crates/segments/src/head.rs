//! The segment being written.
//!
//! Records are collected in a buffer and written together, always at the position that they have in the file. So
//! a write that failed half-way is simply done again, and until then everything is still in the buffer.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, at};
use crate::record::{Address, Kind};
use crate::segment::Segment;
use crate::{file, record};

/// A segment with room.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) segment: Segment,
    path: PathBuf,
    file: File,
    /// The end of the segment, which the file does not have yet.
    buffer: Vec<u8>,
    /// Bytes of the segment that the file has.
    flushed: u64,
    capacity: u64,
}

/// Bytes collected before they are written, unless a single record is larger.
const BUFFER_BYTES: usize = 256 << 10;

impl Head {
    /// Makes the file of a segment that begins at `base` and has room for `capacity` bytes.
    pub(crate) fn create(directory: &Path, base: u64, capacity: u64) -> Result<Self, Error> {
        let path = file::path(directory, base);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path, "make"))?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        buffer.extend_from_slice(&file::HEADER);
        let segment = Segment::new(base, file::HEADER_BYTES);
        Ok(Self { segment, path, file, buffer, flushed: 0, capacity })
    }

    /// Bytes that the segment has room for.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Appends a record with a payload of `length`, made of `parts`, for which there is room.
    pub(crate) fn append(&mut self, kind: Kind, length: u32, parts: &[&[u8]]) -> Result<Address, Error> {
        if self.buffer.len() + record::HEADER_BYTES + length as usize > BUFFER_BYTES {
            self.flush()?;
        }
        let address = self.segment.next();
        record::put(&mut self.buffer, address, kind, length, parts);
        self.segment.push(record::bytes(length), kind == Kind::Record);
        Ok(address)
    }

    /// Writes what the file does not have yet.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(&self.buffer, self.flushed).map_err(at(&self.path, "write"))?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        Ok(())
    }

    /// Reads the record in `extent` to `into`. All of it is either in the file or in the buffer.
    pub(crate) fn read(&self, extent: Range<u64>, into: &mut Vec<u8>) -> Result<(), Error> {
        let Some(start) = extent.start.checked_sub(self.flushed) else {
            return file::read_at(&self.file, extent, into).map_err(at(&self.path, "read"));
        };
        #[expect(clippy::cast_possible_truncation, reason = "the buffer is in memory")]
        let extent = start as usize..(extent.end - self.flushed) as usize;
        into.clear();
        into.extend_from_slice(&self.buffer[extent]);
        Ok(())
    }

    /// Writes to another file from now on, for tests of what happens when that fails.
    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}
