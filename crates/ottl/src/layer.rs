//! Slots that are found together: those of spans, those of events, those of envelopes.

use crate::mask::ConditionMask;
use crate::slots::{Found, Level, Place, Walker};

/// Slots that are found together.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) walkers: Vec<(Level, Walker)>,
    places: Vec<Place>,
    /// The conditions that each slot matters to.
    users: Vec<ConditionMask>,
    all_users: ConditionMask,
}

impl Layer {
    pub(crate) fn new(levels: &[Level]) -> Self {
        Self {
            walkers: levels.iter().map(|&level| (level, Walker::new(level))).collect(),
            places: Vec::new(),
            users: Vec::new(),
            all_users: ConditionMask::NONE,
        }
    }

    /// The index of a place's slot, which equal places share.
    pub(crate) fn slot(&mut self, place: Place, user: ConditionMask) -> usize {
        self.all_users |= user;
        let known = self.places.iter().position(|other| *other == place);
        let index = known.unwrap_or(self.places.len());
        match self.users.get_mut(index) {
            Some(users) => *users |= user,
            None => {
                if let Some((_, walker)) = self.walkers.iter_mut().find(|(level, _)| *level == place.level) {
                    walker.add(&place.what, index);
                }
                self.places.push(place);
                self.users.push(user);
            }
        }
        index
    }

    /// Finds the slots in a message, if conditions that are asked need any, and which conditions they matter
    /// to.
    #[inline]
    pub(crate) fn find(
        &self,
        message: &[u8],
        asked: ConditionMask,
        found: &mut Vec<Found>,
        live: &mut ConditionMask,
    ) {
        found.clear();
        if (asked & self.all_users).is_empty() {
            return;
        }
        found.resize(self.users.len(), Found::Absent);
        for (_, walker) in &self.walkers {
            walker.walk(message, found, |slot| *live |= self.users_of(slot));
        }
    }

    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// The conditions that a slot matters to.
    #[inline]
    pub(crate) fn users_of(&self, slot: usize) -> ConditionMask {
        self.users.get(slot).copied().unwrap_or_default()
    }
}
