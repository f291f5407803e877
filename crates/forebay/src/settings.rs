//! What a configuration says.
//!
//! The whole tree is read before anything starts, and every mistake in it is recorded: a component reads its
//! own part, the pipelines are checked against what is declared, and what is left over is unknown.

mod contrib;
mod listening;
mod pipelines;
mod process;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};

use forebay_config::{ComponentId, Cursor, Diagnostic, Diagnostics, Node, Table, did_you_mean};
use forebay_pipeline::Signal;

pub(crate) use self::listening::Listening;
pub(crate) use self::pipelines::Pipeline;
pub(crate) use self::process::Process;
pub(crate) use self::telemetry::{LogFormat, Telemetry};
use crate::components::{
    BuildExporter, BuildProcessor, ComponentType, EXPORTERS, EXTENSIONS, PROCESSORS, Profile, RECEIVERS,
    Reading, StartExtension, StartReceiver,
};
use crate::gates::Gates;

/// A configuration, ready to be started.
pub(crate) struct Settings {
    /// The declared receivers.
    pub(crate) receivers: Components<StartReceiver>,
    /// The declared processors.
    pub(crate) processors: Components<BuildProcessor>,
    /// The declared exporters.
    pub(crate) exporters: Components<BuildExporter>,
    /// The declared extensions.
    pub(crate) extensions: Components<StartExtension>,
    /// The extensions to start, in order.
    pub(crate) extension_order: Vec<ComponentId>,
    /// The pipelines.
    pub(crate) pipelines: Vec<Pipeline>,
    /// The process's own logs and metrics.
    pub(crate) telemetry: Telemetry,
    /// Memory, shards and the like.
    pub(crate) process: Process,
}

/// Components of one kind by their ids.
pub(crate) type Components<T> = BTreeMap<ComponentId, Declared<T>>;

/// A component that has been read.
pub(crate) struct Declared<T> {
    /// The signals it can take.
    pub(crate) signals: &'static [Signal],
    /// How to start it.
    pub(crate) start: T,
    /// What its settings mean to others.
    pub(crate) profile: Profile,
}

impl Settings {
    /// Reads a configuration, recording every mistake in `diagnostics`.
    #[must_use]
    pub(crate) fn read(root: &Node, gates: Gates, diagnostics: &Diagnostics) -> Self {
        let root = Table::root(root, diagnostics);
        let mut process = Process::read(&root.section("forebay"), gates);
        let reading = Reading::new(process.compatibility);
        if !root.has("service") {
            root.error("service", "there is no `service`, so nothing would run");
        }
        let service = root.section("service");
        // Before the processors, some of which have something to show them.
        let extensions = components(&root, "extensions", EXTENSIONS, &reading);
        let extension_order = read_extension_order(&service, &extensions);
        let reading = reading.with_extensions(&extensions, &extension_order);
        let receivers = components(&root, "receivers", RECEIVERS, &reading);
        let processors = components(&root, "processors", PROCESSORS, &reading);
        let exporters = components(&root, "exporters", EXPORTERS, &reading);
        root.refuse("connectors", "connectors are not supported");
        let telemetry = Telemetry::read(&service.section("telemetry"));
        process.limit_memory(reading.memory_limiter.get());
        let mut settings = Self {
            receivers,
            processors,
            exporters,
            extensions,
            extension_order,
            pipelines: Vec::new(),
            telemetry,
            process,
        };
        settings.pipelines = pipelines::read(&service, &settings);
        listening::check(&settings.listening(), diagnostics);
        settings
    }

    /// Everything that will listen.
    fn listening(&self) -> Vec<Listening> {
        let used: BTreeSet<_> = self.pipelines.iter().flat_map(|pipeline| &pipeline.receivers).collect();
        let receivers = used.into_iter().filter_map(|id| Some(&self.receivers.get(id)?.profile));
        let used: BTreeSet<_> = self.extension_order.iter().collect();
        let extensions = used.into_iter().filter_map(|id| Some(&self.extensions.get(id)?.profile));
        let metrics = self.telemetry.metrics.clone();
        let metrics =
            metrics.map(|endpoint| Listening { endpoint, place: self.telemetry.metrics_place.clone() });
        receivers.chain(extensions).flat_map(|profile| &profile.listening).cloned().chain(metrics).collect()
    }
}

fn read_extension_order(service: &Table<'_>, extensions: &Components<StartExtension>) -> Vec<ComponentId> {
    let named = service.list("extensions").unwrap_or_default();
    named.iter().filter_map(|item| pipelines::reference(item, "extensions", extensions)).collect()
}

impl<T> Declared<T> {
    /// Why it cannot take a signal, if it cannot.
    fn refusal(&self, signal: Signal) -> Option<String> {
        if !self.signals.contains(&signal) {
            return Some(format!("does not take {signal}"));
        }
        let mut unserved = self.profile.unserved.iter();
        let reason = unserved.find_map(|(other, reason)| (*other == signal).then_some(reason))?;
        Some(format!("cannot take {signal}: {reason}"))
    }
}

/// Reads the components of one kind, each by its type's own reader.
fn components<S>(
    root: &Table<'_>,
    kind: &'static str,
    types: &'static [ComponentType<S>],
    reading: &Reading,
) -> Components<S> {
    let mut found = Components::new();
    for (key, cursor) in root.section(kind).entries() {
        let id: ComponentId = match key.parse() {
            Ok(id) => id,
            Err(error) => {
                report_key(&cursor, error.to_string(), None);
                continue;
            }
        };
        match types.iter().find(|known| known.is_called(&id.kind)) {
            Some(known) => {
                if let Some(table) = cursor.table() {
                    let start = (known.read)(&table, reading);
                    let profile = reading.take_profile();
                    found.insert(id, Declared { signals: known.signals, start, profile });
                }
            }
            None => {
                let names = types.iter().flat_map(ComponentType::names);
                let (message, help) = unknown_type(kind, &id.kind, names);
                report_key(&cursor, message, Some(help));
            }
        }
    }
    found
}

/// Reports a mistake in the key of an entry rather than in its value.
fn report_key(entry: &Cursor<'_>, message: String, help: Option<String>) {
    let mut diagnostic = Diagnostic::error(entry.path(), message).at(entry.key_at());
    if let Some(help) = help {
        diagnostic = diagnostic.help(help);
    }
    entry.diagnostics().add(diagnostic);
}

/// What to say of a component type that is not here.
fn unknown_type<'n>(kind: &str, name: &str, names: impl Iterator<Item = &'n str>) -> (String, String) {
    let kind = kind.trim_end_matches('s');
    let names: Vec<_> = names.collect();
    let known = format!("known: {}", names.join(", "));
    if contrib::has(kind, name) {
        return (format!("{kind} `{name}` exists in the Collector but not in Forebay"), known);
    }
    let help = did_you_mean(name, &names).map_or(known.clone(), |nearest| format!("{nearest} {known}"));
    (format!("unknown {kind} type `{name}`"), help)
}
