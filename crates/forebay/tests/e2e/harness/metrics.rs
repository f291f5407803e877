//! What `/metrics` says.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: i64,
}

impl Metrics {
    /// Reads the text format, histograms aside.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(Sample::parse).collect())
    }

    /// The sum of the samples called `name` that have all of `labels`.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    /// Whether any sample is called `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.matching(name, &[]).next().is_some()
    }

    /// A figure of a stage's ledger: `incoming`, `outgoing`, `buffered` or `dropped`.
    pub(crate) fn stage(&self, stage: &str, signal: &str, figure: &str) -> i64 {
        self.sum(&format!("forebay_stage_{figure}_items"), &[("stage", stage), ("signal", signal)])
    }

    /// What left a stage for `reason`.
    pub(crate) fn dropped(&self, stage: &str, reason: &str) -> i64 {
        self.sum("forebay_stage_dropped_items", &[("stage", stage), ("reason", reason)])
    }

    /// The stages that have a ledger, with its signal.
    pub(crate) fn stages(&self) -> BTreeSet<(String, String)> {
        let samples = self.matching("forebay_stage_incoming_items", &[]);
        samples.map(|sample| (sample.labels["stage"].clone(), sample.labels["signal"].clone())).collect()
    }

    /// The stages whose ledger does not add up.
    pub(crate) fn unbalanced(&self) -> Vec<String> {
        let figures = |stage: &str, signal: &str| {
            ["incoming", "outgoing", "buffered", "dropped"].map(|figure| self.stage(stage, signal, figure))
        };
        let stages = self.stages();
        let ledgers = stages.iter().map(|(stage, signal)| (stage, signal, figures(stage, signal)));
        ledgers
            .filter(|(_, _, [incoming, outgoing, buffered, dropped])| {
                *incoming != outgoing + buffered + dropped
            })
            .map(|(stage, signal, figures)| {
                format!("{stage} {signal}: in, out, buffered, dropped = {figures:?}")
            })
            .collect()
    }

    /// All ledgers, a line each.
    pub(crate) fn ledgers(&self) -> String {
        let mut lines: Vec<_> =
            self.0.iter().filter(|sample| sample.name.starts_with("forebay_stage_")).collect();
        lines.sort_by_key(|sample| (sample.labels.get("stage"), sample.labels.get("signal")));
        lines.iter().map(|sample| format!("{} {:?} {}\n", sample.name, sample.labels, sample.value)).collect()
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| {
            let has =
                |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|found| found == value);
            sample.name == name && labels.iter().all(has)
        })
    }
}

impl Sample {
    /// `name{key="value",…} number`; none if the number is not whole.
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
            let (key, value) = label.split_once("=\"").unwrap();
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        });
        Some(Self { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
    }
}
