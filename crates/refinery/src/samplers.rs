//! Refinery's samplers as those of `adaptive_tail_sampling`.

use forebay_config::{Node, Table};

use crate::field::selector;
use crate::output::{duration, integer, list, map, number, string};

/// Reads one sampler.
type Read = fn(&Table<'_>) -> Node;

/// The names of samplers that can stand alone or in a rule.
const SAMPLERS: &[(&str, Read)] = &[
    ("DeterministicSampler", deterministic),
    ("DynamicSampler", dynamic),
    ("EMADynamicSampler", ema_dynamic),
    ("EMAThroughputSampler", ema_throughput),
    ("WindowedThroughputSampler", windowed_throughput),
    ("TotalThroughputSampler", total_throughput),
];

/// What a sampler of one algorithm has besides its goal.
type Settings = Vec<(&'static str, Node)>;

/// The sampler in a mapping that has one, by its name.
pub(crate) fn read(table: &Table<'_>) -> Option<Node> {
    let mut found = None;
    for (name, read) in SAMPLERS {
        if let Some(sampler) = table.table(name) {
            found = Some(read(&sampler));
        }
    }
    found
}

/// The sampler that keeps one of so many traces.
pub(crate) fn one_of(traces: u64) -> Node {
    match traces {
        0 => map([("type", string("drop"))]),
        1 => map([("type", string("always_sample"))]),
        _ => map([("type", string("probabilistic")), ("sampling_percentage", number(percentage(traces)))]),
    }
}

fn deterministic(table: &Table<'_>) -> Node {
    one_of(table.integer_or("SampleRate", .., 1))
}

fn dynamic(table: &Table<'_>) -> Node {
    table.warning(
        "SampleRate",
        "has nearly an equivalent: averages are smoothed here, over several intervals",
    );
    let mut settings = vec![("goal_percentage", number(goal_percentage(table, "SampleRate")))];
    settings.extend(table.duration("ClearFrequency").map(|every| ("adjustment_interval", duration(every))));
    adaptive("adaptive_percentage", settings, table)
}

fn ema_dynamic(table: &Table<'_>) -> Node {
    let mut settings = vec![("goal_percentage", number(goal_percentage(table, "GoalSampleRate")))];
    settings.extend(smoothing(table));
    adaptive("adaptive_percentage", settings, table)
}

fn ema_throughput(table: &Table<'_>) -> Node {
    let mut settings = goal_throughput(table, "ema");
    let initial = table.integer("InitialSampleRate", 1..);
    settings.extend(initial.map(|rate| ("initial_sampling_percentage", number(percentage(rate)))));
    settings.extend(smoothing(table));
    adaptive("adaptive_throughput", settings, table)
}

fn windowed_throughput(table: &Table<'_>) -> Node {
    let mut settings = goal_throughput(table, "windowed");
    for (theirs, ours) in
        [("UpdateFrequency", "update_frequency"), ("LookbackFrequency", "lookback_frequency")]
    {
        settings.extend(table.duration(theirs).map(|every| (ours, duration(every))));
    }
    adaptive("adaptive_throughput", settings, table)
}

fn total_throughput(table: &Table<'_>) -> Node {
    let mut settings = goal_throughput(table, "total");
    settings.extend(table.duration("ClearFrequency").map(|every| ("adjustment_interval", duration(every))));
    adaptive("adaptive_throughput", settings, table)
}

/// Settings of moving averages.
fn smoothing(table: &Table<'_>) -> Settings {
    for (key, why) in [
        ("AgeOutValue", "keys are forgotten when their average falls below the weight"),
        ("BurstMultiple", "a burst is noticed at twice the average"),
        ("BurstDetectionDelay", "bursts are noticed after three intervals"),
    ] {
        if table.get(key).is_some() {
            table.warning(key, format!("has no equivalent: {why}"));
        }
    }
    let interval = table.duration("AdjustmentInterval").map(|every| ("adjustment_interval", duration(every)));
    let weight = table.float("Weight", 0.0..=1.0).map(|weight| ("weight", number(weight)));
    interval.into_iter().chain(weight).collect()
}

fn goal_throughput(table: &Table<'_>, algorithm: &str) -> Settings {
    if table.bool("UseClusterSize") == Some(true) {
        table.warning(
            "UseClusterSize",
            "has no equivalent: each process has the whole goal; divide it by their number",
        );
    }
    let goal = table.require("GoalThroughputPerSec", table.integer::<u64>("GoalThroughputPerSec", 1..));
    vec![("goal_throughput", integer(goal.unwrap_or(1))), ("algorithm", string(algorithm))]
}

fn goal_percentage(table: &Table<'_>, key: &'static str) -> f64 {
    percentage(table.require(key, table.integer(key, 1..)).unwrap_or(1))
}

/// One of so many, in percent.
fn percentage(of: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rates are small numbers")]
    let of = of.max(1) as f64;
    100.0 / of
}

/// A sampler that counts traces by a fingerprint.
fn adaptive(kind: &str, settings: Settings, table: &Table<'_>) -> Node {
    let names = table.strings("FieldList").unwrap_or_default();
    let mut selectors = Vec::new();
    for name in &names {
        match selector(name) {
            Ok(selector) => selectors.push(string(&selector)),
            Err(why) => table.warning("FieldList", format!("has no equivalent: {why}")),
        }
    }
    if selectors.is_empty() {
        table.warning("FieldList", "names no attribute: traces are told apart by their service");
        selectors.push(string("resource.attributes[\"service.name\"]"));
    }
    if table.bool("UseTraceLength") == Some(true) {
        table.warning("UseTraceLength", "has no equivalent: fingerprints are made of attributes alone");
    }
    let mut entries = vec![("type", string(kind))];
    entries.extend(settings);
    entries.push(("fingerprint_attributes", list(selectors)));
    entries.extend(table.integer::<u64>("MaxKeys", ..).map(|keys| ("max_keys", integer(keys))));
    map(entries)
}
