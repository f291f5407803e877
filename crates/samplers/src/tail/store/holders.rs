//! Which agents hold spans of a trace.
//!
//! What agents say of their spans merges into the trace's digest, all but the two counts: of these, what an agent
//! says later replaces what it has said before. So it is kept what each has said. Few samplers are coordinators; a
//! trace costs four bytes there, and each holder of it sixteen or twenty, and nothing elsewhere.

use super::traces::SlotNumber;

/// An agent, as this process numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNumber(pub u32);

/// The holders of pending traces.
#[derive(Debug, Default)]
pub(crate) struct HolderTable {
    holders: Vec<Holder>,
    /// Those that are vacant: in a list of their own, since a chain through them would be walked through far memory, one
    /// look after the other.
    vacant: Vec<Link>,
    /// By slot, the first of the trace's.
    of_slots: Vec<Link>,
}

/// An agent that holds spans of a trace.
#[derive(Clone, Copy, Debug)]
struct Holder {
    agent: AgentNumber,
    spans: u32,
    bytes: u32,
    next: Link,
}

/// One more than the index of a holder; zero at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Link(u32);

impl Link {
    fn index(self) -> Option<usize> {
        self.0.checked_sub(1).map(|index| index as usize)
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
        let mut link = self.of_slots[place];
        while let Some(index) = link.index() {
            let holder = &mut self.holders[index];
            if holder.agent == agent {
                let more = (spans.saturating_sub(holder.spans), bytes.saturating_sub(holder.bytes));
                (holder.spans, holder.bytes) = (holder.spans.max(spans), holder.bytes.max(bytes));
                return more;
            }
            link = holder.next;
        }
        let holder = Holder { agent, spans, bytes, next: self.of_slots[place] };
        self.of_slots[place] = self.occupy(holder);
        (spans, bytes)
    }

    /// The agents that hold spans of a trace.
    pub(crate) fn of(&self, slot: SlotNumber) -> impl Iterator<Item = AgentNumber> {
        self.chain(slot).map(|holder| holder.agent)
    }

    /// How many spans of a trace agents hold.
    pub(crate) fn spans(&self, slot: SlotNumber) -> u64 {
        self.chain(slot).map(|holder| u64::from(holder.spans)).sum()
    }

    /// Forgets a trace.
    pub(crate) fn release(&mut self, slot: SlotNumber) {
        let Some(mut link) = self.of_slots.get_mut(slot.to_bits() as usize).map(std::mem::take) else {
            return;
        };
        while let Some(index) = link.index() {
            self.vacant.push(link);
            link = self.holders[index].next;
        }
    }

    /// Bytes held.
    pub(crate) fn allocated(&self) -> usize {
        self.holders.capacity() * size_of::<Holder>()
            + (self.of_slots.capacity() + self.vacant.capacity()) * size_of::<Link>()
    }

    fn chain(&self, slot: SlotNumber) -> impl Iterator<Item = &Holder> {
        let first = self.of_slots.get(slot.to_bits() as usize).and_then(|first| first.index());
        std::iter::successors(first, |&index| self.holders[index].next.index())
            .map(|index| &self.holders[index])
    }

    fn occupy(&mut self, holder: Holder) -> Link {
        if let Some(link) = self.vacant.pop()
            && let Some(index) = link.index()
        {
            self.holders[index] = holder;
            return link;
        }
        self.holders.push(holder);
        // A holder takes memory of the budget, so there are far fewer.
        Link(u32::try_from(self.holders.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn holders_of_traces_that_are_gone_are_used_again() {
        let slots: Vec<_> = (256..266).map(|bits| SlotNumber::from_bits(bits).unwrap()).collect();
        let mut table = HolderTable::default();
        for round in 0..10 {
            for &slot in &slots {
                for agent in 0..3 {
                    table.hold(slot, AgentNumber(agent), round, 1);
                }
            }
            assert_eq!(table.holders.len(), 30);
            slots.iter().for_each(|&slot| table.release(slot));
            assert!(slots.iter().all(|&slot| table.of(slot).next().is_none()));
        }
    }
}
