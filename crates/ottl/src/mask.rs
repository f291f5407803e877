//! Sets of conditions, by their index in a [`ConditionSet`](crate::ConditionSet).

use std::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of conditions: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConditionMask(u128);

impl ConditionMask {
    /// No condition.
    pub const NONE: Self = Self(0);
    /// Every condition.
    pub const ALL: Self = Self(u128::MAX);
    /// How many conditions there can be.
    pub const MAX: usize = 128;

    /// The conditions whose bits are set, the first one's lowest.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// A bit for each condition, the first one's lowest.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    pub(crate) fn one(index: usize) -> Option<Self> {
        (index < Self::MAX).then(|| Self(1 << index))
    }

    /// Adds a condition. Those that no set can hold are left out.
    pub fn insert(&mut self, index: usize) {
        *self |= Self::one(index).unwrap_or_default();
    }

    /// Whether it has a condition.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        Self::one(index).is_some_and(|bit| !(self & bit).is_empty())
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The conditions that `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The conditions' indices, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(index)
        })
    }
}

impl BitAnd for ConditionMask {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for ConditionMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ConditionMask {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
