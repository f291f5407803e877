//! Days and the Gregorian calendar, after Howard Hinnant's `chrono`-compatible algorithms
//! (<https://howardhinnant.github.io/date_algorithms.html>). Everything is in UTC.

/// Nanoseconds of a second.
pub(crate) const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i128 = 719_468;
/// Days of four centuries.
const ERA: i128 = 146_097;

/// A moment, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i128,
    /// From 1.
    pub(crate) month: i128,
    /// From 1.
    pub(crate) day: i128,
    pub(crate) hour: i128,
    pub(crate) minute: i128,
    pub(crate) second: i128,
    pub(crate) nanosecond: i128,
}

impl Civil {
    /// A moment in nanoseconds since 1970.
    pub(crate) const fn of(time: i128) -> Self {
        let (seconds, nanosecond) = (time.div_euclid(SECOND), time.rem_euclid(SECOND));
        let (days, clock) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years start in March here, so that the leap day is the last.
        let (era, day) = ((days + EPOCH).div_euclid(ERA), (days + EPOCH).rem_euclid(ERA));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let next_year = month >= 10;
        Self {
            year: year + 400 * era + next_year as i128,
            month: if next_year { month - 9 } else { month + 3 },
            day: day - (153 * month + 2) / 5 + 1,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            nanosecond,
        }
    }

    /// Nanoseconds since 1970.
    pub(crate) const fn time(self) -> i128 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let month = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day = (153 * month + 2) / 5 + self.day - 1;
        let days = era * ERA + 365 * year + year / 4 - year / 100 + day - EPOCH;
        (days * DAY + self.hour * 3600 + self.minute * 60 + self.second) * SECOND + self.nanosecond
    }

    /// Whether the date and the time of day exist.
    pub(crate) fn exists(self) -> bool {
        Self::of(self.time()) == self
    }
}

/// Day of the week; Sunday is 0.
pub(crate) const fn weekday(time: i128) -> i128 {
    // 1970 began on a Thursday.
    (time.div_euclid(SECOND * DAY) + 4).rem_euclid(7)
}

/// `2024-05-01T12:00:00.25Z`
pub(crate) fn rfc3339(time: i128) -> String {
    let Civil { year, month, day, hour, minute, second, nanosecond } = Civil::of(time);
    let fraction = if nanosecond == 0 { String::new() } else { format!(".{nanosecond:09}") };
    let fraction = fraction.trim_end_matches('0');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests;
