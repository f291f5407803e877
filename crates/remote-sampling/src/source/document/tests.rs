use super::*;

const HALF: &[u8] = b"default_strategy: {type: probabilistic, param: 0.5}";
const ALL: &[u8] = b"default_strategy: {type: probabilistic, param: 1}";
const BROKEN: &[u8] = b"default_strategy: {type: probabilistic, param: 2}";

fn reloader() -> Reloader {
    let current = Arc::new(RwLock::new(Arc::new(Strategies::all(0.25))));
    Reloader { name: "strategies.json".to_owned(), fallback: 0.25, text: Bytes::new(), current }
}

fn served(current: &RwLock<Arc<Strategies>>) -> Encoded {
    current.read().unwrap().of("any").clone()
}

fn probability(probability: f64) -> Encoded {
    crate::strategy::Strategy::probabilistic(probability).encode()
}

#[test]
fn a_new_document_is_served_and_one_with_a_mistake_is_not() {
    let mut reloader = reloader();
    assert_eq!(served(&reloader.current), probability(0.25));
    assert!(reloader.offer(HALF.into()));
    assert_eq!(served(&reloader.current), probability(0.5));
    assert!(!reloader.offer(BROKEN.into()));
    assert_eq!(served(&reloader.current), probability(0.5));
    assert!(reloader.offer(ALL.into()));
    assert_eq!(served(&reloader.current), probability(1.0));
}

#[test]
fn a_file_that_is_being_written_changes_nothing() {
    let mut reloader = reloader();
    reloader.offer(HALF.into());
    for part in [&b""[..], b"{", b"null", b"default_strategy: {type: probabilistic, param: 1} # \xff"] {
        assert!(!reloader.offer(Bytes::from_static(part)));
        assert_eq!(served(&reloader.current), probability(0.5), "{part:?}");
    }
}

#[test]
fn a_location_is_a_path_or_a_url() {
    assert_eq!(Location::of("/etc/s.json"), Ok(Location::File("/etc/s.json".into())));
    assert_eq!(Location::of("https://a/s.json"), Ok(Location::Url(Uri::from_static("https://a/s.json"))));
    assert!(Location::of("http://").is_err());
    assert!(Location::of("http:///s.json").is_err());
}
