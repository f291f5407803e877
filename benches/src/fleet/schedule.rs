//! What agents are sent, and when.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use forebay_otlp::wire::WireError;

use crate::{compare::TraceId, sink::trace_id, walk::for_each_span};

/// Requests for agents, and what traces they have.
#[derive(Debug)]
pub struct Schedule {
    /// For each agent, what it is sent.
    pub of_agents: Vec<Vec<Due>>,
    /// What is sent of each trace.
    pub traces: HashMap<TraceId, Sent>,
    /// The traces of each agent.
    pieces: HashSet<(TraceId, usize)>,
}

/// A trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Of how many spans it is.
    pub spans: u32,
    /// When the first of them is sent, after the beginning.
    pub first: Duration,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Due {
    /// When it is sent, after the beginning.
    pub at: Duration,
    /// An `ExportTraceServiceRequest`.
    pub request: Bytes,
    /// How many spans it has.
    pub spans: u64,
}

impl Schedule {
    /// Nothing, for so many agents.
    #[must_use]
    pub fn new(agents: usize) -> Self {
        Self { of_agents: vec![Vec::new(); agents], traces: HashMap::new(), pieces: HashSet::new() }
    }

    /// Adds a request for an agent. Those of [`Self::of_agents`] have to be in the order of their times before they are sent.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn add(&mut self, agent: usize, at: Duration, request: Bytes) -> Result<(), WireError> {
        let mut spans = 0;
        for_each_span(&request, |_, span| {
            let trace = trace_id(span)?;
            let sent = self.traces.entry(trace).or_insert(Sent { spans: 0, first: at });
            *sent = Sent { spans: sent.spans + 1, first: sent.first.min(at) };
            self.pieces.insert((trace, agent));
            spans += 1;
            Ok(())
        })?;
        self.of_agents[agent].push(Due { at, request, spans });
        Ok(())
    }

    /// How many spans are sent between these times.
    #[must_use]
    pub fn spans(&self, time: std::ops::Range<Duration>) -> u64 {
        self.of_agents.iter().flatten().filter(|due| time.contains(&due.at)).map(|due| due.spans).sum()
    }

    /// How many traces there are at agents, all agents together.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }
}
