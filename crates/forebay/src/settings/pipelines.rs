//! Which components are connected to which.

use forebay_config::{ComponentId, Cursor, Table, did_you_mean};
use forebay_pipeline::Signal;

use super::{Components, Settings, report_key};

/// One pipeline: what arrives at its receivers passes its processors in order and goes to all its exporters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    /// Its id: `traces`, `metrics/slow`.
    pub(crate) id: ComponentId,
    /// What it carries.
    pub(crate) signal: Signal,
    /// Where its batches come from.
    pub(crate) receivers: Vec<ComponentId>,
    /// What they pass, in order.
    pub(crate) processors: Vec<ComponentId>,
    /// Where they go.
    pub(crate) exporters: Vec<ComponentId>,
}

/// Reads `service.pipelines`.
pub(super) fn read(service: &Table<'_>, settings: &Settings) -> Vec<Pipeline> {
    let entries = service.section("pipelines").entries();
    if entries.is_empty() {
        service.error("pipelines", "there are no pipelines, so nothing would run");
    }
    entries.iter().filter_map(|(key, cursor)| pipeline(key, cursor, settings)).collect()
}

fn pipeline(key: &str, cursor: &Cursor<'_>, settings: &Settings) -> Option<Pipeline> {
    let id =
        key.parse().map_err(|error: forebay_config::IdError| report_key(cursor, error.to_string(), None));
    let id: ComponentId = id.ok()?;
    let signal = Signal::ALL.into_iter().find(|signal| signal.as_str() == id.kind);
    let Some(signal) = signal else {
        let known = "pipelines carry traces, metrics or logs: `traces`, `traces/name`, …".to_owned();
        report_key(cursor, format!("unknown signal `{}`", id.kind), Some(known));
        return None;
    };
    let table = cursor.table()?;
    let pipeline = Pipeline {
        receivers: references(&table, "receivers", signal, &settings.receivers),
        processors: references(&table, "processors", signal, &settings.processors),
        exporters: references(&table, "exporters", signal, &settings.exporters),
        id,
        signal,
    };
    for (kind, count) in [("receivers", pipeline.receivers.len()), ("exporters", pipeline.exporters.len())] {
        if count == 0
            && table
                .get(kind)
                .is_none_or(|found| found.is_null() || found.list().is_some_and(|list| list.is_empty()))
        {
            table.error(kind, format!("pipeline `{key}` needs at least one of `{kind}`"));
        }
    }
    Some(pipeline)
}

/// The components that a pipeline names, each once, where they exist and take its signal.
fn references<S>(
    table: &Table<'_>,
    kind: &'static str,
    signal: Signal,
    declared: &Components<S>,
) -> Vec<ComponentId> {
    let mut found = Vec::new();
    for item in table.list(kind).unwrap_or_default() {
        let Some(id) = reference(&item, kind, declared) else { continue };
        if let Some(refusal) = declared.get(&id).and_then(|component| component.refusal(signal)) {
            item.error(format!("`{id}` {refusal}"));
        } else if found.contains(&id) && kind == "processors" {
            item.error(format!("processor `{id}` is named twice in one pipeline"));
        } else if found.contains(&id) {
            // As in the Collector, which connects the two only once.
            item.warning(format!("`{id}` is named twice, which changes nothing"));
        } else {
            found.push(id);
        }
    }
    found
}

/// The component that `item` names, which must be declared under `kind`.
pub(super) fn reference<S>(item: &Cursor<'_>, kind: &str, declared: &Components<S>) -> Option<ComponentId> {
    let id = item.component_id()?;
    if declared.contains_key(&id) {
        return Some(id);
    }
    let names: Vec<_> = declared.keys().map(ToString::to_string).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let declared = if names.is_empty() {
        format!("there are no `{kind}`")
    } else {
        format!("declared: {}", names.join(", "))
    };
    let help = did_you_mean(&id.to_string(), &names)
        .map_or(declared.clone(), |nearest| format!("{nearest} {declared}"));
    item.error_with_help(format!("`{id}` is not declared under `{kind}`"), help);
    None
}
