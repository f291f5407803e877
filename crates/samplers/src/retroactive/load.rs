//! What agents have told of that is undecided: whose share it is when there is too much.
//!
//! What one agent tells takes a coordinator's memory until it is decided, and beyond a bound the oldest traces are
//! decided early, whoever has told of them. An agent that makes up traces would so take the evidence of all others
//! from under their decisions. So when there is too much, and one agent has told of far more than the others do, it
//! is that agent which is not listened to.

use std::collections::{HashMap, VecDeque};

use crate::tail::{AgentNumber, Nanos};

/// Pieces that are undecided, by who has told of them.
#[derive(Debug)]
pub(super) struct Load {
    /// How many there is room for.
    most: usize,
    /// For how long a piece is undecided.
    wait: Nanos,
    all: usize,
    by_agent: HashMap<AgentNumber, usize>,
    /// In the order in which they came, each with when they are decided.
    reports: VecDeque<(Nanos, AgentNumber, usize)>,
}

/// An agent has told of more undecided traces than there is room for, and of far more than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has told of {told} undecided traces, where there is room for {most} of all agents")]
pub struct FloodError {
    /// How many it has told of.
    pub told: usize,
    /// How many there is room for.
    pub most: usize,
}

/// What a piece takes while it is undecided, in bytes: its trace's slot, its place in the table and in the schedule, and
/// who holds it.
const PIECE_BYTES: usize = 192;
/// An agent that tells of so many times what others tell of on average is not one of them.
const FAR_MORE: usize = 8;

impl Load {
    /// Nothing is undecided; there is room for so many bytes of it.
    pub(super) fn new(bytes: usize, wait: Nanos) -> Self {
        let most = bytes / PIECE_BYTES;
        Self { most, wait, all: 0, by_agent: HashMap::new(), reports: VecDeque::new() }
    }

    /// An agent tells of so many traces at `now`.
    ///
    /// # Errors
    /// When there is no room and it is this agent's fault. What it tells of does not count then.
    pub(super) fn add(&mut self, agent: AgentNumber, pieces: usize, now: Nanos) -> Result<(), FloodError> {
        self.forget_decided(now);
        let told = self.by_agent.get(&agent).map_or(0, |&told| told) + pieces;
        if self.all + pieces > self.most {
            let others = self.by_agent.keys().filter(|&&other| other != agent).count();
            let by_others = (self.all + pieces).saturating_sub(told);
            if others > 0 && told.saturating_mul(others) > by_others.saturating_mul(FAR_MORE) {
                return Err(FloodError { told, most: self.most });
            }
        }
        if pieces > 0 {
            *self.by_agent.entry(agent).or_default() += pieces;
            self.all += pieces;
            self.reports.push_back((now.saturating_add(self.wait), agent, pieces));
        }
        Ok(())
    }

    /// How many pieces of an agent are undecided at `now`.
    pub(super) fn undecided(&mut self, agent: AgentNumber, now: Nanos) -> usize {
        self.forget_decided(now);
        self.by_agent.get(&agent).copied().unwrap_or(0)
    }

    fn forget_decided(&mut self, now: Nanos) {
        while let Some((_, agent, pieces)) = self.reports.pop_front_if(|&mut (due, ..)| due <= now) {
            self.all -= pieces;
            if let Some(told) = self.by_agent.get_mut(&agent) {
                *told -= pieces;
                if *told == 0 {
                    self.by_agent.remove(&agent);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: [AgentNumber; 2] = [AgentNumber(1), AgentNumber(2)];
    const FLOODING: AgentNumber = AgentNumber(3);

    /// Room for a thousand pieces, each of which is undecided for ten.
    fn load() -> Load {
        Load::new(1000 * PIECE_BYTES, 10)
    }

    #[test]
    fn who_floods_is_told_apart_from_who_tells_much() {
        let mut load = load();
        HONEST.iter().for_each(|&agent| load.add(agent, 100, 0).unwrap());
        assert_eq!(load.add(FLOODING, 801, 0), Err(FloodError { told: 801, most: 1000 }));
        load.add(FLOODING, 800, 0).unwrap();
        // There is no room for anybody, but it is not these that have taken it.
        HONEST.iter().for_each(|&agent| load.add(agent, 50, 1).unwrap());
        assert_eq!(load.add(FLOODING, 500, 1), Err(FloodError { told: 1300, most: 1000 }));
    }

    #[test]
    fn what_is_decided_does_not_count() {
        let mut load = load();
        load.add(HONEST[0], 10, 0).unwrap();
        for now in 0..100 {
            load.add(HONEST[0], 1, now).unwrap();
            load.add(FLOODING, 90, now).unwrap();
        }
        assert!(load.add(FLOODING, 200, 99).is_err());
        assert!(load.add(FLOODING, 200, 109).is_ok());
        assert_eq!([118, 119].map(|now| load.undecided(FLOODING, now)), [200, 0]);
        assert!(load.by_agent.is_empty() && load.reports.is_empty() && load.all == 0);
    }

    #[test]
    fn one_agent_alone_may_have_all() {
        let mut load = load();
        assert!((0..10).all(|now| load.add(FLOODING, 5000, now).is_ok()));
    }
}
