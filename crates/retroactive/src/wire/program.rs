//! Programs.

use bytes::Bytes;
use forebay_otlp::StatusCode;
use forebay_otlp::threshold::Threshold;
use forebay_otlp::wire::{Fields, Value, put_bytes, put_fixed64, put_varint_field};
use forebay_ottl::Context;
use forebay_samplers::retroactive::program::{Clause, Columns, Program, ProgramId, Question};
use forebay_samplers::tail::decision::PolicyNames;
use forebay_samplers::tail::policy::Sufficient;
use forebay_samplers::tail::predicate::{AttributeTest, Bits, ErrorMode, Predicate};
use sha2::{Digest as _, Sha256};

use super::{MAX_PROGRAM, MessageError, kept, put_trimmed, untrimmed, utf8};

/// A program as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// What it is called.
    pub id: ProgramId,
    /// Its message.
    pub bytes: Bytes,
}

const QUESTIONS: u32 = 1;
const COERCES: u32 = 2;
const CLAUSES: u32 = 3;
const COLUMNS: u32 = 4;
const NAMES: u32 = 5;

const STATUSES: u32 = 1;
const ATTRIBUTE: u32 = 2;
const SAMPLED_FLAG: u32 = 3;
const TRACE_STATE: u32 = 4;
const CONDITIONS: u32 = 5;
const FINGERPRINT: u32 = 6;

const CODES: u32 = 1;
const KEY: u32 = 1;
const ONE_OF: u32 = 2;
const MATCHES: u32 = 3;
const IS: u32 = 4;
const WITHIN: u32 = 5;
const STRINGS: u32 = 1;
const MIN: u32 = 1;
const MAX: u32 = 2;
const MEMBER_VALUES: u32 = 2;
const CONDITION: u32 = 1;
const MODE: u32 = 2;
const TEXT: u32 = 1;
const CONTEXT: u32 = 2;
const SELECTORS: u32 = 1;

const BITS: u32 = 1;
const DURATION_OVER: u32 = 2;
const SPANS: u32 = 3;
const THRESHOLD: u32 = 4;
const KEPT: u32 = 5;
const LEAVES: u32 = 6;

const POLICIES: u32 = 1;
const POLICY: u32 = 1;
const PARTS: u32 = 2;

/// Numbers of what is one of few.
const CODES_OF: [(StatusCode, u64); 4] =
    [(StatusCode::Unset, 0), (StatusCode::Ok, 1), (StatusCode::Error, 2), (StatusCode::Unknown, 3)];
const MODES: [(ErrorMode, u64); 3] =
    [(ErrorMode::Ignore, 0), (ErrorMode::Silent, 1), (ErrorMode::Propagate, 2)];
const CONTEXTS: [(Context, u64); 2] = [(Context::Span, 0), (Context::SpanEvent, 1)];

/// Encodes a program.
///
/// # Errors
/// When it is larger than [`MAX_PROGRAM`] bytes.
pub fn encode(program: &Program) -> Result<Encoded, MessageError> {
    let mut message = Vec::new();
    program
        .questions
        .iter()
        .for_each(|question| put_bytes(&mut message, QUESTIONS, &encode_question(question)));
    put_flag(&mut message, COERCES, program.coerces);
    program.clauses.iter().for_each(|clause| put_bytes(&mut message, CLAUSES, &encode_clause(clause)));
    put_bytes(&mut message, COLUMNS, &encode_columns(program.columns));
    if let Some(names) = &program.names {
        put_bytes(&mut message, NAMES, &encode_names(names));
    }
    if message.len() > MAX_PROGRAM {
        return Err(MessageError::TooMany("bytes in a program", MAX_PROGRAM));
    }
    Ok(Encoded { id: id(&message), bytes: message.into() })
}

/// What a program in this encoding is called.
#[must_use]
pub fn id(message: &[u8]) -> ProgramId {
    let digest: [u8; 32] = Sha256::digest(message).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    ProgramId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// Reads a program.
///
/// # Errors
/// When it is malformed, larger than [`MAX_PROGRAM`] bytes, or has questions that are not known here: an agent that
/// does not ask them has bits that mean something else.
pub fn decode(message: &[u8]) -> Result<Program, MessageError> {
    if message.len() > MAX_PROGRAM {
        return Err(MessageError::TooMany("bytes in a program", MAX_PROGRAM));
    }
    let mut program = Program::default();
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (QUESTIONS, Value::Bytes(question)) => program.questions.push(decode_question(question)?),
            (COERCES, Value::Varint(flag)) => program.coerces = flag != 0,
            (CLAUSES, Value::Bytes(clause)) => program.clauses.extend(decode_clause(clause)?),
            (COLUMNS, Value::Bytes(columns)) => program.columns = decode_columns(columns)?,
            (NAMES, Value::Bytes(names)) => program.names = Some(decode_names(names)?),
            _ => {}
        }
    }
    Ok(program)
}

fn encode_question(question: &Question) -> Vec<u8> {
    let mut inner = Vec::new();
    let number = match question {
        Question::Predicate(Predicate::Status(codes)) => {
            codes.iter().for_each(|code| put_varint_field(&mut inner, CODES, number_of(&CODES_OF, code)));
            STATUSES
        }
        Question::Predicate(Predicate::Attribute { key, test }) => {
            put_bytes(&mut inner, KEY, key.as_bytes());
            encode_test(test, &mut inner);
            ATTRIBUTE
        }
        Question::Predicate(Predicate::SampledFlag) => SAMPLED_FLAG,
        Question::Predicate(Predicate::TraceState { key, values }) => {
            put_bytes(&mut inner, KEY, key.as_bytes());
            put_strings(&mut inner, MEMBER_VALUES, values);
            TRACE_STATE
        }
        Question::Conditions { conditions, mode } => {
            for (text, context) in conditions {
                let mut condition = Vec::new();
                put_bytes(&mut condition, TEXT, text.as_bytes());
                put_varint_field(&mut condition, CONTEXT, number_of(&CONTEXTS, context));
                put_bytes(&mut inner, CONDITION, &condition);
            }
            put_varint_field(&mut inner, MODE, number_of(&MODES, mode));
            CONDITIONS
        }
        Question::Fingerprint(selectors) => {
            put_strings(&mut inner, SELECTORS, selectors);
            FINGERPRINT
        }
    };
    let mut message = Vec::new();
    put_bytes(&mut message, number, &inner);
    message
}

fn encode_test(test: &AttributeTest, message: &mut Vec<u8>) {
    let mut inner = Vec::new();
    match test {
        AttributeTest::OneOf(strings) => {
            put_strings(&mut inner, STRINGS, strings);
            put_bytes(message, ONE_OF, &inner);
        }
        AttributeTest::Matches(patterns) => {
            put_strings(&mut inner, STRINGS, patterns);
            put_bytes(message, MATCHES, &inner);
        }
        AttributeTest::Is(value) => put_varint_field(message, IS, (*value).into()),
        AttributeTest::Within { min, max } => {
            for (number, bound) in [(MIN, min), (MAX, max)] {
                if let Some(bound) = bound {
                    put_varint_field(&mut inner, number, super::zigzag(*bound));
                }
            }
            put_bytes(message, WITHIN, &inner);
        }
    }
}

fn encode_clause(clause: &Clause) -> Vec<u8> {
    let Sufficient { bits, duration_over, spans, threshold } = clause.sufficient;
    let (mut message, mut how, mut set) = (Vec::new(), Vec::new(), Vec::new());
    put_trimmed(&mut set, &bits.to_raw().to_le_bytes());
    put_bytes(&mut message, BITS, &set);
    if let Some(duration) = duration_over {
        put_varint_field(&mut message, DURATION_OVER, duration);
    }
    put_varint_field(&mut message, SPANS, spans.into());
    put_fixed64(&mut message, THRESHOLD, threshold.get());
    kept::encode(clause.kept, &mut how);
    put_bytes(&mut message, KEPT, &how);
    put_flag(&mut message, LEAVES, clause.leaves);
    message
}

fn encode_columns(columns: Columns) -> Vec<u8> {
    let mut message = Vec::new();
    let Columns { times, spans, bytes, root, trace_ids } = columns;
    (1..).zip([times, spans, bytes, root, trace_ids]).for_each(|(number, flag)| {
        put_flag(&mut message, number, flag);
    });
    message
}

fn encode_names(names: &[PolicyNames]) -> Vec<u8> {
    let mut message = Vec::new();
    for PolicyNames { policy, parts } in names {
        let mut inner = Vec::new();
        put_bytes(&mut inner, POLICY, policy.as_bytes());
        put_strings(&mut inner, PARTS, parts);
        put_bytes(&mut message, POLICIES, &inner);
    }
    message
}

fn decode_question(message: &[u8]) -> Result<Question, MessageError> {
    let mut question = None;
    for field in Fields::new(message) {
        let field = field?;
        let Value::Bytes(inner) = field.value else { continue };
        question = Some(match field.number {
            STATUSES => Question::Predicate(Predicate::Status(decode_codes(inner)?)),
            ATTRIBUTE => Question::Predicate(decode_attribute(inner)?),
            SAMPLED_FLAG => Question::Predicate(Predicate::SampledFlag),
            TRACE_STATE => Question::Predicate(decode_trace_state(inner)?),
            CONDITIONS => decode_conditions(inner)?,
            FINGERPRINT => Question::Fingerprint(strings(inner, SELECTORS)?),
            _ => return Err(MessageError::Invalid("question")),
        });
    }
    question.ok_or(MessageError::Missing("question"))
}

fn decode_codes(message: &[u8]) -> Result<Vec<StatusCode>, MessageError> {
    let mut codes = Vec::new();
    for field in Fields::new(message) {
        let field = field?;
        if let (CODES, Value::Varint(code)) = (field.number, field.value) {
            codes.push(named(&CODES_OF, code, "status code")?);
        }
    }
    Ok(codes)
}

fn decode_attribute(message: &[u8]) -> Result<Predicate, MessageError> {
    let (mut key, mut test) = (String::new(), None);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (KEY, Value::Bytes(text)) => utf8(text)?.clone_into(&mut key),
            (ONE_OF, Value::Bytes(inner)) => test = Some(AttributeTest::OneOf(strings(inner, STRINGS)?)),
            (MATCHES, Value::Bytes(inner)) => test = Some(AttributeTest::Matches(strings(inner, STRINGS)?)),
            (IS, Value::Varint(flag)) => test = Some(AttributeTest::Is(flag != 0)),
            (WITHIN, Value::Bytes(inner)) => test = Some(decode_within(inner)?),
            _ => {}
        }
    }
    Ok(Predicate::Attribute { key, test: test.ok_or(MessageError::Missing("test of an attribute"))? })
}

fn decode_within(message: &[u8]) -> Result<AttributeTest, MessageError> {
    let (mut min, mut max) = (None, None);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (MIN, Value::Varint(bound)) => min = Some(super::unzigzag(bound)),
            (MAX, Value::Varint(bound)) => max = Some(super::unzigzag(bound)),
            _ => {}
        }
    }
    Ok(AttributeTest::Within { min, max })
}

fn decode_trace_state(message: &[u8]) -> Result<Predicate, MessageError> {
    let key = strings(message, KEY)?.pop().unwrap_or_default();
    Ok(Predicate::TraceState { key, values: strings(message, MEMBER_VALUES)? })
}

fn decode_conditions(message: &[u8]) -> Result<Question, MessageError> {
    let (mut conditions, mut mode) = (Vec::new(), ErrorMode::Ignore);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (CONDITION, Value::Bytes(condition)) => conditions.push(decode_condition(condition)?),
            (MODE, Value::Varint(number)) => mode = named(&MODES, number, "mode of conditions")?,
            _ => {}
        }
    }
    Ok(Question::Conditions { conditions, mode })
}

fn decode_condition(message: &[u8]) -> Result<(String, Context), MessageError> {
    let (mut text, mut context) = (String::new(), Context::Span);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (TEXT, Value::Bytes(bytes)) => utf8(bytes)?.clone_into(&mut text),
            (CONTEXT, Value::Varint(number)) => context = named(&CONTEXTS, number, "context of a condition")?,
            _ => {}
        }
    }
    Ok((text, context))
}

/// Reads a clause; none if it asks for more than is known here. Without that it would keep too much, and without the clause
/// an agent asks.
fn decode_clause(message: &[u8]) -> Result<Option<Clause>, MessageError> {
    let (mut sufficient, mut how, mut leaves) = (Sufficient::ANY, &[][..], false);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (BITS, Value::Bytes(bits)) => {
                sufficient.bits = Bits::from_raw(u128::from_le_bytes(untrimmed(bits)?));
            }
            (DURATION_OVER, Value::Varint(nanos)) => sufficient.duration_over = Some(nanos),
            (SPANS, Value::Varint(spans)) => {
                sufficient.spans = u32::try_from(spans).map_err(|_| MessageError::Width)?;
            }
            (THRESHOLD, Value::Fixed64(threshold)) => {
                sufficient.threshold = Threshold::new(threshold).ok_or(MessageError::Invalid("threshold"))?;
            }
            (KEPT, Value::Bytes(kept)) => how = kept,
            (LEAVES, Value::Varint(flag)) => leaves = flag != 0,
            _ => return Ok(None),
        }
    }
    Ok(Some(Clause { sufficient, kept: kept::decode(how)?, leaves }))
}

fn decode_columns(message: &[u8]) -> Result<Columns, MessageError> {
    let mut columns = Columns::default();
    for field in Fields::new(message) {
        let field = field?;
        let Value::Varint(flag) = field.value else { continue };
        match field.number {
            1 => columns.times = flag != 0,
            2 => columns.spans = flag != 0,
            3 => columns.bytes = flag != 0,
            4 => columns.root = flag != 0,
            5 => columns.trace_ids = flag != 0,
            _ => {}
        }
    }
    Ok(columns)
}

fn decode_names(message: &[u8]) -> Result<Vec<PolicyNames>, MessageError> {
    let mut names = Vec::new();
    for field in Fields::new(message) {
        let field = field?;
        if let (POLICIES, Value::Bytes(inner)) = (field.number, field.value) {
            let policy = strings(inner, POLICY)?.pop().unwrap_or_default();
            names.push(PolicyNames { policy, parts: strings(inner, PARTS)? });
        }
    }
    Ok(names)
}

/// The strings that a message has in the field `number`.
fn strings(message: &[u8], number: u32) -> Result<Vec<String>, MessageError> {
    let mut strings = Vec::new();
    for field in Fields::new(message) {
        let field = field?;
        if let Value::Bytes(text) = field.value
            && field.number == number
        {
            strings.push(utf8(text)?.to_owned());
        }
    }
    Ok(strings)
}

fn put_strings(message: &mut Vec<u8>, number: u32, strings: &[String]) {
    strings.iter().for_each(|string| put_bytes(message, number, string.as_bytes()));
}

/// Writes nothing if it is not set, as protobuf has it.
fn put_flag(message: &mut Vec<u8>, number: u32, flag: bool) {
    if flag {
        put_varint_field(message, number, 1);
    }
}

fn number_of<T: PartialEq>(numbers: &[(T, u64)], wanted: &T) -> u64 {
    numbers.iter().find(|(one, _)| one == wanted).map_or(0, |(_, number)| *number)
}

fn named<T: Copy>(numbers: &[(T, u64)], wanted: u64, what: &'static str) -> Result<T, MessageError> {
    let found = numbers.iter().find(|(_, number)| *number == wanted);
    found.map(|(one, _)| *one).ok_or(MessageError::Invalid(what))
}

#[cfg(test)]
mod tests;
