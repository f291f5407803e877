//! Which log records are left of a request, and what they leave with.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord as Record, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::head::{Mode, Policy};
use crate::testing::{Value, attribute, configured, text as string};

/// A record of a trace with the randomness of this byte, then zeros.
fn of_trace(first: u8) -> Record {
    let mut trace_id = vec![7; 9];
    trace_id.push(first);
    trace_id.resize(16, 0);
    Record { trace_id, ..plain() }
}

fn plain() -> Record {
    Record { event_name: "happened".to_owned(), time_unix_nano: 17, ..Record::default() }
}

fn with(record: Record, key: &str, value: Value) -> Record {
    let mut record = record;
    record.attributes.push(attribute(key, value));
    record
}

fn request(log_records: Vec<Record>) -> Vec<u8> {
    let scope = ScopeLogs { log_records, schema_url: "https://scope".to_owned(), ..ScopeLogs::default() };
    let resource_logs = vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn sample(yaml: &str, records: Vec<Record>) -> (Vec<Record>, Counts) {
    let sampler = RecordSampler::new(&configured(yaml, ProbabilisticConfig::read)).unwrap();
    let request = request(records);
    let sampled = sampler.sample(&request, &LogIndex::scan(&request).unwrap());
    let left = ExportLogsServiceRequest::decode(&*sampled.request).unwrap().resource_logs;
    let scopes = left.into_iter().flat_map(|resource| resource.scope_logs);
    let left: Vec<_> = scopes
        .flat_map(|scope| {
            assert_eq!(scope.schema_url, "https://scope");
            scope.log_records
        })
        .collect();
    assert_eq!(left.len(), sampled.items);
    (left, sampled.counts)
}

/// The `sampling.threshold` and the `sampling.randomness` that a record leaves with, if it is kept.
fn left(yaml: &str, record: Record) -> Option<(Option<String>, Option<String>)> {
    let (mut kept, _) = sample(yaml, vec![record]);
    let record = kept.pop()?;
    Some((value(&record, THRESHOLD), value(&record, RANDOMNESS)))
}

fn value(record: &Record, key: &str) -> Option<String> {
    let mut of_key = record.attributes.iter().filter(|attribute| attribute.key == key);
    let value = of_key.next().and_then(|attribute| attribute.value.clone()?.value);
    assert_eq!(of_key.next(), None, "{key} is there once");
    match value? {
        Value::StringValue(text) => Some(text),
        other => panic!("{other:?} is no text"),
    }
}

fn th(threshold: &str) -> Option<(Option<String>, Option<String>)> {
    Some((Some(threshold.to_owned()), None))
}

/// FNV-1a of 32 bits over the seed, little-endian, and a value: below this share of 14 bits the Collector keeps it.
fn collector_keeps(seed: u32, value: &[u8], percentage: f64) -> bool {
    let bytes = seed.to_le_bytes().into_iter().chain(value.iter().copied());
    let hash = bytes.fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    f64::from(hash & 0x3fff) < (percentage * 163.84).floor()
}

#[test]
fn records_of_a_trace_are_chosen_as_its_spans_are() {
    let half = "{mode: equalizing, sampling_percentage: 50}";
    assert_eq!(left(half, of_trace(0x7f)), None);
    assert_eq!(left(half, of_trace(0x80)), th("8"));
    let threshold = |record, th: &str| with(record, THRESHOLD, string(th));
    assert_eq!(left(half, threshold(of_trace(0xd0), "c")), th("c"));
    assert_eq!(left(half, threshold(of_trace(0xd0), "4")), th("8"));
    let proportional = "{mode: proportional, sampling_percentage: 50}";
    assert_eq!(left(proportional, threshold(of_trace(0xd0), "8")), th("c"));
    assert_eq!(left(proportional, threshold(of_trace(0xb0), "8")), None);
    let explicit = with(of_trace(0), RANDOMNESS, string("90000000000000"));
    let expected = Some((Some("8".to_owned()), Some("90000000000000".to_owned())));
    assert_eq!(left(half, explicit), expected);
}

#[test]
fn what_is_hashed_is_the_trace_id_or_the_attribute() {
    let (mut kept, mut dropped) = (0, 0);
    for number in 0..200_u8 {
        let id = vec![number + 1; 16];
        let user = format!("user-{number}");
        let record = with(Record { trace_id: id.clone(), ..plain() }, "user.id", string(&user));
        let nobody = Record { trace_id: Vec::new(), ..record.clone() };
        let by_id = "{sampling_percentage: 30, hash_seed: 5, from_attribute: user.id}";
        let by_user =
            "{sampling_percentage: 30, hash_seed: 5, from_attribute: user.id, attribute_source: record}";
        for (yaml, record, value) in [
            (by_id, record.clone(), &*id),
            (by_id, nobody.clone(), user.as_bytes()),
            (by_user, record, user.as_bytes()),
            (by_user, nobody, user.as_bytes()),
        ] {
            let left = left(yaml, record);
            assert_eq!(left.is_some(), collector_keeps(5, value, 30.0));
            *if left.is_some() { &mut kept } else { &mut dropped } += 1;
            let Some((threshold, randomness)) = left else { continue };
            // 4915 of 16384 are kept.
            assert_eq!(
                (threshold.as_deref(), randomness.map(|digits| digits.len())),
                (Some("b334"), Some(14))
            );
        }
    }
    assert!(kept > 100 && dropped > 100);
}

#[test]
fn values_of_every_type_are_hashed_as_their_text() {
    let yaml = "{sampling_percentage: 100, from_attribute: key, attribute_source: record}";
    let number = |value| left(yaml, with(plain(), "key", value)).and_then(|(_, randomness)| randomness);
    for (value, as_text) in [
        (Value::IntValue(-17), "-17"),
        (Value::BoolValue(true), "true"),
        (Value::DoubleValue(1.5), "1.5"),
        (Value::DoubleValue(2.0), "2"),
        (Value::DoubleValue(1e21), "1e+21"),
        (Value::DoubleValue(2.5e-7), "2.5e-7"),
        (Value::BytesValue(b"raw".to_vec()), "raw"),
    ] {
        assert!(number(value.clone()).is_some());
        assert_eq!(number(value), number(string(as_text)), "{as_text}");
    }
    assert_ne!(number(string("a")), number(string("b")));
}

#[test]
fn without_anything_to_choose_by_records_are_dropped_or_kept_as_configured() {
    for (yaml, record) in [
        ("mode: equalizing", plain()),
        ("mode: proportional", plain()),
        ("mode: equalizing", Record { trace_id: vec![0; 16], ..plain() }),
        ("from_attribute: user.id", plain()),
        ("from_attribute: user.id", with(plain(), "user.id", string(""))),
        ("{attribute_source: record, from_attribute: user.id}", of_trace(0xff)),
    ] {
        let yaml = yaml.trim_matches(['{', '}']);
        let closed = format!("{{sampling_percentage: 50, {yaml}}}");
        let (kept, counts) = sample(&closed, vec![record.clone()]);
        assert_eq!((kept, counts.of(Policy::MissingRandomness)), (vec![], (0, 1)), "{yaml}");
        // Kept for certain.
        assert_eq!(
            left(&format!("{{sampling_percentage: 50, fail_closed: false, {yaml}}}"), record),
            th("0")
        );
    }
}

#[test]
fn what_cannot_be_read_or_is_inconsistent_is_dropped_or_kept_as_configured() {
    let unreadable = with(of_trace(0xff), THRESHOLD, string("G"));
    let half_a_number = with(of_trace(0xff), RANDOMNESS, string("ff"));
    for record in [unreadable, half_a_number] {
        assert_eq!(sample("{mode: equalizing, sampling_percentage: 50}", vec![record.clone()]).0, []);
        let open = "{mode: equalizing, sampling_percentage: 50, fail_closed: false}";
        assert_eq!(sample(open, vec![record.clone()]).0, [record]);
    }
    let inconsistent = with(of_trace(0x10), THRESHOLD, string("c"));
    assert_eq!(left("{mode: equalizing, sampling_percentage: 50}", inconsistent.clone()), None);
    let open = "{mode: equalizing, sampling_percentage: 50, fail_closed: false}";
    assert_eq!(left(open, inconsistent), Some((None, None)));
    // No text, and so nothing that a sampler wrote; it makes room.
    let number = with(of_trace(0xff), THRESHOLD, Value::IntValue(8));
    assert_eq!(left("{mode: equalizing, sampling_percentage: 50}", number), th("8"));
}

#[test]
fn a_priority_is_the_percentage_of_its_record() {
    let tenth = |value, first| {
        let yaml = "{mode: equalizing, sampling_percentage: 10, sampling_priority: priority}";
        sample(yaml, vec![with(of_trace(first), "priority", value)])
    };
    let kept = |value, first| {
        let (kept, counts) = tenth(value, first);
        assert_eq!(counts.of(Policy::SamplingPriority), if kept.is_empty() { (0, 1) } else { (1, 0) });
        kept.first().and_then(|record| super::tests::value(record, THRESHOLD))
    };
    assert_eq!(kept(Value::IntValue(50), 0x80), Some("8".to_owned()));
    assert_eq!(kept(Value::IntValue(50), 0x7f), None);
    assert_eq!(kept(Value::DoubleValue(25.0), 0xc0), Some("c".to_owned()));
    assert_eq!(kept(Value::IntValue(0), 0xff), None);
    for all in [Value::IntValue(100), Value::IntValue(1_000), Value::DoubleValue(f64::INFINITY)] {
        assert_eq!(kept(all, 0), Some("0".to_owned()));
    }
    for nothing in [Value::IntValue(-1), Value::DoubleValue(f64::NAN), string("100"), Value::BoolValue(true)]
    {
        let (left, counts) = tenth(nothing, 0xe0);
        assert_eq!((left.len(), counts.of(Policy::TraceIdW3c)), (0, (0, 1)));
    }
}

#[test]
fn a_priority_never_lowers_what_a_record_has_passed() {
    let yaml = "{mode: equalizing, sampling_percentage: 10, sampling_priority: priority}";
    let passed = with(of_trace(0xd0), THRESHOLD, string("c"));
    assert_eq!(left(yaml, with(passed, "priority", Value::IntValue(100))), th("c"));
}

#[test]
fn two_hashing_tiers_compose() {
    let stage = |percentage| {
        format!("{{sampling_percentage: {percentage}, from_attribute: user.id, attribute_source: record}}")
    };
    let records: Vec<_> =
        (0..300).map(|user| with(plain(), "user.id", string(&format!("user-{user}")))).collect();
    let (alone, _) = sample(&stage(20), records.clone());
    let (first, _) = sample(&stage(60), records);
    assert!(first.len() > alone.len() && !alone.is_empty());
    let (second, _) = sample(&stage(20), first);
    let sorted = |records: Vec<Record>| -> Vec<Record> {
        let by_key = |mut record: Record| {
            record.attributes.sort_by(|a: &KeyValue, b| a.key.cmp(&b.key));
            record
        };
        records.into_iter().map(by_key).collect()
    };
    assert_eq!(sorted(second), sorted(alone));
}

#[test]
fn one_attribute_can_be_key_and_priority() {
    let yaml =
        "{sampling_percentage: 100, attribute_source: record, from_attribute: n, sampling_priority: n}";
    let (_, counts) = sample(yaml, vec![with(plain(), "n", Value::IntValue(0))]);
    assert_eq!(counts.of(Policy::SamplingPriority), (0, 1));
}

#[test]
fn what_nobody_here_knows_survives() {
    let list = Value::ArrayValue(ArrayValue { values: Vec::new() });
    let mut body = with(of_trace(0xff), "list", list).encode_to_vec();
    // Field 99, of bytes.
    body.extend_from_slice(b"\x9a\x06\x04more");
    let mut scope = vec![0x12, u8::try_from(body.len()).unwrap()];
    scope.extend_from_slice(&body);
    let wrapped = |number: u8, inner: &[u8]| [&[number, u8::try_from(inner.len()).unwrap()], inner].concat();
    let request = wrapped(0x0a, &wrapped(0x12, &scope));
    let config = configured("{mode: equalizing, sampling_percentage: 50}", ProbabilisticConfig::read);
    let sampler = RecordSampler::new(&config).unwrap();
    let sampled = sampler.sample(&request, &LogIndex::scan(&request).unwrap());
    let index = LogIndex::scan(&sampled.request).unwrap();
    let left = index.body(&sampled.request, &index.records[0]);
    assert_eq!(left, [&*body, b"\x32\x19\x0a\x12sampling.threshold\x12\x03\x0a\x018"].concat());
}

proptest! {
    #[test]
    fn what_is_kept_reaches_the_threshold_it_leaves_with(
        mode in prop_oneof![Just(Mode::HashSeed), Just(Mode::Proportional), Just(Mode::Equalizing)],
        sampling_percentage in 0.001..=100.0_f32,
        hash_seed: u32,
        states in prop::collection::vec(("[0-9a-f]{0,3}", "([0-9a-f]{14})?", any::<[u8; 16]>()), 1..20),
    ) {
        let config = ProbabilisticConfig { mode, sampling_percentage, hash_seed, ..ProbabilisticConfig::default() };
        let records: Vec<_> = states.iter().map(|(threshold, randomness, id)| {
            let record = Record { trace_id: id.to_vec(), ..plain() };
            with(with(record, THRESHOLD, string(threshold)), RANDOMNESS, string(randomness))
        }).collect();
        let request = request(records);
        let sampled = RecordSampler::new(&config).unwrap().sample(&request, &LogIndex::scan(&request).unwrap());
        let left = ExportLogsServiceRequest::decode(&*sampled.request).unwrap().resource_logs;
        for record in left.into_iter().flat_map(|resource| resource.scope_logs).flat_map(|scope| scope.log_records) {
            let threshold: Threshold = value(&record, THRESHOLD).expect("a threshold").parse().unwrap();
            let id: [u8; 16] = record.trace_id.clone().try_into().unwrap();
            let own = forebay_otlp::threshold::Randomness::from_trace_id(id);
            let randomness = value(&record, RANDOMNESS).filter(|digits| !digits.is_empty());
            prop_assert!(threshold.keeps(randomness.map_or(own, |digits| digits.parse().unwrap())));
        }
    }
}
