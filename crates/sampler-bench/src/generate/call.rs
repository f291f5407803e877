//! One trace: a walk through the graph.
//!
//! A call is two spans, the caller's and the callee's, with a network between them. Half of an operation's own time
//! passes before its calls and half after. A callee's failure is its caller's too, up to the root, unless it is tried
//! again.

use std::time::Duration;

use fastrand::Rng;
use forebay_otlp::TraceId;
use forebay_otlp::wire::{put_bytes, put_fixed64, put_varint_field};

use super::encode::{int_attribute, status_error, string_attribute};
use super::graph::{Call, Description, Fault, FaultKind, Operation};
use super::requests::Requests;
use super::{BEGIN, nanos};

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// How long a caller waits for an instance that does not answer.
const TIMEOUT: u64 = 1_000_000_000;
/// How long a caller waits before it tries again.
const BACKOFF: u64 = 20_000_000;
/// How long a message travels at least, and at most.
const NETWORK: std::ops::Range<u64> = 100_000..600_000;

/// A trace that is being made. Times are nanoseconds after the traffic's begin.
pub(super) struct Walk<'a> {
    description: &'a Description,
    rng: &'a mut Rng,
    requests: &'a mut Requests,
    id: TraceId,
    /// The number of the first fault that has struck.
    pub(super) fault: Option<usize>,
}

/// One span before it is written.
struct Draft<'a> {
    service: usize,
    instance: u32,
    name: &'a str,
    kind: u64,
    id: u64,
    parent: u64,
    start: u64,
    end: u64,
    failed: bool,
    attributes: &'a [(String, String)],
}

/// How something has ended, and when.
#[derive(Clone, Copy)]
struct Ended {
    at: u64,
    failed: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        description: &'a Description,
        rng: &'a mut Rng,
        requests: &'a mut Requests,
        id: TraceId,
    ) -> Self {
        Self { description, rng, requests, id, fault: None }
    }

    /// The whole trace, which begins with an operation at `start`.
    pub(super) fn enter(&mut self, service: usize, operation: usize, start: u64) {
        let instance = self.rng.u32(..self.description.services[service].instances);
        self.serve(service, instance, operation, 0, start, 1);
    }

    /// An operation at work. `attempts` is how often its caller has tried.
    fn serve(
        &mut self,
        service: usize,
        instance: u32,
        operation: usize,
        parent: u64,
        start: u64,
        attempts: u32,
    ) -> Ended {
        let described = &self.description.services[service].operations[operation];
        let id = self.rng.u64(1..);
        let mut own = self.own_time(described);
        let mut failed = self.rng.f64() < described.errors;
        let mut extra = None;
        for number in self.striking(service, operation, start) {
            match self.description.faults[number].kind {
                FaultKind::Errors => failed = true,
                FaultKind::Slow(factor) => own = scaled(own, factor),
                FaultKind::RarePath(call) => extra = Some(call),
                FaultKind::RetryStorm(limit) if attempts < limit => failed = true,
                FaultKind::RetryStorm(_) | FaultKind::Outage(_) => continue,
            }
            self.fault.get_or_insert(number);
        }
        let begun = start + own / 2;
        let mut at = begun;
        for &call in described.calls.iter().chain(&extra) {
            for _ in 0..call.times {
                if self.rng.f64() < call.probability {
                    let ended =
                        self.call(service, instance, id, call, if described.parallel { begun } else { at });
                    at = at.max(ended.at);
                    failed |= ended.failed;
                }
            }
        }
        let end = at + own.div_ceil(2);
        self.write(Draft {
            service,
            instance,
            name: &described.name,
            kind: SERVER,
            id,
            parent,
            start,
            end,
            failed,
            attributes: &described.attributes,
        });
        Ended { at: end, failed }
    }

    /// A call, tried again where a storm of retries rages.
    fn call(&mut self, service: usize, instance: u32, parent: u64, call: Call, start: u64) -> Ended {
        let limit = self.retries(call, start);
        let mut ended = Ended { at: start, failed: false };
        for attempt in 1..=limit {
            ended = self.attempt(service, instance, parent, call, ended.at, attempt);
            if !ended.failed {
                break;
            }
            ended.at += if attempt < limit { BACKOFF } else { 0 };
        }
        ended
    }

    fn attempt(
        &mut self,
        service: usize,
        instance: u32,
        parent: u64,
        call: Call,
        start: u64,
        attempt: u32,
    ) -> Ended {
        let callee = &self.description.services[call.service];
        let answering = self.rng.u32(..callee.instances);
        let (id, out, back) = (self.rng.u64(1..), self.rng.u64(NETWORK), self.rng.u64(NETWORK));
        let silent = self.outage(call, answering, start);
        let ended = match silent {
            Some(fault) => {
                self.fault.get_or_insert(fault);
                Ended { at: start + TIMEOUT, failed: true }
            }
            None => {
                let served = self.serve(call.service, answering, call.operation, id, start + out, attempt);
                Ended { at: served.at + back, ..served }
            }
        };
        self.write(Draft {
            service,
            instance,
            name: &callee.operations[call.operation].name,
            kind: CLIENT,
            id,
            parent,
            start,
            end: ended.at,
            failed: ended.failed,
            attributes: &[],
        });
        ended
    }

    /// The numbers of the faults that strike a call of an operation now.
    fn striking(&mut self, service: usize, operation: usize, now: u64) -> Vec<usize> {
        let faults = self.description.faults.iter().enumerate();
        faults
            .filter(|(_, fault)| {
                fault.concerns(service, operation, now) && self.rng.f64() < fault.probability
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// How often a call is tried at most.
    fn retries(&self, call: Call, now: u64) -> u32 {
        let concerned =
            self.description.faults.iter().filter(|fault| fault.concerns(call.service, call.operation, now));
        let limits = concerned.filter_map(|fault| match fault.kind {
            FaultKind::RetryStorm(limit) => Some(limit),
            _ => None,
        });
        limits.max().unwrap_or(1)
    }

    /// The number of the fault because of which an instance does not answer now.
    fn outage(&mut self, call: Call, answering: u32, now: u64) -> Option<usize> {
        let mut faults = self.description.faults.iter();
        faults.position(|fault| {
            fault.kind == FaultKind::Outage(answering)
                && fault.concerns(call.service, call.operation, now)
                && self.rng.f64() < fault.probability
        })
    }

    /// A log-normal time: its logarithm is normal, by Box and Muller's transform.
    fn own_time(&mut self, operation: &Operation) -> u64 {
        let (radius, angle) = (self.rng.f64(), self.rng.f64());
        let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        scaled(nanos(operation.latency), (operation.spread * normal).exp())
    }

    fn write(&mut self, draft: Draft<'_>) {
        let (start, end) = (BEGIN + draft.start, BEGIN + draft.end);
        let mut span = Vec::with_capacity(256);
        put_bytes(&mut span, 1, &self.id.to_bytes());
        put_bytes(&mut span, 2, &draft.id.to_be_bytes());
        if draft.parent != 0 {
            put_bytes(&mut span, 4, &draft.parent.to_be_bytes());
        }
        put_bytes(&mut span, 5, draft.name.as_bytes());
        put_varint_field(&mut span, 6, draft.kind);
        put_fixed64(&mut span, 7, start);
        put_fixed64(&mut span, 8, end);
        string_attribute(&mut span, 9, "network.protocol.version", "1.1");
        int_attribute(&mut span, 9, "thread.id", i64::from(self.rng.u8(1..64)));
        for (key, value) in draft.attributes {
            string_attribute(&mut span, 9, key, &self.filled(value));
        }
        if draft.failed {
            status_error(&mut span);
        }
        self.requests.add(draft.service, draft.instance, end, span);
    }

    /// The text with a random number below N for `{N}`.
    fn filled(&mut self, text: &str) -> String {
        let parts = text.split_once('{').and_then(|(before, rest)| {
            let (bound, after) = rest.split_once('}')?;
            Some((before, bound.parse::<u64>().ok().filter(|&bound| bound > 0)?, after))
        });
        match parts {
            Some((before, bound, after)) => format!("{before}{}{after}", self.rng.u64(..bound)),
            None => text.to_owned(),
        }
    }
}

impl Fault {
    /// Whether it may strike an operation at this time.
    fn concerns(&self, service: usize, operation: usize, now: u64) -> bool {
        self.service == service
            && self.operation.is_none_or(|struck| struck == operation)
            && (self.from..self.to).contains(&Duration::from_nanos(now))
    }
}

fn scaled(nanos: u64, factor: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let scaled = (nanos as f64 * factor) as u64;
    scaled
}
