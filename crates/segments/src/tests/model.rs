//! Anything in any order, beside a model that is a list.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Mark(Vec<u8>),
    Release(Index),
    Read(Index),
    Flush,
    /// Flush and open again.
    Restart,
    /// Open again.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    // Some records are larger than a segment.
    let payload = || (any::<u8>(), prop_oneof![9 => 0..1_500_usize, 1 => 4_000..6_000_usize]);
    let payload = move || payload().prop_map(|(byte, length)| vec![byte; length]);
    prop_oneof![
        20 => payload().prop_map(Step::Append),
        5 => vec(any::<u8>(), 0..100).prop_map(Step::Mark),
        16 => any::<Index>().prop_map(Step::Release),
        8 => any::<Index>().prop_map(Step::Read),
        4 => Just(Step::Flush),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

/// A log, and everything that was ever appended to it.
struct Pair {
    directory: TempDir,
    log: Option<Segments>,
    entries: Vec<Entry>,
}

struct Entry {
    found: Found,
    live: bool,
    flushed: bool,
}

impl Pair {
    fn log(&mut self) -> &mut Segments {
        self.log.as_mut().unwrap()
    }

    /// Makes room as an owner does, and appends. A record larger than a segment may be refused all the same.
    fn append(&mut self, payload: Vec<u8>, mark: bool) {
        while self.log().is_full() {
            let oldest: Vec<_> = self.log().oldest().collect();
            if oldest.is_empty() {
                break;
            }
            oldest.into_iter().for_each(|address| self.release(address));
        }
        let (front, back) = payload.split_at(payload.len() / 2);
        let appended = match mark {
            true => self.log().mark(&[front, back]).map(|()| Found::Mark(payload)),
            false => self.log().append(&[front, back]).map(|address| Found::Record(address, payload)),
        };
        match appended {
            Ok(found) => self.entries.push(Entry { live: !mark, found, flushed: false }),
            Err(Error::Full { .. }) => assert!(self.log().live_bytes() > 0 && !mark),
            Err(error) => panic!("{error}"),
        }
    }

    fn flush(&mut self) {
        self.log().flush().unwrap();
        self.entries.iter_mut().for_each(|entry| entry.flushed = true);
    }

    fn release(&mut self, address: Address) {
        self.log().release(address).unwrap();
        let entry = self.entries.iter_mut().find(|entry| entry.address() == Some(address));
        entry.unwrap().live = false;
    }

    /// What is found is what was appended, from a point on before which nothing is live, up to one after which
    /// nothing was flushed.
    fn reopen(&mut self) {
        self.log = None;
        let (log, found, recovery) = open(self.directory.path(), SMALL);
        self.log = Some(log);
        assert_eq!(recovery.bytes_cut, 0, "what was not written whole was not written at all");
        let flushed = self.entries.iter().rposition(|entry| entry.flushed).map_or(0, |last| last + 1);
        let fits = |end: &usize| {
            let Some(start) = end.checked_sub(found.len()) else { return false };
            self.entries[start..*end].iter().map(|entry| &entry.found).eq(&found)
                && self.entries[..start].iter().all(|entry| !entry.live)
        };
        let end = (flushed..=self.entries.len()).rev().find(fits);
        let end = end.unwrap_or_else(|| panic!("{} found of {}", found.len(), self.entries.len()));
        self.entries.truncate(end);
        self.entries.drain(..end - found.len());
        let mut released = Vec::new();
        for entry in &mut self.entries {
            entry.flushed = true;
            released.extend(entry.address().filter(|_| !entry.live));
        }
        // As its owner does, who knows from marks.
        released.into_iter().for_each(|address| self.release(address));
    }

    fn check(&mut self) {
        let live: Vec<_> = self.entries.iter().filter(|entry| entry.live).collect();
        let bytes = |entry: &&Entry| record::HEADER_BYTES as u64 + entry.payload().len() as u64;
        let log = self.log.as_ref().unwrap();
        assert_eq!(log.live_bytes(), live.iter().map(bytes).sum::<u64>());
        let oldest: Vec<_> = log.oldest().collect();
        assert!(live.iter().take(oldest.len()).filter_map(|entry| entry.address()).eq(oldest));
        let on_disk: u64 = files(self.directory.path()).iter().map(|(_, bytes)| bytes).sum();
        assert!(on_disk <= log.bytes() && log.bytes() <= SMALL.bytes);
    }
}

impl Entry {
    fn address(&self) -> Option<Address> {
        match self.found {
            Found::Record(address, _) => Some(address),
            Found::Mark(_) => None,
        }
    }

    fn payload(&self) -> &[u8] {
        let (Found::Record(_, payload) | Found::Mark(payload)) = &self.found;
        payload
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_log_holds_what_a_list_holds(steps in vec(step(), 1..200)) {
        let (directory, log) = empty(SMALL);
        let mut pair = Pair { directory, log: Some(log), entries: Vec::new() };
        for step in steps {
            let live: Vec<_> = pair.entries.iter().filter(|entry| entry.live).filter_map(Entry::address).collect();
            match step {
                Step::Append(payload) => pair.append(payload, false),
                Step::Mark(payload) => pair.append(payload, true),
                Step::Release(index) if !live.is_empty() => pair.release(*index.get(&live)),
                Step::Read(index) if !live.is_empty() => {
                    let address = *index.get(&live);
                    let found = Found::Record(address, read(pair.log(), address));
                    prop_assert!(pair.entries.iter().any(|entry| entry.found == found));
                }
                Step::Release(_) | Step::Read(_) => {}
                Step::Flush => pair.flush(),
                Step::Restart => {
                    pair.flush();
                    pair.reopen();
                }
                Step::Crash => pair.reopen(),
            }
            pair.check();
        }
    }
}
