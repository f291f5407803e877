//! Slots that are found together: those of spans, those of events, those of envelopes.

use crate::mask::ConditionMask;
use crate::slots::{Found, Level, Place, Walker};

/// Slots that are found together.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) walkers: Vec<(Level, Walker)>,
    places: Vec<Place>,
    /// The conditions that have to be evaluated where a slot is found.
    woken: Vec<ConditionMask>,
    /// The conditions that have slots here.
    users: ConditionMask,
}

impl Layer {
    pub(crate) fn new(levels: &[Level]) -> Self {
        Self {
            walkers: levels.iter().map(|&level| (level, Walker::new(level))).collect(),
            places: Vec::new(),
            woken: Vec::new(),
            users: ConditionMask::NONE,
        }
    }

    /// The index of a place's slot, which equal places share.
    pub(crate) fn slot(&mut self, place: Place, user: ConditionMask, woken: ConditionMask) -> usize {
        self.users |= user;
        let known = self.places.iter().position(|other| *other == place);
        let index = known.unwrap_or(self.places.len());
        match self.woken.get_mut(index) {
            Some(others) => *others |= woken,
            None => {
                if let Some((_, walker)) = self.walkers.iter_mut().find(|(level, _)| *level == place.level) {
                    walker.add(&place.what, index);
                }
                self.places.push(place);
                self.woken.push(woken);
            }
        }
        index
    }

    /// Finds the slots in a message, if conditions that are asked need any, and which conditions they wake.
    #[inline]
    pub(crate) fn find(
        &self,
        message: &[u8],
        asked: ConditionMask,
        found: &mut Vec<Found>,
        live: &mut ConditionMask,
    ) {
        found.clear();
        if (asked & self.users).is_empty() {
            return;
        }
        found.resize(self.woken.len(), Found::Absent);
        for (_, walker) in &self.walkers {
            walker.walk(message, found, |slot| *live |= self.woken_by(slot));
        }
    }

    /// The conditions that have slots here.
    pub(crate) fn users(&self) -> ConditionMask {
        self.users
    }

    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.woken.len()
    }

    /// The conditions that have to be evaluated if a slot is found.
    #[inline]
    pub(crate) fn woken_by(&self, slot: usize) -> ConditionMask {
        self.woken.get(slot).copied().unwrap_or_default()
    }
}
