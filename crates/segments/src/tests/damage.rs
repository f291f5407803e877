//! Files that are not as they were written.

use super::*;

/// A log of three records and a mark between them, all in one file; its bytes, and where each of the four ends.
fn written() -> (Vec<Found>, Vec<u8>, Vec<usize>) {
    let (directory, mut log) = empty(SMALL);
    let mut found = Vec::new();
    let mut ends = vec![8];
    for (number, payload) in [&b"first"[..], b"a mark", b"", b"last record"].into_iter().enumerate() {
        found.push(match number {
            1 => {
                log.mark(&[payload]).unwrap();
                Found::Mark(payload.to_vec())
            }
            _ => Found::Record(log.append(&[payload]).unwrap(), payload.to_vec()),
        });
        ends.push(usize::try_from(log.bytes()).unwrap());
    }
    log.flush().unwrap();
    let bytes = fs::read(segment(directory.path())).unwrap();
    assert_eq!(ends.last(), Some(&bytes.len()));
    (found, bytes, ends)
}

/// The file of the first segment.
fn segment(directory: &Path) -> PathBuf {
    file::path(directory, 0)
}

/// Opens a log whose only segment is `bytes`, twice, and checks that what is found can be read and does not change.
fn recover(bytes: &[u8]) -> Result<(Vec<Found>, Recovery), Error> {
    let directory = tempdir().unwrap();
    fs::write(segment(directory.path()), bytes).unwrap();
    let mut found = Vec::new();
    let (mut log, recovery) = Segments::open(directory.path(), SMALL, |one| found.push(Found::from(one)))?;
    for found in &found {
        if let Found::Record(address, payload) = found {
            assert_eq!(read(&mut log, *address), *payload);
        }
    }
    let records = found.iter().filter(|found| matches!(found, Found::Record(..))).count();
    let more = log.append(&[b"more"]).unwrap();
    log.flush().unwrap();
    assert_eq!(log.segments().flat_map(Segment::addresses).count(), records + 1);
    drop(log);
    let (_, again, nothing_cut) = open(directory.path(), SMALL);
    assert_eq!((nothing_cut.segments_cut, nothing_cut.bytes_cut), (0, 0));
    let expected: Vec<_> = found.iter().cloned().chain([Found::Record(more, b"more".to_vec())]).collect();
    assert_eq!(again, expected);
    Ok((found, recovery))
}

#[test]
fn wherever_a_file_was_torn_what_lies_before_is_found_and_the_rest_counted() {
    let (found, bytes, ends) = written();
    for length in 0..=bytes.len() {
        let (survived, recovery) = recover(&bytes[..length]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= length).count().saturating_sub(1);
        assert_eq!(survived, found[..whole], "{length}");
        let end = if length < ends[0] { 0 } else { ends[whole] };
        assert_eq!(recovery.bytes_cut, (length - end) as u64, "{length}");
        assert_eq!(recovery.segments_cut, u64::from(end < length), "{length}");
    }
}

#[test]
fn whichever_byte_has_changed_no_record_that_was_not_written_is_found() {
    let (found, bytes, ends) = written();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            let outcome = recover(&damaged);
            match position {
                0..6 => assert!(matches!(outcome, Err(Error::Foreign { .. })), "{position}"),
                6..8 => assert!(matches!(outcome, Err(Error::Version { .. })), "{position}"),
                _ => {
                    let (survived, recovery) = outcome.unwrap();
                    let whole = ends.iter().filter(|&&end| end <= position).count() - 1;
                    assert_eq!(survived, found[..whole], "{position}");
                    assert_eq!(recovery.bytes_cut, (bytes.len() - ends[whole]) as u64, "{position}");
                }
            }
        }
    }
}

#[test]
fn zeros_where_a_file_system_lost_the_bytes_are_cut() {
    let (found, mut bytes, ends) = written();
    let length = bytes.len();
    bytes.resize(length + 500, 0);
    let (survived, recovery) = recover(&bytes).unwrap();
    assert_eq!((survived, recovery.bytes_cut), (found.clone(), 500));
    bytes[ends[2]..].fill(0);
    assert_eq!(recover(&bytes).unwrap().0, found[..2]);
    let (survived, recovery) = recover(&[0; 100]).unwrap();
    assert_eq!((survived.len(), recovery.segments_cut, recovery.bytes_cut), (0, 1, 100));
}

#[test]
fn damage_in_one_segment_leaves_the_others() {
    let (directory, mut log) = empty(SMALL);
    let addresses: Vec<_> = (0..12).map(|_| log.append(&[&QUARTER]).unwrap()).collect();
    log.flush().unwrap();
    drop(log);
    // The second of the four records in the second segment.
    let path = file::path(directory.path(), files_base(&addresses, 4));
    let mut bytes = fs::read(&path).unwrap();
    bytes[8 + 1_009 + 500] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, found, recovery) = open(directory.path(), SMALL);
    let survived = addresses[..5].iter().chain(&addresses[8..]);
    assert!(found.into_iter().eq(survived.map(|&address| Found::Record(address, QUARTER.to_vec()))));
    assert_eq!((recovery.records, recovery.segments_cut, recovery.bytes_cut), (9, 1, 3 * 1_009));
}

#[test]
fn a_segment_whose_first_record_is_damaged_is_gone() {
    let (directory, mut log) = empty(SMALL);
    let addresses: Vec<_> = (0..12).map(|_| log.append(&[&QUARTER]).unwrap()).collect();
    log.flush().unwrap();
    drop(log);
    let path = file::path(directory.path(), files_base(&addresses, 4));
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, found, recovery) = open(directory.path(), SMALL);
    assert_eq!((found.len(), recovery.segments_cut, recovery.bytes_cut), (8, 1, 4 * 1_009));
    assert_eq!(files(directory.path()).len(), 2);
}

#[test]
fn a_record_damaged_while_the_log_is_open_is_not_read_but_can_be_released() {
    let (directory, mut log) = empty(SMALL);
    let first = log.append(&[b"first"]).unwrap();
    let second = log.append(&[b"second"]).unwrap();
    log.flush().unwrap();
    let path = segment(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[8 + 9] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = log.read(first, &mut Vec::new()).unwrap_err();
    let expected = format!("the record at 8 in {} has been damaged: release it", directory.path().display());
    assert_eq!(error.to_string(), expected);
    log.release(first).unwrap();
    assert_eq!(read(&mut log, second), b"second");
}

#[test]
fn a_file_that_is_no_segment_is_named_and_left_alone() {
    let directory = tempdir().unwrap();
    let path = segment(directory.path());
    fs::write(&path, b"something else").unwrap();
    let error = Segments::open(directory.path(), SMALL, |_| {}).unwrap_err();
    let expected =
        format!("{} is not a segment of this log: move it away, or use another directory", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read(&path).unwrap(), b"something else");
    fs::write(directory.path().join("notes"), b"with a name of its own").unwrap();
    fs::remove_file(&path).unwrap();
    open(directory.path(), SMALL);
}

#[test]
fn a_segment_of_another_version_is_named_and_left_alone() {
    let directory = tempdir().unwrap();
    let path = segment(directory.path());
    fs::write(&path, b"FBYSEG\x02\x01 what comes then may be anything").unwrap();
    let error = Segments::open(directory.path(), SMALL, |_| {}).unwrap_err();
    let expected = format!(
        "{} is a segment of version 258, and this program reads version 1: start the program that wrote it to \
         have its records shipped, or remove the file to give them up",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(path.exists());
}

#[test]
fn a_copy_under_another_name_does_not_count_twice() {
    let (_, bytes, _) = written();
    let directory = tempdir().unwrap();
    let copy = |base| fs::write(file::path(directory.path(), base), &bytes).unwrap();
    copy(0);
    copy(10_000);
    let (log, found, recovery) = open(directory.path(), SMALL);
    assert_eq!((found.len(), recovery.segments_cut), (4, 1));
    drop(log);
    // Within the other one, it cannot even be a segment.
    copy(10);
    assert!(matches!(Segments::open(directory.path(), SMALL, |_| {}), Err(Error::Foreign { .. })));
}

/// Where the segment begins whose first record is the one with this number.
fn files_base(addresses: &[Address], number: usize) -> u64 {
    addresses[number].position() - file::HEADER_BYTES
}
