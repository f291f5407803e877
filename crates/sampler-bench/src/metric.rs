//! What a metric is: a number that a run yields, and everything a reader needs to trust it.

use serde::{Deserialize, Serialize};

use crate::Population;
use crate::simulate::Outcome;

/// A number that tells something about one run of a strategy.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What files and assertions call it: `anomaly_recall`.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// Which values one wishes for.
    pub better: Better,
    /// How it is computed.
    pub formula: &'static str,
    /// Where the formula comes from.
    pub source: &'static str,
    /// Its value in one run; `None` where it means nothing, as each metric's documentation says.
    pub compute: fn(&Population, &Outcome) -> Option<f64>,
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, mostly from 0 to 1, shown in percent.
    Share,
    /// A number.
    Number,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Money, in the currency of the price table.
    Money,
}

/// Which values of a metric one wishes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Greater ones.
    Higher,
    /// Smaller ones.
    Lower,
    /// Values close to zero.
    Zero,
    /// It depends.
    Neither,
}
