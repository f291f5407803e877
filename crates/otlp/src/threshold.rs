//! The one random number and the one threshold of consistent probability sampling.
//!
//! Every trace has a [`Randomness`] R of 56 bits and every probabilistic stage a rejection
//! [`Threshold`] T; a stage keeps what has R >= T. Since all stages look at the same R, the
//! strictest of them decides, and the largest T tells how many spans each kept one stands for. The
//! terms and encodings are those of
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A rejection threshold: of 2^56 equally likely traces, the `T` with the lowest randomness are
/// rejected.
///
/// Greater thresholds keep less. Displayed as the value of `th`: 1 to 14 hex digits, trailing zeros
/// dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Threshold(u64);

/// A trace's random number, 56 bits.
///
/// Displayed as the value of `rv`: 14 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Randomness(u64);

/// Why a probability has no threshold.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum ProbabilityError {
    /// The probability is not a number, above one, or so small that nothing of 2^56 would be kept.
    #[error("probability {0} is not between 2^-56 and 1")]
    Range(f64),
    /// The precision is not 1 to 14 hex digits.
    #[error("precision {0} is not between 1 and 14 hex digits")]
    Precision(u32),
}

/// The text is not the value of a `th`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("threshold is not 1 to 14 lower-case hex digits")]
pub struct ThresholdError;

/// The text is not the value of an `rv`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("randomness is not 14 lower-case hex digits")]
pub struct RandomnessError;

/// Hex digits of 56 bits.
const DIGITS: u32 = 14;
/// 2^56: one more than the largest randomness.
const RANGE: u64 = 1 << (4 * DIGITS);

impl Threshold {
    /// Rejects nothing: probability 1.
    pub const ALWAYS: Self = Self(0);

    /// The threshold that rejects `rejected` of 2^56; nothing can reject all of them.
    #[must_use]
    pub const fn new(rejected: u64) -> Option<Self> {
        if rejected < RANGE { Some(Self(rejected)) } else { None }
    }

    /// How many of 2^56 are rejected.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The threshold of `probability`, rounded to `precision` (1 to 14) significant hex digits.
    ///
    /// Leading digits that are all `0` or all `f` are not counted, so that probabilities near 1 and
    /// near 0 keep their relative precision; a half rounds up. This is how the Collector writes
    /// thresholds.
    ///
    /// # Errors
    /// For a probability outside of 2^-56 to 1, and a precision outside of 1 to 14.
    pub fn from_probability(probability: f64, precision: u32) -> Result<Self, ProbabilityError> {
        if !(1..=DIGITS).contains(&precision) {
            return Err(ProbabilityError::Precision(precision));
        }
        if !(1.0 / RANGE as f64..=1.0).contains(&probability) {
            return Err(ProbabilityError::Range(probability));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2^56")]
        let kept = (probability * RANGE as f64).round() as u64;
        let rejected = RANGE - kept;
        let leading_zeros = |bits: u64| (bits << (u64::BITS - 4 * DIGITS)).leading_zeros() / 4;
        let digits = precision + leading_zeros(rejected).max(leading_zeros(!rejected));
        let dropped = 4 * DIGITS.saturating_sub(digits);
        let half = (1 << dropped) >> 1;
        Ok(Self((rejected + half) >> dropped << dropped))
    }

    /// The share of traces that is kept, above 0 and at most 1.
    #[must_use]
    pub fn probability(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }

    /// How many traces each kept one stands for, at least 1.
    #[must_use]
    pub fn adjusted_count(self) -> f64 {
        RANGE as f64 / (RANGE - self.0) as f64
    }

    /// Whether a trace with this randomness is kept.
    #[must_use]
    pub const fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }
}

impl Randomness {
    /// The randomness `value`, which must be less than 2^56.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value < RANGE { Some(Self(value)) } else { None }
    }

    /// The randomness that the low 56 bits of `bits` are.
    #[must_use]
    pub const fn from_low_bits(bits: u64) -> Self {
        Self(bits % RANGE)
    }

    /// What a trace without `rv` has: the low 56 bits of its id.
    #[must_use]
    pub fn from_trace_id(id: [u8; 16]) -> Self {
        let [_, _, _, _, _, _, _, _, low @ ..] = id;
        Self::from_low_bits(u64::from_be_bytes(low))
    }

    /// The number, less than 2^56.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Zero has 64 trailing zeros but one digit.
        let dropped = (self.0.trailing_zeros() / 4).min(DIGITS - 1);
        write!(f, "{:0width$x}", self.0 >> (4 * dropped), width = (DIGITS - dropped) as usize)
    }
}

impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = DIGITS as usize)
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        if text.is_empty() {
            return Err(ThresholdError);
        }
        lower_hex(text).map(Self).ok_or(ThresholdError)
    }
}

impl FromStr for Randomness {
    type Err = RandomnessError;

    fn from_str(text: &str) -> Result<Self, RandomnessError> {
        if text.len() != DIGITS as usize {
            return Err(RandomnessError);
        }
        lower_hex(text).map(Self).ok_or(RandomnessError)
    }
}

/// At most 14 hex digits as the leading digits of 14.
fn lower_hex(text: &str) -> Option<u64> {
    let padding = (DIGITS as usize).checked_sub(text.len())?;
    let digits = text.bytes().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })?;
    // An empty text has 14 digits of padding, and no bit to shift out.
    Some(digits << (4 * padding))
}

#[cfg(test)]
mod tests;
