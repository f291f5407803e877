//! Remote sampling: no bytes harm the readers of its messages and of strategies files, and what they let pass
//! is a strategy that clients can use.

#![no_main]

use forebay_config::{Diagnostics, read_document};
use forebay_remote_sampling::{Sampling, Strategies, Strategy, wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(service) = wire::decode_request(input) {
        assert_eq!(wire::decode_request(&wire::encode_request(service)), Ok(service));
    }
    if let Ok(strategy) = wire::decode(input) {
        check(&strategy);
        assert_eq!(wire::decode(&wire::encode(&strategy)), Ok(strategy));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let diagnostics = Diagnostics::new();
    let strategies = read_document(&diagnostics, "strategies", text, |table| Strategies::read(table, 0.001));
    if !diagnostics.has_errors() {
        for service in ["", "a", "b"] {
            check(&wire::decode(&strategies.of(service).protobuf).expect("what is served can be read"));
        }
    }
});

fn check(strategy: &Strategy) {
    match strategy.sampling {
        Sampling::Probabilistic(probability) => assert!((0.0..=1.0).contains(&probability)),
        Sampling::RateLimiting(limit) => assert!(limit >= 0),
    }
    if let Some(operations) = &strategy.operations {
        assert!((0.0..=1.0).contains(&operations.default) && !operations.probabilities.is_empty());
        assert!(operations.probabilities.iter().all(|(_, probability)| (0.0..=1.0).contains(probability)));
    }
    assert!(std::str::from_utf8(&strategy.encode().json).is_ok());
}
