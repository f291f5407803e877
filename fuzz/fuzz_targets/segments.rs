//! Segments on disk: whatever a file holds, opening the log yields records that it can then be asked for, or an
//! error, and what was found once is found again.
//!
//! If the first byte is odd, the rest is a file. Otherwise a log writes it, from records with a byte for length and
//! kind each, and one byte of the file is changed: the next byte says how, and the two after it where.

#![no_main]

use std::fs;
use std::path::Path;

use forebay_segments::{Address, Options, Recovered, Segments};
use libfuzzer_sys::fuzz_target;

const OPTIONS: Options = Options { bytes: 1 << 20, segment_bytes: 1 << 16 };
const FIRST: &str = "00000000000000000000.segment";

/// What was written or found: a mark has no address.
type Found = (Option<Address>, Vec<u8>);

fuzz_target!(|input: &[u8]| {
    let directory = tempfile::tempdir().expect("there is room");
    let directory = directory.path();
    let path = directory.join(FIRST);
    match *input {
        [selector, ref file @ ..] if selector % 2 == 1 => {
            fs::write(&path, file).expect("there is room");
            check(directory);
        }
        [_, change, low, high, ref records @ ..] => {
            let written = write(directory, records);
            let Ok(mut file) = fs::read(&path) else { return };
            let position = usize::from(u16::from_le_bytes([low, high])) % file.len();
            file[position] ^= change;
            fs::write(&path, file).expect("there is room");
            if let Some(found) = check(directory) {
                assert!(written.starts_with(&found));
                assert!(change != 0 || found == written);
            }
        }
        _ => {}
    }
});

/// Writes `records` to a log, in one segment.
fn write(directory: &Path, mut records: &[u8]) -> Vec<Found> {
    let (mut log, _) = Segments::open(directory, OPTIONS, |_| {}).expect("the directory is empty");
    let mut written = Vec::new();
    while let Some((&head, rest)) = records.split_first()
        && log.bytes() < OPTIONS.segment_bytes / 2
    {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(head / 2)));
        let address = match head % 2 {
            0 => Some(log.append(&[payload]).expect("there is room")),
            _ => log.mark(&[payload]).map(|()| None).expect("there is room"),
        };
        written.push((address, payload.to_vec()));
        records = rest;
    }
    log.flush().expect("there is room");
    written
}

/// What the log in `directory` holds, if it can be opened.
fn check(directory: &Path) -> Option<Vec<Found>> {
    let (mut log, found) = open(directory)?;
    let records = found.iter().filter_map(|(address, payload)| Some(((*address)?, payload)));
    assert!(log.oldest().eq(records.clone().map(|(address, _)| address)));
    let mut scratch = Vec::new();
    for (address, payload) in records.clone() {
        assert_eq!(log.read(address, &mut scratch).expect("it was found"), payload);
    }
    // Where nothing is live, marks are not needed.
    let kept = if log.live_bytes() > 0 { &*found } else { &[] };
    drop(log);
    let (mut log, again) = open(directory).expect("it could be opened");
    assert_eq!(again, kept);
    for (address, _) in records {
        log.release(address).expect("files can be removed");
    }
    assert_eq!(log.bytes(), 0);
    Some(found)
}

fn open(directory: &Path) -> Option<(Segments, Vec<Found>)> {
    let mut found = Vec::new();
    let opened = Segments::open(directory, OPTIONS, |recovered| {
        found.push(match recovered {
            Recovered::Record { address, payload } => (Some(address), payload.to_vec()),
            Recovered::Mark(payload) => (None, payload.to_vec()),
        });
    });
    opened.ok().map(|(log, _)| (log, found))
}
