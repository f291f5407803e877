//! Which agents hold spans of a trace.
//!
//! What agents say of their spans merges into the trace's digest, all but the two counts: of these, what an agent
//! says later replaces what it has said before. So it is kept what each has said. Few samplers are coordinators; a
//! trace costs four bytes there, and 64 for every four holders: a cache line, since every look at it is one at far
//! memory. Elsewhere it costs nothing.

use super::traces::SlotNumber;

/// An agent, as this process numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNumber(pub u32);

/// The holders of pending traces.
#[derive(Debug, Default)]
pub(crate) struct HolderTable {
    groups: Vec<Group>,
    /// Those that are vacant: in a list of their own, since a chain through them would be walked through far memory, one
    /// look after the other.
    vacant: Vec<Link>,
    /// By slot, the first of the trace's.
    of_slots: Vec<Link>,
}

/// Some of the agents that hold spans of a trace.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Group {
    holders: [Holder; GROUP],
    /// How many there are.
    len: usize,
    next: Link,
}

/// An agent that holds spans of a trace.
#[derive(Clone, Copy, Debug, Default)]
struct Holder {
    agent: u32,
    spans: u32,
    bytes: u32,
}

/// One more than the index of a group; zero at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Link(u32);

const GROUP: usize = 4;
const _: () = assert!(size_of::<Group>() == 64);

impl Link {
    fn index(self) -> Option<usize> {
        self.0.checked_sub(1).map(|index| index as usize)
    }
}

impl Group {
    fn holders(&self) -> &[Holder] {
        &self.holders[..self.len]
    }
}

impl HolderTable {
    /// Adds what an agent says that it holds of a trace, and returns by how many spans and bytes that is more than it
    /// has said before.
    pub(crate) fn hold(
        &mut self,
        slot: SlotNumber,
        agent: AgentNumber,
        spans: u32,
        bytes: u32,
    ) -> (u32, u32) {
        let place = slot.to_bits() as usize;
        if place >= self.of_slots.len() {
            self.of_slots.resize(place + 1, Link::default());
        }
        let first = self.of_slots[place];
        let mut link = first;
        while let Some(index) = link.index() {
            let Group { holders, len, next } = &mut self.groups[index];
            if let Some(holder) = holders[..*len].iter_mut().find(|holder| holder.agent == agent.0) {
                let more = (spans.saturating_sub(holder.spans), bytes.saturating_sub(holder.bytes));
                (holder.spans, holder.bytes) = (holder.spans.max(spans), holder.bytes.max(bytes));
                return more;
            }
            link = *next;
        }
        let holder = Holder { agent: agent.0, spans, bytes };
        // All groups but the first are full.
        match first.index().map(|index| &mut self.groups[index]).filter(|group| group.len < GROUP) {
            Some(group) => {
                group.holders[group.len] = holder;
                group.len += 1;
            }
            None => {
                let mut holders = [Holder::default(); GROUP];
                holders[0] = holder;
                self.of_slots[place] = self.occupy(Group { holders, len: 1, next: first });
            }
        }
        (spans, bytes)
    }

    /// An agent's part in a trace is no more: how many spans and bytes it has said that it holds.
    pub(crate) fn let_go(&mut self, slot: SlotNumber, agent: AgentNumber) -> (u32, u32) {
        let holders: Vec<_> = self.holders(slot).copied().collect();
        self.release(slot);
        let mut gone = (0, 0);
        for holder in holders {
            if holder.agent == agent.0 {
                gone = (holder.spans, holder.bytes);
            } else {
                self.hold(slot, AgentNumber(holder.agent), holder.spans, holder.bytes);
            }
        }
        gone
    }

    /// The agents that hold spans of a trace.
    pub(crate) fn of(&self, slot: SlotNumber) -> impl Iterator<Item = AgentNumber> {
        self.holders(slot).map(|holder| AgentNumber(holder.agent))
    }

    /// How many spans of a trace agents hold.
    pub(crate) fn spans(&self, slot: SlotNumber) -> u64 {
        self.holders(slot).map(|holder| u64::from(holder.spans)).sum()
    }

    /// Forgets a trace.
    pub(crate) fn release(&mut self, slot: SlotNumber) {
        let Some(mut link) = self.of_slots.get_mut(slot.to_bits() as usize).map(std::mem::take) else {
            return;
        };
        while let Some(index) = link.index() {
            self.vacant.push(link);
            link = self.groups[index].next;
        }
    }

    /// Bytes held.
    pub(crate) fn allocated(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
            + (self.of_slots.capacity() + self.vacant.capacity()) * size_of::<Link>()
    }

    fn holders(&self, slot: SlotNumber) -> impl Iterator<Item = &Holder> {
        let first = self.of_slots.get(slot.to_bits() as usize).and_then(|first| first.index());
        std::iter::successors(first, |&index| self.groups[index].next.index())
            .flat_map(|index| self.groups[index].holders())
    }

    fn occupy(&mut self, group: Group) -> Link {
        if let Some(link) = self.vacant.pop()
            && let Some(index) = link.index()
        {
            self.groups[index] = group;
            return link;
        }
        self.groups.push(group);
        // A group takes memory of the budget, so there are far fewer.
        Link(u32::try_from(self.groups.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_agents_may_hold_a_trace() {
        let slot = SlotNumber::from_bits(256).unwrap();
        let mut table = HolderTable::default();
        for agents in 1..=20 {
            assert_eq!(table.hold(slot, AgentNumber(agents), agents, 1), (agents, 1));
            assert_eq!(table.hold(slot, AgentNumber(1), 1, 1), (0, 0));
            let mut holders: Vec<_> = table.of(slot).collect();
            holders.sort_unstable();
            assert_eq!(holders, (1..=agents).map(AgentNumber).collect::<Vec<_>>());
            assert_eq!(table.spans(slot), (1..=u64::from(agents)).sum::<u64>());
        }
    }

    #[test]
    fn what_an_agent_says_later_replaces_what_it_has_said_before() {
        let [first, second] = [256, 300].map(|bits| SlotNumber::from_bits(bits).unwrap());
        let mut table = HolderTable::default();
        assert_eq!(table.hold(first, AgentNumber(1), 3, 100), (3, 100));
        assert_eq!(table.hold(first, AgentNumber(2), 2, 50), (2, 50));
        assert_eq!(table.hold(second, AgentNumber(1), 7, 7), (7, 7));
        assert_eq!(table.hold(first, AgentNumber(1), 5, 100), (2, 0));
        assert_eq!(table.hold(first, AgentNumber(1), 3, 90), (0, 0), "an older report comes late");
        assert_eq!((table.spans(first), table.spans(second)), (7, 7));
        let mut holders: Vec<_> = table.of(first).collect();
        holders.sort_unstable();
        assert_eq!(holders, [AgentNumber(1), AgentNumber(2)]);
    }

    #[test]
    fn an_agent_that_lets_go_leaves_the_others() {
        let slot = SlotNumber::from_bits(256).unwrap();
        let mut table = HolderTable::default();
        for agent in 0..9 {
            table.hold(slot, AgentNumber(agent), agent + 1, 10);
        }
        for agent in (0..9).rev() {
            assert_eq!(table.let_go(slot, AgentNumber(agent)), (agent + 1, 10));
            assert_eq!(table.let_go(slot, AgentNumber(agent)), (0, 0));
            let mut holders: Vec<_> = table.of(slot).collect();
            holders.sort_unstable();
            assert_eq!(holders, (0..agent).map(AgentNumber).collect::<Vec<_>>());
        }
    }

    #[test]
    fn holders_of_traces_that_are_gone_are_used_again() {
        let slots: Vec<_> = (256..266).map(|bits| SlotNumber::from_bits(bits).unwrap()).collect();
        let mut table = HolderTable::default();
        for round in 0..10 {
            for &slot in &slots {
                for agent in 0..9 {
                    table.hold(slot, AgentNumber(agent), round, 1);
                }
            }
            assert_eq!(table.groups.len(), 30);
            slots.iter().for_each(|&slot| table.release(slot));
            assert!(slots.iter().all(|&slot| table.of(slot).next().is_none()));
        }
    }
}
