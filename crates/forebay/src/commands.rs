//! What the command line asks for.

pub(crate) mod convert;
pub(crate) mod healthcheck;
pub(crate) mod shell;

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

use forebay_config::{Diagnostic, Diagnostics, Loader, Node, is_sensitive, print};

use crate::cli::Sources;
use crate::components::{ComponentType, EXPORTERS, EXTENSIONS, PROCESSORS, RECEIVERS};
use crate::gates::Gates;
use crate::settings::Settings;

/// Checks a configuration.
pub(crate) fn validate(sources: &Sources) -> ExitCode {
    if Configuration::read(sources).is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lists the components.
pub(crate) fn components() -> ExitCode {
    let mut text = String::new();
    list("receivers", RECEIVERS, &mut text);
    list("processors", PROCESSORS, &mut text);
    list("exporters", EXPORTERS, &mut text);
    list("extensions", EXTENSIONS, &mut text);
    write_out(&text)
}

/// Prints the configuration that results from all sources.
pub(crate) fn print_config(sources: &Sources, unredacted: bool) -> ExitCode {
    let (node, diagnostics) = load(sources);
    show(&diagnostics);
    match node {
        Some(node) => write_out(&print(&node, &|path| !unredacted && is_sensitive(path))),
        None => ExitCode::FAILURE,
    }
}

fn load(sources: &Sources) -> (Option<Node>, Diagnostics) {
    let mut loader = Loader::new(|name| std::env::var(name).ok());
    for config in &sources.configs {
        loader = loader.config(config);
    }
    for set in &sources.sets {
        loader = loader.set(set);
    }
    loader.load()
}

/// A configuration that can be started.
pub(crate) struct Configuration {
    node: Node,
    gates: Gates,
}

impl Configuration {
    /// Reads it and shows what is wrong with it; `None` if it cannot be started.
    pub(crate) fn read(sources: &Sources) -> Option<(Self, Settings)> {
        if sources.configs.is_empty() {
            fail("no configuration: give one with --config FILE, or see --help");
            return None;
        }
        let (node, diagnostics) = load(sources);
        let (gates, unknown) = Gates::parse(&sources.feature_gates);
        for gate in unknown {
            diagnostics.add(Diagnostic::warning("", format!("feature gate `{gate}` has no meaning here")));
        }
        let Some(node) = node else {
            show(&diagnostics);
            return None;
        };
        let configuration = Self { node, gates };
        let settings = configuration.settings(&diagnostics)?;
        Some((configuration, settings))
    }

    /// Its settings once more.
    pub(crate) fn again(&self) -> Option<Settings> {
        self.settings(&Diagnostics::default())
    }

    /// Shows all that is wrong.
    fn settings(&self, diagnostics: &Diagnostics) -> Option<Settings> {
        let settings = Settings::read(&self.node, self.gates, diagnostics);
        show(diagnostics);
        (!diagnostics.has_errors()).then_some(settings)
    }
}

fn show(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        let _ = write!(stderr(), "{}", diagnostics.render(stderr().is_terminal()));
    }
}

fn list<S>(kind: &str, types: &[ComponentType<S>], text: &mut String) {
    text.push_str(kind);
    text.push_str(":\n");
    for component in types {
        let mut names = component.names();
        let name = names.next().unwrap_or_default();
        let aliases: Vec<_> = names.collect();
        let signals: Vec<_> = component.signals.iter().map(|signal| signal.as_str()).collect();
        text.push_str(&format!("  - name: {name}\n"));
        if !aliases.is_empty() {
            text.push_str(&format!("    aliases: [{}]\n", aliases.join(", ")));
        }
        if !signals.is_empty() {
            text.push_str(&format!("    signals: [{}]\n", signals.join(", ")));
        }
    }
}

/// Writes to standard output.
pub(crate) fn write_out(text: &str) -> ExitCode {
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what is wrong on standard error.
pub(crate) fn fail(message: &str) -> ExitCode {
    // Nowhere is left to complain if standard error is gone.
    let _ = writeln!(stderr(), "error: {message}");
    ExitCode::FAILURE
}
