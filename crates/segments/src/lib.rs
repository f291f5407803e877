//! A log of records on disk: where bytes wait that memory has no room for, or that have to outlive the process.
//!
//! Records are appended to segments, files of some megabytes, one after the other. Whoever appends keeps the
//! [`Address`], reads the record by it while it is wanted, and releases it in the end. There is no index on disk
//! and nothing is written twice: what waits for a while and then mostly goes needs neither.
//!
//! Segments leave in order. A file is removed when none of its records is live and all files before it are gone,
//! so a [mark](Segments::mark) outlives all records that were appended before it. That is how an owner remembers
//! what it has decided: a mark saying so, and a restart does not resurrect it. What stays for long keeps the log
//! from moving on; when there is no room, its owner gives up the [oldest](Segments::oldest) records, or appends
//! them once more and releases the old ones.
//!
//! [`flush`](Segments::flush) hands everything to the operating system, without waiting for the disk: what is
//! flushed survives the death of the process, but not that of the machine. Every record has a checksum, so of what
//! a machine leaves behind that lost its power, the part that was written is found. Dropping a log is like dying:
//! it does not flush.
//!
//! ```
//! use forebay_segments::{Options, Recovered, Segments};
//!
//! # let directory = tempfile::tempdir()?;
//! let options = Options { bytes: 256 << 20, segment_bytes: 16 << 20 };
//! let (mut log, recovery) = Segments::open(directory.path(), options, |found| match found {
//!     Recovered::Record { address, payload } => println!("{address}: {} bytes", payload.len()),
//!     Recovered::Mark(payload) => println!("a mark: {payload:?}"),
//! })?;
//! assert_eq!(recovery.records, 0);
//!
//! let address = log.append(&[b"a run ", b"of spans"])?;
//! log.flush()?;
//! assert_eq!(log.read(address, &mut Vec::new())?, b"a run of spans");
//!
//! while log.is_full() {
//!     let oldest: Vec<_> = log.oldest().collect();
//!     if oldest.is_empty() {
//!         break;
//!     }
//!     for address in oldest {
//!         log.release(address)?;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod file;
mod head;
mod lock;
mod record;
mod recovery;
mod segment;

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

pub use self::error::Error;
use self::head::Head;
use self::lock::Lock;
pub use self::record::Address;
use self::record::Kind;
pub use self::recovery::{Recovered, Recovery};
use self::segment::Segment;

/// How large a log may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of all files together, the one being written with all its room; at least twice `segment_bytes`.
    pub bytes: u64,
    /// Bytes of one file, 4 KiB to 1 GiB. A record that is larger gets a file of its own.
    pub segment_bytes: u64,
}

/// A log in a directory, of which it is the only user.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    options: Options,
    /// Segments that are no longer written, oldest first.
    sealed: VecDeque<Segment>,
    /// Bytes of these.
    sealed_bytes: u64,
    /// The segment being written; none before the first record.
    head: Option<Head>,
    /// Where the next segment begins.
    end: u64,
    /// The sealed segment that was read last, by where it begins: whoever reads one record reads the next ones.
    reader: Option<(u64, File)>,
    _lock: Lock,
}

/// Bounds of [`Options::segment_bytes`].
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

impl Options {
    /// Whether a log can be opened with these.
    ///
    /// # Errors
    /// [`Error::Bounds`].
    pub fn check(self) -> Result<(), Error> {
        let Self { bytes, segment_bytes } = self;
        let fits =
            (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes) && bytes / 2 >= segment_bytes;
        if fits { Ok(()) } else { Err(Error::Bounds { bytes, segment_bytes }) }
    }
}

impl Segments {
    /// Opens the log in `directory`, which is made if there is none, and tells `recover` what an earlier process
    /// has left there, in the order of writing. All records found are live: of those that later marks make void,
    /// the owner releases the addresses when this has returned.
    ///
    /// A segment is read up to the first record that is torn or damaged; what follows there is cut off.
    ///
    /// # Errors
    /// When `options` are out of range, another process has the directory, a file in it is not a segment that this
    /// version can read, or the file system refuses. What `recover` was told is then void.
    pub fn open(
        directory: &Path,
        options: Options,
        mut recover: impl FnMut(Recovered<'_>),
    ) -> Result<(Self, Recovery), Error> {
        options.check()?;
        // Spans may hold what is nobody else's business.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(error::at(directory, "make"))?;
        let mut log = Self {
            directory: directory.to_owned(),
            options,
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            head: None,
            end: 0,
            reader: None,
            _lock: Lock::take(directory)?,
        };
        let mut recovery = Recovery::default();
        for base in file::bases(directory)? {
            let path = file::path(directory, base);
            if base < log.end {
                return Err(Error::Foreign { path });
            }
            if let Some(segment) = recovery::read(&path, base, &mut recovery, &mut recover)? {
                log.end = segment.end();
                log.seal(segment);
            }
        }
        log.trim()?;
        Ok((log, recovery))
    }

    /// Appends one record made of `parts`. It waits in a buffer until that is large or flushed.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room and [`Error::TooLarge`] when there never will be, otherwise when the
    /// file system refuses. The log is then as before, and may be asked again.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<Address, Error> {
        self.write(Kind::Record, parts)
    }

    /// Appends a mark made of `parts`, which is for recovery alone. It is never live; it goes with its segment, when
    /// everything that was appended before it is gone.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn mark(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        self.write(Kind::Mark, parts).map(drop)
    }

    /// Hands what has been appended to the operating system.
    ///
    /// # Errors
    /// When the file system refuses. Nothing is lost: it is still in the buffer, and the next time all of it is tried
    /// again.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.head.as_mut().map_or(Ok(()), Head::flush)
    }

    /// The record at `address`, read to `scratch`.
    ///
    /// # Errors
    /// When it has been released, is not what was written, or cannot be read.
    pub fn read<'a>(&mut self, address: Address, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
        match &self.head {
            Some(head) if head.segment.base() < address.position() => {
                head.read(head.segment.extent(address).ok_or(Error::Released { address })?, scratch)?;
            }
            _ => {
                let segment = self.sealed_index(address).map(|index| &self.sealed[index]);
                let (base, extent) = segment
                    .and_then(|segment| Some((segment.base(), segment.extent(address)?)))
                    .ok_or(Error::Released { address })?;
                let path = file::path(&self.directory, base);
                let file = self.reader(base).map_err(error::at(&path, "read"))?;
                file::read_at(file, extent, scratch).map_err(error::at(&path, "read"))?;
            }
        }
        let parsed = record::parse(address, scratch);
        parsed
            .map(|(_, payload)| payload)
            .ok_or_else(|| Error::Damaged { directory: self.directory.clone(), address })
    }

    /// Gives up the record at `address`, and removes the files that are no longer needed. Releasing one twice has no
    /// effect.
    ///
    /// # Errors
    /// When a file cannot be removed. The record is released all the same, and the file is tried again later.
    pub fn release(&mut self, address: Address) -> Result<(), Error> {
        match &mut self.head {
            Some(head) if head.segment.base() < address.position() => head.segment.release(address),
            _ => {
                if let Some(index) = self.sealed_index(address) {
                    self.sealed[index].release(address);
                }
            }
        }
        self.trim()
    }

    /// The live records of the oldest segment that has any, in the order of writing; none when nothing is live.
    pub fn oldest(&self) -> impl Iterator<Item = Address> + '_ {
        self.segments().find(|segment| segment.live() > 0).into_iter().flat_map(Segment::addresses)
    }

    /// Whether there will be no room when the segment being written is full. As long as its owner makes room
    /// whenever this is so, [`Error::Full`] does not occur for records that fit a segment, and there is room to
    /// append the oldest ones once more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let head = self.head.as_ref().map_or(self.options.segment_bytes, Head::capacity);
        self.sealed_bytes + head + self.options.segment_bytes > self.options.bytes
    }

    /// Bytes of all files, and of what has not been flushed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sealed_bytes + self.head.as_ref().map_or(0, |head| head.segment.length())
    }

    /// Of these, bytes of live records.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.segments().map(Segment::live).sum()
    }

    fn write(&mut self, kind: Kind, parts: &[&[u8]]) -> Result<Address, Error> {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        let too_large = || Error::TooLarge { bytes: payload, bound: self.options.bytes };
        let length = u32::try_from(payload).map_err(|_| too_large())?;
        let needed = record::bytes(length);
        if file::HEADER_BYTES + needed > self.options.bytes {
            return Err(too_large());
        }
        let head = match &mut self.head {
            Some(head) if head.segment.length() + needed <= head.capacity() => head,
            _ => self.begin(needed)?,
        };
        let address = head.append(kind, length, parts)?;
        self.end = head.segment.end();
        Ok(address)
    }

    /// Begins a segment for a record of `needed` bytes, if there is room for one.
    fn begin(&mut self, needed: u64) -> Result<&mut Head, Error> {
        self.flush()?;
        self.trim()?;
        let capacity = self.options.segment_bytes.max(file::HEADER_BYTES + needed);
        // Nor is there need for the segment written so far, if nothing is live at all.
        let taken = if self.live_bytes() == 0 { self.sealed_bytes } else { self.bytes() };
        if taken + capacity > self.options.bytes {
            return Err(Error::Full { directory: self.directory.clone(), bytes: self.options.bytes });
        }
        if let Some(head) = self.head.take() {
            self.seal(head.segment);
            self.trim()?;
        }
        let head = Head::create(&self.directory, self.end, capacity)?;
        self.end = head.segment.end();
        Ok(self.head.insert(head))
    }

    fn seal(&mut self, segment: Segment) {
        self.sealed_bytes += segment.length();
        self.sealed.push_back(segment);
    }

    /// Removes segments from the oldest on, as long as they have no live records.
    fn trim(&mut self) -> Result<(), Error> {
        while let Some(oldest) = self.sealed.front().filter(|segment| segment.live() == 0) {
            let (base, length) = (oldest.base(), oldest.length());
            // What it held may have been appended once more, and must not be nowhere.
            self.flush()?;
            // An open file keeps its bytes.
            self.reader.take_if(|(read, _)| *read == base);
            let path = file::path(&self.directory, base);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error::at(&path, "remove")(error));
                }
                _ => {}
            }
            self.sealed_bytes -= length;
            self.sealed.pop_front();
        }
        Ok(())
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.sealed.iter().chain(self.head.as_ref().map(|head| &head.segment))
    }

    /// Which sealed segment has `address`, if any.
    fn sealed_index(&self, address: Address) -> Option<usize> {
        self.sealed.partition_point(|segment| segment.base() < address.position()).checked_sub(1)
    }

    /// The file of the sealed segment that begins at `base`.
    fn reader(&mut self, base: u64) -> io::Result<&File> {
        let file = match self.reader.take() {
            Some((read, file)) if read == base => file,
            _ => File::open(file::path(&self.directory, base))?,
        };
        Ok(&self.reader.insert((base, file)).1)
    }
}

#[cfg(test)]
mod tests;
