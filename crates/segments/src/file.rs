//! Segments as files: their names and how they begin.
//!
//! A file is named by the position in the log at which it begins, in as many digits as positions can have, so the
//! order of names is that of writing. It begins with [`HEADER`]; records follow.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, at};

/// Bytes that a segment begins with, which are part of its length.
pub(crate) const HEADER_BYTES: u64 = HEADER.len() as u64;
/// What they are: a magic and the version, in little-endian order.
pub(crate) const HEADER: [u8; 8] = {
    let [low, high] = VERSION.to_le_bytes();
    [b'F', b'B', b'Y', b'S', b'E', b'G', low, high]
};
/// Version of the format of segments.
pub(crate) const VERSION: u16 = 1;
/// No log gets as far as this; a larger number was not written by one.
const POSITION_MAX: u64 = 1 << 63;

/// Where the segment that begins at `base` is.
pub(crate) fn path(directory: &Path, base: u64) -> PathBuf {
    directory.join(name(base))
}

/// Where the segments in `directory` begin, in order. Files with other names are left alone.
pub(crate) fn bases(directory: &Path) -> Result<Vec<u64>, Error> {
    let list =
        || -> io::Result<Vec<_>> { fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect() };
    let names = list().map_err(at(directory, "list"))?;
    let mut bases: Vec<_> = names.iter().filter_map(|name| base(name.to_str()?)).collect();
    bases.sort_unstable();
    Ok(bases)
}

/// Whether a file that begins with `header` is a segment; not if it was cut short before it had one.
pub(crate) fn check(path: &Path, header: &[u8]) -> Result<bool, Error> {
    // Zeros are what a file system makes of bytes that did not get as far as the disk.
    if header.len() < HEADER.len() || header.iter().all(|&byte| byte == 0) {
        return Ok(false);
    }
    match *header {
        [b'F', b'B', b'Y', b'S', b'E', b'G', low, high] => match u16::from_le_bytes([low, high]) {
            VERSION => Ok(true),
            found => Err(Error::Version { path: path.to_owned(), found }),
        },
        _ => Err(Error::Foreign { path: path.to_owned() }),
    }
}

/// Reads `extent` of `file` to `into`, replacing what is there.
pub(crate) fn read_at(file: &File, extent: Range<u64>, into: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::try_from(extent.end - extent.start).map_err(io::Error::other)?;
    into.resize(length, 0);
    file.read_exact_at(into, extent.start)
}

fn name(base: u64) -> String {
    format!("{base:020}.segment")
}

fn base(name: &str) -> Option<u64> {
    let base = name.strip_suffix(".segment")?.parse().ok()?;
    (self::name(base) == name && base < POSITION_MAX).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_positions_are_and_read_back() {
        let positions = [0, 9, 10, 4_096, 1 << 40, POSITION_MAX - 1];
        assert!(positions.map(name).is_sorted());
        assert_eq!(positions.map(|position| base(&name(position))), positions.map(Some));
    }

    #[test]
    fn what_is_not_named_like_a_segment_is_none() {
        for name in ["lock", "1.segment", "+0000000000000000001.segment", "00000000000000000001.segment.bak"]
        {
            assert_eq!(base(name), None, "{name}");
        }
        assert_eq!(base(&name(POSITION_MAX)), None);
    }
}
