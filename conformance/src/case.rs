//! Cases: what is configured, and what has to come of it.
//!
//! A file of `cases/` is a family. Each of its keys is a case:
//!
//! ```yaml
//! above-100-ms:
//!   tail_sampling: {policies: [...]}    # and `probabilistic_sampler`, which then comes first
//!   traffic: spans                      # or `records`; whole traces if it is left out
//!   gates: [...]                        # feature gates of both systems
//!   compat: [...]                       # `forebay::compat`
//!   compare: [th, rv, policy]           # beyond which spans come out
//!   differs:                            # where Forebay does not do what the Collector does
//!     - traces: [latency-100.4]         # kinds of traces, of each of which one at least
//!       forebay: kept                   # meets this fate instead
//!       because: 100.4 ms are more than 100 ms
//! ```
//!
//! What Forebay has to do may also be said by one of these, each with its `because`:
//!
//! - `like: {case: family/name}`: what the Collector does in another case. `differs` may stand beside it.
//! - `between: {case: family/name}`: keep what the Collector keeps in another case, and nothing beyond what it keeps
//!   in this one.
//! - `consistent: {percentage: 40}`: keep exactly the traces whose randomness reaches the threshold of 40 %.
//! - `lasting: {above_ms: 100, at_most_ms: 500}`: keep exactly the traces that last so long.
//! - `limited: {spans: {min: 10, max: 20}}` (or `bytes`): keep about so much, as the Collector has to, or the part
//!   of `collector: {min: 10, max: 20}`; which traces is up to chance.
//!
//! A case that Forebay does not satisfy yet says `pending: why`, and has to be told when that is over.

use std::{collections::BTreeSet, fs, ops::RangeInclusive, path::Path};

use forebay_config::{Cursor, Node, Table, read_str};

use crate::{Error, outcome::Aspects, traffic::Sort};

/// A processor's type and settings.
#[derive(Clone, Debug)]
pub struct Processor {
    /// `tail_sampling` or `probabilistic_sampler`.
    pub kind: &'static str,
    /// Its settings.
    pub settings: Node,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file it stands in, without ending.
    pub family: String,
    /// Its name there.
    pub name: String,
    /// What spans pass, in order.
    pub processors: Vec<Processor>,
    /// What is sent.
    pub sort: Sort,
    /// Feature gates that are on.
    pub gates: BTreeSet<String>,
    /// Forebay's compatibility switches that are on.
    pub compat: BTreeSet<String>,
    /// What is compared.
    pub aspects: Aspects,
    /// What has to come of it.
    pub expectation: Expectation,
    /// Why Forebay does not satisfy it yet.
    pub pending: Option<String>,
}

/// What has to come of a case.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// Forebay does what the Collector does, with these exceptions.
    Equal(Vec<Difference>),
    /// Forebay does what the Collector does in another case, with these exceptions.
    Like {
        /// The family and the name of the other.
        other: (String, String),
        /// The exceptions.
        differences: Vec<Difference>,
    },
    /// Forebay keeps what the Collector keeps in another case, and nothing beyond what it keeps in this one.
    Between {
        /// The family and the name of the other.
        other: (String, String),
    },
    /// Forebay keeps this share by the traces' randomness.
    Consistent {
        /// In percent.
        percentage: f64,
    },
    /// Forebay keeps the traces that last so long.
    Lasting {
        /// Longer than this.
        above_ms: u64,
        /// And no longer than this.
        at_most_ms: Option<u64>,
    },
    /// Both keep about so much.
    Limited {
        /// Of what.
        unit: Unit,
        /// How much Forebay keeps.
        bounds: RangeInclusive<usize>,
        /// How much the Collector does.
        collector: RangeInclusive<usize>,
    },
}

/// What a limit is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Spans.
    Spans,
    /// Bytes of spans.
    Bytes,
}

/// Traces for which Forebay differs on purpose.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Their kinds.
    pub kinds: Vec<String>,
    /// Their fate in Forebay; nothing if it drops them.
    pub fate: Option<String>,
}

impl Case {
    /// All cases, by family and in the order of the files.
    ///
    /// # Errors
    /// If a file cannot be read, or something in it is wrong.
    pub fn all() -> Result<Vec<Self>, Error> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let mut files: Vec<_> =
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Error>>()?;
        files.sort();
        let mut cases = Vec::new();
        for file in files {
            let family = file.file_stem().unwrap_or_default().to_string_lossy();
            let (found, problems) = read_str(&fs::read_to_string(&file)?, |table| {
                let case = |(name, cursor): (String, Cursor<'_>)| read(&family, name, &cursor.table()?);
                table.entries().into_iter().filter_map(case).collect::<Vec<_>>()
            });
            if problems.has_errors() {
                return Err(format!("{}:\n{}", file.display(), problems.render(false)).into());
            }
            cases.extend(found);
        }
        Ok(cases)
    }

    /// `family-name`, which is unique.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.family, self.name)
    }

    /// The case whose outcome in the Collector is the measure, by family and name.
    #[must_use]
    pub fn reference(&self) -> (&str, &str) {
        match &self.expectation {
            Expectation::Like { other: (family, name), .. }
            | Expectation::Between { other: (family, name) } => (family, name),
            _ => (&self.family, &self.name),
        }
    }

    /// Whether the Collector does the same each time.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        !matches!(self.expectation, Expectation::Limited { .. })
    }

    /// Whether each trace has one fate, whatever its spans say of themselves.
    #[must_use]
    pub fn decides_whole_traces(&self) -> bool {
        self.processors.iter().all(|processor| processor.kind == "tail_sampling")
    }
}

fn read(family: &str, name: String, table: &Table<'_>) -> Option<Case> {
    let settings = |kind| Some(Processor { kind, settings: table.get(kind)?.node().clone() });
    let processors: Vec<_> =
        ["probabilistic_sampler", "tail_sampling"].into_iter().filter_map(settings).collect();
    if processors.is_empty() {
        table.error("tail_sampling", "a case has a `tail_sampling`, a `probabilistic_sampler` or both");
    }
    let set = |key| table.strings(key).unwrap_or_default().into_iter().collect();
    let mut aspects = Aspects::default();
    for aspect in table.list("compare").unwrap_or_default() {
        let threshold = Aspects { threshold: true, ..aspects };
        let randomness = Aspects { randomness: true, ..aspects };
        let policy = Aspects { policy: true, ..aspects };
        let choices = [("th", threshold), ("rv", randomness), ("policy", policy)];
        aspects = aspect.choice(&choices).unwrap_or(aspects);
    }
    let sort = table.choice("traffic", &[("spans", Sort::Spans), ("records", Sort::Records)]);
    let expectation = expectation(table)?;
    Some(Case {
        family: family.to_owned(),
        name,
        processors,
        sort: sort.unwrap_or_default(),
        gates: set("gates"),
        compat: set("compat"),
        aspects,
        expectation,
        pending: table.string("pending"),
    })
}

fn expectation(table: &Table<'_>) -> Option<Expectation> {
    let differences = table.tables("differs").iter().filter_map(difference).collect();
    if let Some(table) = table.table("like") {
        return Some(Expectation::Like { other: other(&table)?, differences });
    }
    if let Some(table) = table.table("between") {
        return Some(Expectation::Between { other: other(&table)? });
    }
    if let Some(table) = table.table("consistent") {
        reason(&table);
        let percentage = table.require("percentage", table.float("percentage", 0.0..=100.0))?;
        return Some(Expectation::Consistent { percentage });
    }
    if let Some(table) = table.table("lasting") {
        reason(&table);
        let above_ms = table.require("above_ms", table.integer("above_ms", ..));
        let at_most_ms = table.integer("at_most_ms", ..);
        return Some(Expectation::Lasting { above_ms: above_ms?, at_most_ms });
    }
    if let Some(table) = table.table("limited") {
        reason(&table);
        let (unit, key) = if table.has("bytes") { (Unit::Bytes, "bytes") } else { (Unit::Spans, "spans") };
        let ours = table.require(key, table.table(key)).and_then(|table| bounds(&table));
        let theirs = table.table("collector").and_then(|table| bounds(&table));
        return Some(Expectation::Limited {
            unit,
            collector: theirs.or_else(|| ours.clone())?,
            bounds: ours?,
        });
    }
    Some(Expectation::Equal(differences))
}

/// The family and the name of another case.
fn other(table: &Table<'_>) -> Option<(String, String)> {
    reason(table);
    let case = table.require("case", table.string("case"))?;
    let other = case.split_once('/').map(|(family, name)| (family.to_owned(), name.to_owned()));
    table.require("case", other)
}

fn bounds(table: &Table<'_>) -> Option<RangeInclusive<usize>> {
    let bound = |key| table.require(key, table.integer::<usize>(key, ..));
    let (min, max) = (bound("min"), bound("max"));
    Some(min?..=max?)
}

fn difference(table: &Table<'_>) -> Option<Difference> {
    reason(table);
    let kinds = table.require("traces", table.strings("traces"));
    let fate = table.require("forebay", table.string("forebay"))?;
    Some(Difference { kinds: kinds?, fate: Some(fate).filter(|fate| fate != "dropped") })
}

/// Whatever is not equal has a reason.
fn reason(table: &Table<'_>) {
    table.require("because", table.string("because"));
}
