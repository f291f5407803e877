use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{TempDir, tempdir};

use super::*;

mod damage;
mod model;

/// As small as can be, so that a few records fill it: four segments.
const SMALL: Options = Options { bytes: 4 * SEGMENT_BYTES_MIN, segment_bytes: SEGMENT_BYTES_MIN };
/// A payload of which a small segment takes four.
const QUARTER: [u8; 1_000] = [7; 1_000];

/// What an opened log said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Record(Address, Vec<u8>),
    Mark(Vec<u8>),
}

impl From<Recovered<'_>> for Found {
    fn from(recovered: Recovered<'_>) -> Self {
        match recovered {
            Recovered::Record { address, payload } => Self::Record(address, payload.to_vec()),
            Recovered::Mark(payload) => Self::Mark(payload.to_vec()),
        }
    }
}

fn open(directory: &Path, options: Options) -> (Segments, Vec<Found>, Recovery) {
    let mut found = Vec::new();
    let (log, recovery) = Segments::open(directory, options, |one| found.push(one.into())).unwrap();
    (log, found, recovery)
}

fn empty(options: Options) -> (TempDir, Segments) {
    let directory = tempdir().unwrap();
    let (log, found, recovery) = open(directory.path(), options);
    assert_eq!((found, recovery), (Vec::new(), Recovery::default()));
    (directory, log)
}

/// The names and sizes of the segments' files, in order.
fn files(directory: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .filter(|(name, _)| name.ends_with(".segment"))
        .collect();
    files.sort_unstable();
    files
}

fn read(log: &mut Segments, address: Address) -> Vec<u8> {
    log.read(address, &mut Vec::new()).unwrap().to_vec()
}

#[test]
fn a_record_reads_the_same_from_the_buffer_the_file_and_a_sealed_segment() {
    let (_directory, mut log) = empty(SMALL);
    let address = log.append(&[b"one", b"", b" record"]).unwrap();
    assert_eq!(read(&mut log, address), b"one record");
    log.flush().unwrap();
    assert_eq!(read(&mut log, address), b"one record");
    let nothing = log.append(&[]).unwrap();
    for _ in 0..5 {
        log.append(&[&QUARTER]).unwrap();
    }
    assert_eq!(log.sealed.len(), 1);
    assert_eq!(read(&mut log, address), b"one record");
    assert_eq!(read(&mut log, nothing), b"");
}

#[test]
fn a_file_is_laid_out_as_another_implementation_lays_it_out() {
    let (directory, mut log) = empty(SMALL);
    log.append(&[b"first"]).unwrap();
    log.mark(&[b"a ", b"mark"]).unwrap();
    log.append(&[]).unwrap();
    log.flush().unwrap();
    // Made with Python's struct and zlib.
    let expected = b"FBYSEG\x01\x00\
        \x7a\x56\x4c\x81\x01\x05\x00\x00\x00first\
        \x66\xee\xbd\x44\x02\x06\x00\x00\x00a mark\
        \xd4\x97\x45\x9c\x01\x00\x00\x00\x00";
    assert_eq!(fs::read(file::path(directory.path(), 0)).unwrap(), expected);
}

#[test]
fn what_is_flushed_is_found_again_at_the_same_address_and_in_the_order_of_writing() {
    let (directory, mut log) = empty(SMALL);
    let mut written = Vec::new();
    for number in 0..12_u8 {
        let payload = vec![number; 700];
        written.push(Found::Record(log.append(&[&payload]).unwrap(), payload));
        log.mark(&[&[number]]).unwrap();
        written.push(Found::Mark(vec![number]));
    }
    log.flush().unwrap();
    log.append(&[b"not flushed"]).unwrap();
    drop(log);
    let (mut log, found, recovery) = open(directory.path(), SMALL);
    assert_eq!(found, written);
    assert_eq!(recovery, Recovery { records: 12, marks: 12, ..Recovery::default() });
    for found in &written {
        if let Found::Record(address, payload) = found {
            assert_eq!(read(&mut log, *address), *payload);
        }
    }
}

#[test]
fn only_its_owner_can_read_a_log_and_names_tell_the_order() {
    let directory = tempdir().unwrap();
    let directory = directory.path().join("made/for it");
    let (mut log, ..) = open(&directory, SMALL);
    for _ in 0..6 {
        log.append(&[&QUARTER]).unwrap();
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("lock")), 0o600);
    let names: Vec<_> = files(&directory).into_iter().map(|(name, _)| name).collect();
    // A header of 8 bytes, and four records with 9 bytes before 1000.
    assert_eq!(names, ["00000000000000000000.segment", "00000000000000004044.segment"]);
    assert!(names.iter().all(|name| mode(&directory.join(name)) == 0o600));
}

#[test]
fn segments_leave_in_order_so_a_mark_outlives_what_it_marks() {
    let (directory, mut log) = empty(SMALL);
    let old = log.append(&[&QUARTER]).unwrap();
    let young: Vec<_> = (0..8).map(|_| log.append(&[&QUARTER]).unwrap()).collect();
    log.mark(&[b"the young ones"]).unwrap();
    for address in young {
        log.release(address).unwrap();
    }
    log.flush().unwrap();
    assert_eq!(files(directory.path()).len(), 3);
    drop(log);
    let (mut log, found, _) = open(directory.path(), SMALL);
    assert_eq!(found.len(), 10);
    assert_eq!(found[9], Found::Mark(b"the young ones".to_vec()));
    for found in &found {
        if let Found::Record(address, _) = found
            && *address != old
        {
            log.release(*address).unwrap();
        }
    }
    assert_eq!(files(directory.path()).len(), 3);
    // Marks are not live, so with the last record everything goes.
    log.release(old).unwrap();
    assert_eq!(files(directory.path()), []);
    assert_eq!((log.bytes(), log.live_bytes()), (0, 0));
}

#[test]
fn marks_with_nothing_before_them_are_found_for_the_last_time() {
    let (directory, mut log) = empty(SMALL);
    log.mark(&[b"about what is gone"]).unwrap();
    log.flush().unwrap();
    drop(log);
    let (log, found, _) = open(directory.path(), SMALL);
    assert_eq!(found, [Found::Mark(b"about what is gone".to_vec())]);
    assert_eq!((log.bytes(), files(directory.path())), (0, Vec::new()));
}

#[test]
fn a_full_log_refuses_and_takes_again_when_the_oldest_are_released() {
    let (_directory, mut log) = empty(SMALL);
    let mut addresses = Vec::new();
    while !log.is_full() {
        addresses.push(log.append(&[&QUARTER]).unwrap());
    }
    // The last segment has just been begun.
    assert_eq!(addresses.len(), 13);
    for _ in 0..3 {
        addresses.push(log.append(&[&QUARTER]).unwrap());
    }
    assert!(matches!(log.append(&[&QUARTER]), Err(Error::Full { bytes: 16_384, .. })));
    assert!(matches!(log.mark(&[&QUARTER]), Err(Error::Full { .. })));
    assert_eq!(addresses.iter().map(|&address| read(&mut log, address).len()).sum::<usize>(), 16_000);

    let oldest: Vec<_> = log.oldest().collect();
    assert_eq!(oldest, addresses[..4]);
    for address in oldest {
        assert!(log.is_full());
        log.release(address).unwrap();
    }
    assert!(!log.is_full());
    log.append(&[&QUARTER]).unwrap();
}

#[test]
fn oldest_records_can_be_appended_once_more_when_the_log_says_that_it_is_full() {
    let (directory, mut log) = empty(SMALL);
    let mut kept = log.append(&[b"kept for long"]).unwrap();
    for _ in 0..100 {
        log.append(&[&QUARTER]).unwrap();
        if log.is_full() {
            let oldest: Vec<_> = log.oldest().collect();
            for address in oldest {
                if address == kept {
                    let payload = read(&mut log, kept);
                    kept = log.append(&[&payload]).unwrap();
                }
                log.release(address).unwrap();
            }
        }
        assert!(log.bytes() <= SMALL.bytes);
    }
    // Wherever it was when its segment went, it is in a file.
    drop(log);
    let (_, found, _) = open(directory.path(), SMALL);
    assert!(found.contains(&Found::Record(kept, b"kept for long".to_vec())));
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own() {
    let (directory, mut log) = empty(SMALL);
    let small = log.append(&[b"small"]).unwrap();
    let payload = vec![3; 9_000];
    let large = log.append(&[&payload]).unwrap();
    let after = log.append(&[b"after"]).unwrap();
    log.flush().unwrap();
    assert_eq!(files(directory.path()).iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>(), [22, 9_017, 22]);
    assert_eq!(read(&mut log, large), payload);
    log.release(small).unwrap();
    log.release(large).unwrap();
    assert!(log.reader.is_none(), "an open file keeps its bytes");
    assert_eq!(read(&mut log, after), b"after");
    assert_eq!(log.bytes(), 22);
}

#[test]
fn a_record_that_takes_everything_is_taken_when_nothing_is_live_and_a_larger_one_never() {
    let (directory, mut log) = empty(SMALL);
    let most = usize::try_from(SMALL.bytes - file::HEADER_BYTES).unwrap() - record::HEADER_BYTES;
    let payload = vec![1; most + 1];
    let small = log.append(&[b"small"]).unwrap();
    assert!(matches!(log.append(&[&payload]), Err(Error::TooLarge { .. })));
    assert!(matches!(log.append(&[&payload[1..]]), Err(Error::Full { .. })));
    // The segment that was begun is still there, and what fits it does.
    let neighbour = log.append(&[b"neighbour"]).unwrap();
    assert_eq!(files(directory.path()).len(), 1);
    log.release(small).unwrap();
    log.release(neighbour).unwrap();
    let all = log.append(&[&payload[1..]]).unwrap();
    assert_eq!((log.bytes(), log.live_bytes()), (SMALL.bytes, SMALL.bytes - file::HEADER_BYTES));
    assert_eq!(read(&mut log, all).len(), most);
    assert_eq!(files(directory.path()).len(), 1);
}

#[test]
fn what_has_been_released_is_neither_read_nor_released_again() {
    let (_directory, mut log) = empty(SMALL);
    let first = log.append(&[b"first"]).unwrap();
    let second = log.append(&[b"second"]).unwrap();
    for _ in 0..2 {
        log.release(first).unwrap();
        assert_eq!(log.live_bytes(), record::bytes(6));
    }
    assert!(matches!(log.read(first, &mut Vec::new()), Err(Error::Released { .. })));
    log.release(second).unwrap();
    assert!(matches!(log.read(second, &mut Vec::new()), Err(Error::Released { .. })));
    assert_eq!(log.oldest().count(), 0);
    // An address of another log, in the middle of a record and beyond the end.
    let third = log.append(&[b"third"]).unwrap();
    for offset in [1, 100] {
        let stranger = Address::new(third.position(), offset);
        log.release(stranger).unwrap();
        assert!(matches!(log.read(stranger, &mut Vec::new()), Err(Error::Released { .. })));
    }
    assert_eq!(read(&mut log, third), b"third");
}

#[test]
fn a_directory_has_one_user_at_a_time_and_the_other_is_told_who_that_is() {
    let (directory, log) = empty(SMALL);
    let refused = Segments::open(directory.path(), SMALL, |_| {}).unwrap_err();
    let path = directory.path().display();
    let pid = std::process::id();
    assert_eq!(
        refused.to_string(),
        format!("{path} is in use by process {pid}; every process needs a directory of its own")
    );
    drop(log);
    open(directory.path(), SMALL);
}

#[test]
fn a_full_disk_loses_nothing_and_is_tried_again() {
    let (directory, mut log) = empty(Options { bytes: 8 << 20, segment_bytes: 2 << 20 });
    let first = log.append(&[&QUARTER]).unwrap();
    log.flush().unwrap();
    // Every write to this one fails for want of space.
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let file = log.head.as_mut().unwrap().replace_file(full);

    let mut appended = Vec::new();
    let refused = loop {
        match log.append(&[&QUARTER]) {
            Ok(address) => appended.push(address),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull));
    assert!(matches!(log.flush(), Err(Error::Io { action: "write", .. })));
    assert_eq!(appended.len(), (256 << 10) / 1_009);
    for &address in &appended {
        assert_eq!(read(&mut log, address), QUARTER);
    }
    log.release(appended[0]).unwrap();

    log.head.as_mut().unwrap().replace_file(file);
    appended.push(log.append(&[&QUARTER]).unwrap());
    log.flush().unwrap();
    assert_eq!(read(&mut log, first), QUARTER);
    drop(log);
    let (_, found, recovery) = open(directory.path(), SMALL);
    assert_eq!(recovery.bytes_cut, 0);
    let addresses = std::iter::once(first).chain(appended);
    assert!(found.into_iter().eq(addresses.map(|address| Found::Record(address, QUARTER.to_vec()))));
}

#[test]
fn a_directory_that_vanishes_is_an_error_and_the_log_goes_on_when_it_is_back() {
    let (directory, mut log) = empty(SMALL);
    let lost: Vec<_> = (0..4).map(|_| log.append(&[&QUARTER]).unwrap()).collect();
    fs::remove_dir_all(directory.path()).unwrap();
    for _ in 0..2 {
        assert!(matches!(log.append(&[&QUARTER]), Err(Error::Io { action: "make", .. })));
    }
    assert!(matches!(log.read(lost[0], &mut Vec::new()), Err(Error::Io { action: "read", .. })));
    fs::create_dir(directory.path()).unwrap();
    let address = log.append(&[b"back"]).unwrap();
    assert_eq!(read(&mut log, address), b"back");
    for address in lost {
        log.release(address).unwrap();
    }
    assert_eq!(log.bytes(), 8 + 9 + 4);
}

#[test]
fn a_file_that_cannot_be_removed_counts_until_it_can() {
    let (directory, mut log) = empty(SMALL);
    let addresses: Vec<_> = (0..16).map(|_| log.append(&[&QUARTER]).unwrap()).collect();
    let path = file::path(directory.path(), 0);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let before = log.bytes();
    addresses[..3].iter().for_each(|&address| log.release(address).unwrap());
    assert!(matches!(log.release(addresses[3]), Err(Error::Io { action: "remove", .. })));
    assert!(matches!(log.append(&[&QUARTER]), Err(Error::Io { action: "remove", .. })));
    assert_eq!((log.bytes(), log.oldest().next()), (before, Some(addresses[4])));
    fs::remove_dir(&path).unwrap();
    log.append(&[&QUARTER]).unwrap();
    assert!(log.bytes() < before);
}

#[test]
fn a_segment_without_records_does_not_stand_in_the_way_of_the_next() {
    let (_directory, mut log) = empty(SMALL);
    log.append(&[&QUARTER]).unwrap();
    log.begin(1).unwrap();
    log.begin(1).unwrap();
    let address = log.append(&[b"next"]).unwrap();
    assert_eq!(read(&mut log, address), b"next");
}

#[test]
fn a_log_that_is_opened_with_less_room_takes_nothing_until_it_fits() {
    let (directory, mut log) = empty(SMALL);
    for _ in 0..16 {
        log.append(&[&QUARTER]).unwrap();
    }
    log.flush().unwrap();
    drop(log);
    let half = Options { bytes: SMALL.bytes / 2, ..SMALL };
    let (mut log, found, _) = open(directory.path(), half);
    assert_eq!(found.len(), 16);
    assert!(matches!(log.append(&[b"more"]), Err(Error::Full { .. })));
    while log.is_full() {
        let oldest: Vec<_> = log.oldest().collect();
        oldest.into_iter().for_each(|address| log.release(address).unwrap());
    }
    assert!(log.bytes() + SMALL.segment_bytes <= half.bytes);
    log.append(&[b"more"]).unwrap();
}

#[test]
fn bounds_that_cannot_hold_are_refused() {
    let refused =
        |bytes, segment_bytes| matches!(Options { bytes, segment_bytes }.check(), Err(Error::Bounds { .. }));
    assert!(refused(1 << 30, SEGMENT_BYTES_MIN - 1));
    assert!(refused(u64::MAX, SEGMENT_BYTES_MAX + 1));
    assert!(refused(2 * SEGMENT_BYTES_MIN - 1, SEGMENT_BYTES_MIN));
    assert!(!refused(2 * SEGMENT_BYTES_MIN, SEGMENT_BYTES_MIN));
    let directory = tempdir().unwrap();
    let absent = directory.path().join("log");
    let error = Segments::open(&absent, Options { bytes: 1, segment_bytes: 1 }, |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "segments of 1 bytes in 1 bytes do not work: a segment has 4096 bytes to 1073741824, and all together at \
         least two of them"
    );
    assert!(!absent.exists());
}
