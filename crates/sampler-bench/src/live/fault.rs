//! What goes wrong during a run, on demand.
//!
//! `kill-gateway@10s`, `cut-link@10s+5s`, `burst-10x@10s+5s`: what, from when after the first request, for how long.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use winnow::ascii::dec_uint;
use winnow::combinator::{alt, delimited, opt, preceded};
use winnow::prelude::*;

/// A fault and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// When it begins, after the first request.
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The gateway is killed, and started again at the end.
    KillGateway,
    /// What leaves the services' hosts does not arrive.
    CutLink,
    /// Every request is sent so many times, the others with trace ids of their own that nobody looks for.
    Burst(u32),
}

/// A text is no fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no fault: expected kill-gateway@10s, cut-link@10s+5s or burst-10x@10s+5s")]
pub struct FaultError(String);

/// How long a fault lasts that does not say so.
const LENGTH: u64 = 5;
const FACTORS: std::ops::RangeInclusive<u32> = 2..=1000;

impl Fault {
    /// Whether it is going on so long after the first request.
    #[must_use]
    pub fn is_on(&self, elapsed: Duration) -> bool {
        (self.at..self.at + self.length).contains(&elapsed)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        fault.parse(text).map_err(|_| FaultError(text.to_owned()))
    }
}

fn fault(input: &mut &str) -> winnow::Result<Fault> {
    let burst = delimited("burst-", dec_uint::<_, u32, _>, "x").verify(|factor| FACTORS.contains(factor));
    let kind = alt((
        "kill-gateway".value(FaultKind::KillGateway),
        "cut-link".value(FaultKind::CutLink),
        burst.map(FaultKind::Burst),
    ));
    let seconds = |begin| delimited(begin, dec_uint::<_, u32, _>, "s").map(u64::from);
    let (kind, at, length) = (kind, seconds("@"), opt(preceded("+", seconds("")))).parse_next(input)?;
    let (at, length) = (Duration::from_secs(at), Duration::from_secs(length.unwrap_or(LENGTH)));
    Ok(Fault { kind, at, length })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::KillGateway => f.write_str("kill-gateway")?,
            FaultKind::CutLink => f.write_str("cut-link")?,
            FaultKind::Burst(factor) => write!(f, "burst-{factor}x")?,
        }
        write!(f, "@{}s+{}s", self.at.as_secs(), self.length.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_shown() {
        for text in ["kill-gateway@10s+2s", "cut-link@0s+5s", "burst-10x@3s+4s"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert_eq!("cut-link@7s".parse::<Fault>().unwrap().to_string(), "cut-link@7s+5s");
    }

    #[test]
    fn what_is_none_is_told() {
        for text in [
            "",
            "kill@1s",
            "burst-1x@1s",
            "burst-x@1s",
            "cut-link",
            "cut-link@1",
            "cut-link@1s+",
            "cut-link@1s ",
        ] {
            assert_eq!(text.parse::<Fault>(), Err(FaultError(text.to_owned())));
        }
    }

    #[test]
    fn a_fault_is_on_from_its_beginning_to_before_its_end() {
        let fault: Fault = "cut-link@2s+3s".parse().unwrap();
        let on = |millis| fault.is_on(Duration::from_millis(millis));
        assert_eq!([1999, 2000, 4999, 5000].map(on), [false, true, true, false]);
    }
}
