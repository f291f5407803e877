//! Messages beside those that another implementation of protobuf makes of `proto/retroactive.proto`.

use std::time::Duration;

use forebay_otlp::threshold::Threshold;
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::tail::decision::Kept;
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct TheirHello {
    #[prost(uint32, repeated, packed = "false", tag = "1")]
    versions: Vec<u32>,
    #[prost(bytes = "vec", tag = "2")]
    agent: Vec<u8>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(fixed64, tag = "4")]
    program: u64,
}

#[derive(Clone, PartialEq, Message)]
struct TheirReport {
    #[prost(uint64, tag = "1")]
    window: u64,
    #[prost(fixed64, tag = "2")]
    program: u64,
    #[prost(uint64, tag = "3")]
    applied: u64,
    #[prost(uint64, tag = "4")]
    horizon: u64,
    #[prost(uint64, tag = "5")]
    overwritten: u64,
    #[prost(message, optional, tag = "6")]
    pieces: Option<TheirPieces>,
    #[prost(fixed64, tag = "7")]
    members: u64,
    #[prost(uint64, tag = "8")]
    idle: u64,
    #[prost(message, optional, tag = "9")]
    moved_on: Option<TheirGaps>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirPieces {
    #[prost(uint32, tag = "1")]
    count: u32,
}

#[derive(Clone, PartialEq, Message)]
struct TheirWelcome {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    coordinator: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirDecisions {
    #[prost(uint64, tag = "1")]
    tick: u64,
    #[prost(uint64, tag = "2")]
    settled: u64,
    #[prost(uint64, tag = "3")]
    stable: u64,
    #[prost(uint64, tag = "4")]
    silence: u64,
    #[prost(message, repeated, tag = "5")]
    kept: Vec<TheirGroup>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirGroup {
    #[prost(message, optional, tag = "1")]
    kept: Option<TheirKept>,
    #[prost(message, optional, tag = "2")]
    keys: Option<TheirGaps>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirKept {
    #[prost(uint32, tag = "1")]
    policy: u32,
    #[prost(uint32, optional, tag = "2")]
    part: Option<u32>,
    #[prost(fixed64, optional, tag = "3")]
    threshold: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirGaps {
    #[prost(uint32, tag = "1")]
    count: u32,
    #[prost(uint32, tag = "2")]
    shift: u32,
    #[prost(bytes = "vec", tag = "3")]
    bits: Vec<u8>,
}

/// Of the `oneof` around, which has one message.
fn around(number: u8, theirs: &impl Message) -> Vec<u8> {
    [vec![number << 3 | 2, u8::try_from(theirs.encoded_len()).unwrap()], theirs.encode_to_vec()].concat()
}

#[test]
fn an_agent_speaks_as_the_proto_says() {
    let theirs =
        TheirHello { versions: vec![1, 2], agent: vec![3; 16], name: "münze".into(), program: 1 << 63 };
    let program = Some(ProgramId(1 << 63));
    let hello = Hello { versions: vec![1, 2], agent: AgentId([3; 16]), name: "münze".into(), program };
    assert_eq!(encode_hello(&hello), around(1, &theirs));
    assert_eq!(decode_from_agent(&around(1, &theirs)), Ok(FromAgent::Hello(hello)));

    let theirs = TheirReport {
        window: 300,
        program: 5,
        applied: 6,
        horizon: 60_000_000_000,
        overwritten: 7,
        pieces: Some(TheirPieces { count: 0 }),
        members: 8,
        idle: 9,
        moved_on: Some(TheirGaps { count: 2, shift: 1, bits: vec![0b01_0110] }),
    };
    let report = Report {
        window: 300,
        program: ProgramId(5),
        applied: 6,
        horizon: Duration::from_secs(60),
        members: 8,
        overwritten: 7,
        idle: 9,
        pieces: Vec::new(),
        moved_on: [3, 5].map(|key| TraceKey::new(key).unwrap()).to_vec(),
    };
    assert_eq!(TheirReport::decode(&encode_report(&report)[2..]), Ok(theirs.clone()));
    let Ok(FromAgent::Report(read)) = decode_from_agent(&around(2, &theirs)) else { panic!() };
    assert_eq!((read.window(), read.size()), (300, 2 * size_of::<TraceKey>()));
    assert_eq!(read.decode(), Ok(report));
}

#[test]
fn a_coordinator_speaks_as_the_proto_says() {
    let theirs = TheirWelcome { version: 1, coordinator: vec![9; 16] };
    let welcome = Welcome { version: 1, coordinator: CoordinatorId([9; 16]) };
    assert_eq!(encode_welcome(&welcome), around(1, &theirs));
    assert_eq!(decode_from_coordinator(&around(1, &theirs)), Ok(FromCoordinator::Welcome(welcome)));

    // 3 is 1 * 2 + 1: the bits 0 1, then 1. So is the gap 2 after it, 1 * 2 + 0: 0 1, then 0.
    let kept = TheirKept { policy: 4, part: Some(0), threshold: Some(1 << 55) };
    let keys = TheirGaps { count: 2, shift: 1, bits: vec![0b01_0110] };
    let group = TheirGroup { kept: Some(kept), keys: Some(keys) };
    let theirs = TheirDecisions { tick: 3, settled: 2, stable: 1, silence: 9_000_000_000, kept: vec![group] };
    let kept = Kept { policy: 4, part: Some(0), threshold: Threshold::new(1 << 55) };
    let key = |value| TraceKey::new(value).unwrap();
    let kept = vec![(key(3), kept), (key(5), kept)];
    let decisions = Decisions { tick: 3, settled: 2, stable: 1, silence: Duration::from_secs(9), kept };
    assert_eq!(
        decode_from_coordinator(&around(3, &theirs)),
        Ok(FromCoordinator::Decisions(decisions.clone()))
    );
    let again = decode_from_coordinator(&encode_decisions(&decisions));
    assert_eq!(again, Ok(FromCoordinator::Decisions(decisions)));
}

#[test]
fn what_is_not_known_is_skipped_and_what_is_wrong_is_refused() {
    let mut message = encode_hello(&Hello {
        versions: vec![1],
        agent: AgentId([3; 16]),
        name: String::new(),
        program: None,
    });
    put_varint_field(&mut message, 9, 1);
    assert!(decode_from_agent(&message).is_ok());
    for (message, error) in [
        (vec![], MessageError::Missing("message that an agent may send")),
        (around(1, &TheirHello::default()), MessageError::Missing("id of an agent of 16 bytes")),
        (
            within(HELLO, &TheirHello { versions: vec![1; 65], ..TheirHello::default() }.encode_to_vec()),
            MessageError::TooMany("versions", 64),
        ),
    ] {
        assert_eq!(decode_from_agent(&message), Err(error));
    }
    let name = TheirHello { agent: vec![1; 16], name: "a".repeat(257), ..TheirHello::default() };
    let error = MessageError::TooMany("bytes in an agent's name", 256);
    assert_eq!(decode_from_agent(&within(HELLO, &name.encode_to_vec())), Err(error));
}
