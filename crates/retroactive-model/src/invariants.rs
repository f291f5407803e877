//! What must hold whatever happens.

use stateright::Property;

use crate::AGENTS;
use crate::agent::Fate;
use crate::model::Protocol;
use crate::state::State;

impl Protocol {
    /// No trace is split: what one agent has kept, none has thrown away.
    pub const WHOLE: &str = "kept traces are whole";
    /// An agent frees what it drops only when all know that it is dropped who could say anything that may have it kept.
    pub const KNOWN: &str = "what is freed is known to be dropped";
    /// Where no evidence was lost with an agent, what is kept is what a tail sampler with all evidence keeps.
    pub const RIGHT: &str = "verdicts are the tail sampler's";
    /// As long as a trace is not decided everywhere there is something that will happen without a fault. What happens
    /// without a fault never goes round in circles, so every run ends with every trace decided everywhere.
    pub const ENDS: &str = "every trace is decided in the end";
    /// There are runs to their end at all.
    pub const FINAL: &str = "an end is reached";

    pub(crate) fn invariants() -> Vec<Property<Self>> {
        vec![
            Property::always(Self::WHOLE, |_, state: &State| {
                !state
                    .fates()
                    .any(|fates| fates.iter().any(|fate| fate.is_kept()) && fates.contains(&Fate::Freed))
            }),
            Property::always(Self::KNOWN, |protocol: &Self, state: &State| {
                state.fates().enumerate().filter(|(_, fates)| fates.contains(&Fate::Freed)).all(
                    |(trace, fates)| {
                        (0..AGENTS)
                            .all(|agent| fates[agent] != Fate::Undecided || protocol.is_silent(agent, trace))
                    },
                )
            }),
            Property::always(Self::RIGHT, |protocol: &Self, state: &State| {
                state.fates().zip(&protocol.traces).all(|(fates, policy)| {
                    fates.contains(&Fate::Lost)
                        || fates.iter().all(|fate| match fate {
                            Fate::Kept | Fate::Sent => policy.of_all().contains(&true),
                            Fate::Freed => policy.of_all().contains(&false),
                            _ => true,
                        })
                })
            }),
            Property::always(Self::ENDS, |protocol: &Self, state: &State| {
                let mut actions = Vec::new();
                protocol.progress(state, &mut actions);
                !actions.is_empty() || state.is_final()
            }),
            Property::sometimes(Self::FINAL, |_, state: &State| state.is_final()),
        ]
    }
}
