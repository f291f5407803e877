//! Moments in few bytes, for what is kept of very many traces.

use super::store::Nanos;

/// A moment on a sampler's clock, in hundredths of a second. Wraps around after 497 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u32);

const NANOS: Nanos = 10_000_000;
const PER_SECOND: u32 = 100;

impl Moment {
    /// One that is not known yet: after all others.
    pub(crate) const UNKNOWN: Self = Self(u32::MAX);

    #[expect(clippy::cast_possible_truncation, reason = "wraps around on purpose")]
    pub(crate) fn of(time: Nanos) -> Self {
        Self((time / NANOS) as u32)
    }

    /// How long ago it was, in seconds.
    pub(crate) fn age(self, now: Nanos) -> f64 {
        f64::from(self.hundredths_until(now)) / f64::from(PER_SECOND)
    }

    /// The same in whole seconds, rounded down.
    pub(crate) fn whole_seconds_until(self, now: Nanos) -> u32 {
        self.hundredths_until(now) / PER_SECOND
    }

    fn hundredths_until(self, now: Nanos) -> u32 {
        Self::of(now).0.wrapping_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_exact_to_a_hundredth_and_survive_that_the_moment_wraps_around() {
        for begun in [0, 123 * NANOS, u64::from(u32::MAX) * NANOS] {
            let moment = Moment::of(begun);
            assert_eq!((moment.age(begun), moment.age(begun + 250 * NANOS)), (0.0, 2.5));
            assert_eq!(moment.whole_seconds_until(begun + 199 * NANOS), 1);
        }
    }
}
