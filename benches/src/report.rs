//! From measurements to what is told: medians over the rounds, and ratios of what was measured in one round.
//!
//! A machine is not equally fast all the time. The two systems of a round run one right after the other, so
//! the ratio is taken in each round and the median over the ratios, not the other way round.

use std::fmt;

use serde::Serialize;

use crate::{
    compare::Comparison,
    run::{Load, Measurement, Scenario},
};

/// Everything that was measured under one scenario and load.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// What the systems had to do.
    pub scenario: Scenario,
    /// How much they were sent.
    pub load: Load,
    /// A line for each system.
    pub systems: Vec<Line>,
    /// How much better the first system is than the second, if there are two.
    pub ratios: Option<Ratios>,
    /// Whether the two kept the same, round by round, where they were sent the same.
    pub kept: Vec<Comparison>,
}

/// Medians over the rounds of one system; for the units see [`Measurement`].
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The system's name.
    pub system: &'static str,
    /// See [`Measurement::cpu_us_per_span`].
    pub cpu_us_per_span: f64,
    /// Spans per CPU second, as a share of what the bare server manages; `None` if that was not measured.
    pub of_floor: Option<f64>,
    /// See [`Measurement::peak_rss_mib`].
    pub peak_rss_mib: f64,
    /// See [`Measurement::idle_rss_mib`].
    pub idle_rss_mib: f64,
    /// See [`Measurement::spans_per_second`].
    pub spans_per_second: f64,
    /// Share of the spans sent that came out.
    pub out: f64,
    /// Spans refused, over all rounds.
    pub refused: u64,
    /// Traces that came out with fewer or more spans than went in, over all rounds.
    pub torn: usize,
    /// The highest [`Measurement::disturbance`] of all rounds.
    pub disturbance: f64,
}

/// How many times better the first system is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    /// Second system's CPU time per span by the first's.
    pub cpu: Spread,
    /// Second system's peak memory by the first's.
    pub peak_rss: Spread,
    /// Second system's idle memory by the first's.
    pub idle_rss: Spread,
    /// First system's spans per second by the second's.
    pub spans_per_second: Spread,
}

/// A ratio over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Group {
    /// Sums up the measurements of `scenario` under `load`, if there are any.
    #[must_use]
    pub fn new(all: &[Measurement], scenario: Scenario, load: Load) -> Option<Self> {
        let mut systems: Vec<Vec<&Measurement>> = Vec::new();
        for one in all.iter().filter(|one| (one.scenario, one.load) == (scenario, load)) {
            match systems.iter_mut().find(|rounds| rounds[0].system == one.system) {
                Some(rounds) => rounds.push(one),
                None => systems.push(vec![one]),
            }
        }
        let pairs: Vec<Pair<'_>> = match &systems[..] {
            [] => return None,
            [first, second] => first.iter().copied().zip(second.iter().copied()).collect(),
            _ => Vec::new(),
        };
        let kept = pairs
            .iter()
            .filter_map(|(first, second)| Some(first.kept.as_ref()?.compare(second.kept.as_ref()?)));
        let floor: Vec<_> = all
            .iter()
            .filter(|one| scenario != Scenario::Floor && (one.scenario, one.load) == (Scenario::Floor, load))
            .collect();
        Some(Self {
            scenario,
            load,
            kept: kept.collect(),
            ratios: Ratios::new(&pairs),
            systems: systems.iter().map(|rounds| Line::new(rounds, &floor)).collect(),
        })
    }

    /// Whether what came out is what had to: the same from both systems, and every trace whole.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.kept.iter().all(Comparison::same) && self.systems.iter().all(|line| line.torn == 0)
    }
}

/// Two systems' measurements of one round.
type Pair<'a> = (&'a Measurement, &'a Measurement);

impl Line {
    fn new(rounds: &[&Measurement], floor: &[&Measurement]) -> Self {
        let median = |value: fn(&Measurement) -> f64| {
            Spread::of(rounds.iter().map(|one| value(one))).map_or(f64::NAN, |s| s.median)
        };
        let of_floor =
            floor.iter().zip(rounds).map(|(floor, one)| floor.cpu_us_per_span / one.cpu_us_per_span);
        Self {
            system: rounds[0].system,
            cpu_us_per_span: median(|one| one.cpu_us_per_span),
            of_floor: Spread::of(of_floor).map(|spread| spread.median),
            peak_rss_mib: median(|one| one.peak_rss_mib),
            idle_rss_mib: median(|one| one.idle_rss_mib),
            spans_per_second: median(|one| one.spans_per_second),
            out: median(|one| one.received as f64 / one.sent as f64),
            refused: rounds.iter().map(|one| one.refused).sum(),
            torn: rounds.iter().filter_map(|one| Some(one.kept.as_ref()?.torn())).sum(),
            disturbance: rounds.iter().map(|one| one.disturbance).fold(0.0, f64::max),
        }
    }
}

impl Ratios {
    fn new(pairs: &[Pair<'_>]) -> Option<Self> {
        let less = |value: fn(&Measurement) -> f64| {
            Spread::of(pairs.iter().map(|(first, second)| value(second) / value(first)))
        };
        Some(Self {
            cpu: less(|one| one.cpu_us_per_span)?,
            peak_rss: less(|one| one.peak_rss_mib)?,
            idle_rss: less(|one| one.idle_rss_mib)?,
            spans_per_second: Spread::of(
                pairs.iter().map(|(first, second)| first.spans_per_second / second.spans_per_second),
            )?,
        })
    }
}

impl Spread {
    /// `None` of no values.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { least, median, most })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1} ({:.1}-{:.1})", self.median, self.least, self.most))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("{}, {}", self.scenario.name(), self.load.name());
        writeln!(
            f,
            "{title:34}{:>14}{:>10}{:>15}{:>15}{:>14}{:>9}{:>10}{:>6}{:>9}",
            "CPU us/span",
            "of floor",
            "peak RSS MiB",
            "idle RSS MiB",
            "spans/s",
            "out %",
            "refused",
            "torn",
            "others %"
        )?;
        for line in &self.systems {
            let of_floor = line.of_floor.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}"));
            writeln!(
                f,
                "  {:32}{:>14.2}{of_floor:>10}{:>15.1}{:>15.1}{:>14.0}{:>9.1}{:>10}{:>6}{:>9.0}",
                line.system,
                line.cpu_us_per_span,
                line.peak_rss_mib,
                line.idle_rss_mib,
                line.spans_per_second,
                line.out * 100.0,
                line.refused,
                line.torn,
                line.disturbance * 100.0,
            )?;
        }
        if let Some(Ratios { cpu, peak_rss, idle_rss, spans_per_second }) = &self.ratios {
            writeln!(
                f,
                "  {:28}{cpu:>18}{:>10}{peak_rss:>15}{idle_rss:>15}{spans_per_second:>14}",
                "times better", ""
            )?;
        }
        for Comparison { both, only_first, only_second } in &self.kept {
            let (first, second) = (self.systems[0].system, self.systems[1].system);
            writeln!(
                f,
                "  traces kept by both {both}, by {first} alone {only_first}, by {second} alone {only_second}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
