use forebay_samplers::tail::decision::Kept;
use proptest::prelude::*;
use prost::Message;

use super::*;

/// Parts of `proto/retroactive.proto`, read by somebody else.
#[derive(Clone, PartialEq, Message)]
struct TheirProgram {
    #[prost(message, repeated, tag = "1")]
    questions: Vec<TheirQuestion>,
    #[prost(bool, tag = "2")]
    coerces: bool,
    #[prost(message, repeated, tag = "3")]
    clauses: Vec<TheirClause>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirQuestion {
    #[prost(message, optional, tag = "2")]
    attribute: Option<TheirAttribute>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirAttribute {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "5")]
    within: Option<TheirBounds>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirBounds {
    #[prost(sint64, optional, tag = "1")]
    min: Option<i64>,
    #[prost(sint64, optional, tag = "2")]
    max: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirClause {
    #[prost(bytes = "vec", tag = "1")]
    bits: Vec<u8>,
    #[prost(uint64, optional, tag = "2")]
    duration_over: Option<u64>,
    #[prost(uint32, tag = "3")]
    spans: u32,
    #[prost(fixed64, tag = "4")]
    threshold: u64,
    #[prost(bool, tag = "6")]
    leaves: bool,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.]{1,8}", Just("münze".to_owned())]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

fn question() -> impl Strategy<Value = Question> {
    let codes = prop::sample::subsequence(CODES_OF.map(|(code, _)| code).to_vec(), 0..=4);
    let bound = || prop::option::of(any::<i64>());
    let test = prop_oneof![
        texts().prop_map(AttributeTest::OneOf),
        texts().prop_map(AttributeTest::Matches),
        any::<bool>().prop_map(AttributeTest::Is),
        (bound(), bound()).prop_map(|(min, max)| AttributeTest::Within { min, max }),
    ];
    let context = prop::sample::select(CONTEXTS.map(|(context, _)| context).to_vec());
    let mode = prop::sample::select(MODES.map(|(mode, _)| mode).to_vec());
    prop_oneof![
        codes.prop_map(|codes| Question::Predicate(Predicate::Status(codes))),
        (text(), test).prop_map(|(key, test)| Question::Predicate(Predicate::Attribute { key, test })),
        Just(Question::Predicate(Predicate::SampledFlag)),
        (text(), texts())
            .prop_map(|(key, values)| Question::Predicate(Predicate::TraceState { key, values })),
        (prop::collection::vec((text(), context), 0..4), mode)
            .prop_map(|(conditions, mode)| Question::Conditions { conditions, mode }),
        texts().prop_map(Question::Fingerprint),
    ]
}

fn clause() -> impl Strategy<Value = Clause> {
    let threshold = || (0..1_u64 << 56).prop_map(|value| Threshold::new(value).unwrap());
    let kept = (any::<u16>(), prop::option::of(any::<u16>()), prop::option::of(threshold()))
        .prop_map(|(policy, part, threshold)| Kept { policy, part, threshold });
    (any::<u128>(), prop::option::of(any::<u64>()), any::<u32>(), threshold(), kept, any::<bool>()).prop_map(
        |(bits, duration_over, spans, threshold, kept, leaves)| Clause {
            sufficient: Sufficient { bits: Bits::from_raw(bits), duration_over, spans, threshold },
            kept,
            leaves,
        },
    )
}

fn program() -> impl Strategy<Value = Program> {
    let columns = any::<[bool; 5]>().prop_map(|[times, spans, bytes, root, trace_ids]| Columns {
        times,
        spans,
        bytes,
        root,
        trace_ids,
    });
    let names = (text(), texts()).prop_map(|(policy, parts)| PolicyNames { policy, parts });
    let names = prop::option::of(prop::collection::vec(names, 0..4));
    let (questions, clauses) =
        (prop::collection::vec(question(), 0..6), prop::collection::vec(clause(), 0..4));
    (questions, any::<bool>(), clauses, columns, names).prop_map(
        |(questions, coerces, clauses, columns, names)| Program {
            questions,
            coerces,
            clauses,
            columns,
            names,
        },
    )
}

proptest! {
    #[test]
    fn programs_come_back_and_are_called_alike(program in program()) {
        let encoded = encode(&program).unwrap();
        prop_assert_eq!(id(&encoded.bytes), encoded.id);
        prop_assert_eq!(decode(&encoded.bytes).unwrap(), program);
    }

    #[test]
    fn nothing_panics(message in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&message);
    }
}

#[test]
fn a_program_is_what_its_proto_says() {
    let theirs = TheirProgram {
        questions: vec![TheirQuestion {
            attribute: Some(TheirAttribute {
                key: "http.status".into(),
                within: Some(TheirBounds { min: Some(-1), max: Some(599) }),
            }),
        }],
        coerces: true,
        clauses: vec![TheirClause {
            bits: vec![0b101],
            duration_over: Some(5_000_000_000),
            spans: 3,
            threshold: 1 << 55,
            leaves: true,
        }],
    };
    let test = AttributeTest::Within { min: Some(-1), max: Some(599) };
    let ours = Program {
        questions: vec![Question::Predicate(Predicate::Attribute { key: "http.status".into(), test })],
        coerces: true,
        clauses: vec![Clause {
            sufficient: Sufficient {
                bits: Bits::from_raw(0b101),
                duration_over: Some(5_000_000_000),
                spans: 3,
                threshold: Threshold::new(1 << 55).unwrap(),
            },
            kept: Kept { policy: 0, part: None, threshold: None },
            leaves: true,
        }],
        ..Program::default()
    };
    assert_eq!(decode(&theirs.encode_to_vec()).unwrap(), ours);
    assert_eq!(TheirProgram::decode(encode(&ours).unwrap().bytes).unwrap(), theirs);
}

#[test]
fn a_program_is_called_by_the_beginning_of_its_hash() {
    // printf '' | sha256sum
    assert_eq!(id(b""), ProgramId(0xe3b0_c442_98fc_1c14));
}

#[test]
fn questions_of_other_versions_are_refused() {
    let (mut question, mut message) = (Vec::new(), Vec::new());
    put_bytes(&mut question, 99, b"");
    put_bytes(&mut message, QUESTIONS, &question);
    assert_eq!(decode(&message).unwrap_err(), MessageError::Invalid("question"));
}

#[test]
fn an_old_agent_does_what_it_knows_of_a_program_and_nothing_that_it_half_knows() {
    let kept = Kept { policy: 1, part: None, threshold: Some(Threshold::ALWAYS) };
    let clause = Clause { sufficient: Sufficient { spans: 3, ..Sufficient::ANY }, kept, leaves: true };
    let question = Question::Predicate(Predicate::SampledFlag);
    let program = Program {
        questions: vec![question],
        clauses: vec![clause],
        columns: Columns::NONE,
        ..Program::default()
    };
    let message = encode(&program).unwrap().bytes.to_vec();
    let with = |number: u32, inner: &[u8]| {
        let mut message = message.clone();
        put_bytes(&mut message, number, inner);
        decode(&message)
    };
    // What a program and its columns may say one day.
    assert_eq!(with(90, b"future"), Ok(program.clone()));
    let mut column = Vec::new();
    put_varint_field(&mut column, 90, 1);
    assert_eq!(with(COLUMNS, &column), Ok(program.clone()));
    // A clause that holds only if something more does, which this agent cannot look for.
    let mut stricter = encode_clause(&clause);
    put_varint_field(&mut stricter, 90, 1);
    assert_eq!(with(CLAUSES, &stricter), Ok(program));
    // Bits after an unknown question would mean something else.
    let mut unknown = Vec::new();
    put_bytes(&mut unknown, 90, b"");
    assert_eq!(with(QUESTIONS, &unknown), Err(MessageError::Invalid("question")));
}
