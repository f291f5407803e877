//! Conditions on results, for a build that is to fail when they do not hold.
//!
//! `anomaly_recall >= 0.95 && egress_ratio <= 0.1`: metrics are compared with numbers, `&&` binds more than `||`,
//! parentheses group. A metric is its mean over seeds; one that has no value satisfies no comparison. A condition holds
//! for every strategy, or, as `tail-5%: anomaly_recall >= 0.95`, for the one that is named.

use std::fmt;

use thiserror::Error;
use winnow::ascii::{float, multispace0};
use winnow::combinator::{alt, delimited, separated};
use winnow::prelude::*;
use winnow::token::take_while;

use crate::results::{Results, StrategyResult, metrics};

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    text: String,
    /// The strategy that it is about; `None` for all.
    strategy: Option<String>,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Compare { metric: String, comparison: Comparison, value: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
    NotEqual,
}

/// A text is no condition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AssertionError {
    /// It does not parse.
    #[error("`{0}` is no condition: expected something like `anomaly_recall >= 0.95 && egress_ratio <= 0.1`")]
    Syntax(String),
    /// It names what is no metric.
    #[error("there is no metric `{name}`{}", help.as_ref().map_or(String::new(), |help| format!(": {help}")))]
    Metric {
        /// What it names.
        name: String,
        /// What may be meant.
        help: Option<String>,
    },
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// For which strategy; `None` if the one that is meant does not exist.
    pub strategy: Option<String>,
    /// The condition, and what the metrics are.
    pub message: String,
}

impl Assertion {
    /// Reads a condition.
    ///
    /// # Errors
    /// When it does not parse, or names what is no metric.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        // No metric's name has a colon.
        let (strategy, condition) = match text.rsplit_once(':') {
            Some((strategy, condition)) => (Some(strategy.trim().to_owned()), condition),
            None => (None, text),
        };
        let parsed = any.parse(condition).map_err(|_| AssertionError::Syntax(text.to_owned()))?;
        let known: Vec<_> = metrics().map(|metric| metric.name).collect();
        if let Some(name) = parsed.names().into_iter().find(|name| !known.contains(name)) {
            let help = forebay_config::did_you_mean(name, &known);
            return Err(AssertionError::Metric { name: name.to_owned(), help });
        }
        Ok(Self { text: text.to_owned(), strategy, condition: parsed })
    }

    /// Where it does not hold.
    #[must_use]
    pub fn violations(&self, results: &Results) -> Vec<Violation> {
        let concerned =
            |strategy: &&StrategyResult| self.strategy.as_ref().is_none_or(|name| *name == strategy.name);
        let concerned: Vec<_> = results.strategies.iter().filter(concerned).collect();
        if concerned.is_empty() {
            let known: Vec<_> = results.strategies.iter().map(|strategy| &*strategy.name).collect();
            let message = format!("{}: there is no such strategy; there are {}", self.text, known.join(", "));
            return vec![Violation { strategy: None, message }];
        }
        let violated = concerned.into_iter().filter(|strategy| !self.holds(strategy));
        violated
            .map(|strategy| {
                let shown = |name| match value(strategy, name) {
                    Some(value) => format!("{name} = {value:.4}"),
                    None => format!("{name} has no value"),
                };
                let values: Vec<_> = self.condition.names().into_iter().map(shown).collect();
                Violation {
                    strategy: Some(strategy.name.clone()),
                    message: format!("{} does not hold: {}", self.text, values.join(", ")),
                }
            })
            .collect()
    }

    /// Whether it holds for a strategy.
    #[must_use]
    pub fn holds(&self, strategy: &StrategyResult) -> bool {
        self.condition.holds(&|name| value(strategy, name))
    }
}

fn value(strategy: &StrategyResult, metric: &str) -> Option<f64> {
    strategy.metrics.get(metric).map(|estimate| estimate.mean)
}

impl Condition {
    fn holds(&self, value: &impl Fn(&str) -> Option<f64>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(value)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(value)),
            Self::Compare { metric, comparison, value: bound } => {
                value(metric).is_some_and(|found| comparison.holds(found, *bound))
            }
        }
    }

    /// The metrics that it is about.
    fn names(&self) -> Vec<&str> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::names).collect(),
            Self::Compare { metric, .. } => vec![metric],
        }
    }
}

impl Comparison {
    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => found >= bound,
            Self::AtMost => found <= bound,
            Self::Above => found > bound,
            Self::Below => found < bound,
            Self::Equal => (found - bound).abs() < 1e-9,
            Self::NotEqual => (found - bound).abs() >= 1e-9,
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn any(input: &mut &str) -> ModalResult<Condition> {
    separated(1.., all, "||").map(|parts| one_or(parts, Condition::Any)).parse_next(input)
}

fn all(input: &mut &str) -> ModalResult<Condition> {
    separated(1.., part, "&&").map(|parts| one_or(parts, Condition::All)).parse_next(input)
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.remove(0) } else { many(parts) }
}

fn part(input: &mut &str) -> ModalResult<Condition> {
    delimited(multispace0, alt((delimited('(', any, ')'), compare)), multispace0).parse_next(input)
}

fn compare(input: &mut &str) -> ModalResult<Condition> {
    let name = take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_');
    let comparison = alt((
        ">=".value(Comparison::AtLeast),
        "<=".value(Comparison::AtMost),
        ">".value(Comparison::Above),
        "<".value(Comparison::Below),
        "==".value(Comparison::Equal),
        "!=".value(Comparison::NotEqual),
    ));
    (name, delimited(multispace0, comparison, multispace0), float)
        .map(|(metric, comparison, value)| Condition::Compare {
            metric: str::to_owned(metric),
            comparison,
            value,
        })
        .parse_next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let assertion = Assertion::parse(text).unwrap();
        assertion.condition.holds(&|name| match name {
            "anomaly_recall" => Some(0.95),
            "egress_ratio" => Some(0.1),
            _ => None,
        })
    }

    #[test]
    fn comparisons_are_what_they_look_like() {
        assert!(holds("anomaly_recall >= 0.95") && !holds("anomaly_recall > 0.95"));
        assert!(holds("egress_ratio<=0.1") && !holds("egress_ratio < 0.1"));
        assert!(holds("egress_ratio == 0.1") && !holds("egress_ratio != 0.1"));
        assert!(!holds("entry_count_error >= 0") && !holds("entry_count_error < 0"));
    }

    #[test]
    fn and_binds_more_than_or_and_parentheses_more_than_both() {
        assert!(holds("egress_ratio < 1 || egress_ratio < 0 && egress_ratio < 0"));
        assert!(!holds("(egress_ratio < 1 || egress_ratio < 0) && egress_ratio < 0"));
        assert!(holds(" ( anomaly_recall >= 0.9 ) && (egress_ratio <= 0.2) "));
    }

    #[test]
    fn what_is_no_condition_is_refused_with_help() {
        for text in
            ["", "anomaly_recall", "anomaly_recall >=", "0.9 <= anomaly_recall", "anomaly_recall >= 0.9 &&"]
        {
            assert!(matches!(Assertion::parse(text), Err(AssertionError::Syntax(_))), "{text}");
        }
        let error = Assertion::parse("anomaly_recal > 0").unwrap_err();
        assert!(error.to_string().contains("did you mean `anomaly_recall`"), "{error}");
    }

    #[test]
    fn a_condition_may_be_about_one_strategy() {
        let assertion = Assertion::parse("tail-5%: anomaly_recall >= 0.5").unwrap();
        assert_eq!(assertion.strategy.as_deref(), Some("tail-5%"));
    }
}
