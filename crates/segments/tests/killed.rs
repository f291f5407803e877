//! A process that dies leaves what it has flushed, and its lock.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use forebay_segments::{Error, Options, Recovered, Segments};

const OPTIONS: Options = Options { bytes: 1 << 30, segment_bytes: 64 << 10 };
const DIRECTORY: &str = "FOREBAY_SEGMENTS_DIRECTORY";

/// The payload of the record with this number, of a size of its own.
fn payload(number: u32) -> Vec<u8> {
    let length = 4 + number as usize * 7_919 % 3_000;
    number.to_le_bytes().into_iter().cycle().take(length).collect()
}

/// Appends records and says after each flush how many there are, until it is killed.
#[test]
#[ignore = "the other process of the test below"]
fn writes_until_it_is_killed() {
    let directory = env::var_os(DIRECTORY).expect("set by the test that starts this process");
    let (mut log, _) = Segments::open(Path::new(&directory), OPTIONS, |_| {}).unwrap();
    let mut out = std::io::stdout().lock();
    for number in 0.. {
        log.append(&[&payload(number)]).unwrap();
        if number % 10 == 9 {
            log.flush().unwrap();
            // Beyond the pipe, this waits; without a reader, it ends.
            writeln!(out, "flushed {}", number + 1).unwrap();
        }
    }
}

#[test]
fn what_was_flushed_survives_a_kill_and_the_lock_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Command::new(env::current_exe().unwrap())
        .args(["writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut flushed = lines
        .filter_map(|line| line.rsplit_once("flushed ").map(|(_, number)| number.parse::<u32>().unwrap()));
    let flushed = flushed.find(|&number| number >= 1_000).unwrap();
    match Segments::open(directory.path(), OPTIONS, |_| {}) {
        Err(Error::Locked { pid, .. }) => assert_eq!(pid, Some(writer.id())),
        opened => panic!("{opened:?}"),
    }
    writer.kill().unwrap();
    writer.wait().unwrap();

    let mut found = 0;
    Segments::open(directory.path(), OPTIONS, |recovered| {
        let Recovered::Record { payload, .. } = recovered else { panic!("{recovered:?}") };
        assert_eq!(payload, self::payload(found));
        found += 1;
    })
    .unwrap();
    assert!(found >= flushed, "{found} of {flushed}");
}
