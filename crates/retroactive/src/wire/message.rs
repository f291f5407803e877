//! What travels on a stream: one of few messages each way.

use forebay_otlp::wire::{Fields, Value, put_bytes, put_fixed64, put_varint_field};
use forebay_samplers::retroactive::message::{Decisions, Report};
use forebay_samplers::retroactive::program::{Program, ProgramId};

use super::{MessageError, decisions, program, report, utf8};
use crate::handshake::{AgentId, CoordinatorId, Hello, Welcome};

/// What an agent says.
#[derive(Debug, PartialEq)]
pub enum FromAgent {
    /// First.
    Hello(Hello),
    /// Any number of times after that. What pieces it has is not looked at before there is room for them.
    Report(report::Undecoded),
}

/// What a coordinator says.
#[derive(Debug, PartialEq)]
pub enum FromCoordinator {
    /// First.
    Welcome(Welcome),
    /// After that, and whenever it changes.
    Program(Program, ProgramId),
    /// Any number of times.
    Decisions(Decisions),
}

const HELLO: u32 = 1;
const REPORT: u32 = 2;
const WELCOME: u32 = 1;
const PROGRAM: u32 = 2;
const DECISIONS: u32 = 3;

const VERSIONS: u32 = 1;
const AGENT: u32 = 2;
const NAME: u32 = 3;
const KNOWN_PROGRAM: u32 = 4;
const VERSION: u32 = 1;
const COORDINATOR: u32 = 2;

/// Versions that a `Hello` may name.
const MAX_VERSIONS: usize = 64;
/// Bytes of an agent's name.
const MAX_NAME: usize = 256;

/// A message with a `Hello`.
#[must_use]
pub fn encode_hello(hello: &Hello) -> Vec<u8> {
    let mut message = Vec::new();
    hello.versions.iter().for_each(|&version| put_varint_field(&mut message, VERSIONS, version.into()));
    put_bytes(&mut message, AGENT, &hello.agent.0);
    put_bytes(&mut message, NAME, hello.name.as_bytes());
    if let Some(ProgramId(program)) = hello.program {
        put_fixed64(&mut message, KNOWN_PROGRAM, program);
    }
    within(HELLO, &message)
}

/// A message with a report.
#[must_use]
pub fn encode_report(report: &Report) -> Vec<u8> {
    within(REPORT, &report::encode(report))
}

/// A message with a `Welcome`.
#[must_use]
pub fn encode_welcome(welcome: &Welcome) -> Vec<u8> {
    let mut message = Vec::new();
    put_varint_field(&mut message, VERSION, welcome.version.into());
    put_bytes(&mut message, COORDINATOR, &welcome.coordinator.0);
    within(WELCOME, &message)
}

/// A message with a program in its encoding.
#[must_use]
pub fn encode_program(program: &program::Encoded) -> Vec<u8> {
    within(PROGRAM, &program.bytes)
}

/// A message with decisions.
#[must_use]
pub fn encode_decisions(decisions: &Decisions) -> Vec<u8> {
    within(DECISIONS, &decisions::encode(decisions))
}

/// Reads what an agent says.
///
/// # Errors
/// When it is malformed, of no kind that is known here, or beyond a bound.
pub fn decode_from_agent(message: &[u8]) -> Result<FromAgent, MessageError> {
    match only(message)? {
        (HELLO, hello) => decode_hello(hello).map(FromAgent::Hello),
        (REPORT, report) => report::decode(report).map(FromAgent::Report),
        _ => Err(MessageError::Missing("message that an agent may send")),
    }
}

/// Reads what a coordinator says.
///
/// # Errors
/// When it is malformed, of no kind that is known here, or beyond a bound.
pub fn decode_from_coordinator(message: &[u8]) -> Result<FromCoordinator, MessageError> {
    match only(message)? {
        (WELCOME, welcome) => decode_welcome(welcome).map(FromCoordinator::Welcome),
        (PROGRAM, encoded) => {
            let program = program::decode(encoded)?;
            Ok(FromCoordinator::Program(program, program::id(encoded)))
        }
        (DECISIONS, decisions) => decisions::decode(decisions).map(FromCoordinator::Decisions),
        _ => Err(MessageError::Missing("message that a coordinator may send")),
    }
}

fn within(number: u32, message: &[u8]) -> Vec<u8> {
    let mut outer = Vec::with_capacity(message.len() + 8);
    put_bytes(&mut outer, number, message);
    outer
}

/// The message within: the last, as of any `oneof`.
fn only(message: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    let mut found = (0, &[][..]);
    for field in Fields::new(message) {
        let field = field?;
        if let Value::Bytes(bytes) = field.value {
            found = (field.number, bytes);
        }
    }
    Ok(found)
}

fn decode_hello(message: &[u8]) -> Result<Hello, MessageError> {
    let (mut versions, mut agent, mut name, mut program) = (Vec::new(), None, String::new(), 0);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (VERSIONS, Value::Varint(version)) => versions.push(version),
            (AGENT, Value::Bytes(id)) => agent = id.try_into().ok().map(AgentId),
            (NAME, Value::Bytes(text)) => utf8(text)?.clone_into(&mut name),
            (KNOWN_PROGRAM, Value::Fixed64(id)) => program = id,
            _ => {}
        }
        if versions.len() > MAX_VERSIONS {
            return Err(MessageError::TooMany("versions", MAX_VERSIONS));
        }
    }
    if name.len() > MAX_NAME {
        return Err(MessageError::TooMany("bytes in an agent's name", MAX_NAME));
    }
    let versions = versions.into_iter().filter_map(|version| u32::try_from(version).ok()).collect();
    let agent = agent.ok_or(MessageError::Missing("id of an agent of 16 bytes"))?;
    Ok(Hello { versions, agent, name, program: Some(ProgramId(program)).filter(|id| id.0 != 0) })
}

fn decode_welcome(message: &[u8]) -> Result<Welcome, MessageError> {
    let (mut version, mut coordinator) = (0, None);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (VERSION, Value::Varint(value)) => version = value,
            (COORDINATOR, Value::Bytes(id)) => coordinator = id.try_into().ok().map(CoordinatorId),
            _ => {}
        }
    }
    let version = u32::try_from(version).map_err(|_| MessageError::Invalid("version"))?;
    let coordinator = coordinator.ok_or(MessageError::Missing("id of a coordinator of 16 bytes"))?;
    Ok(Welcome { version, coordinator })
}

#[cfg(test)]
mod tests;
