//! How a processor finds the extension that it shows traces to.
//!
//! Both are made of what is read before anything starts: an extension with an `adaptive` source leaves a handle in
//! its profile, and since extensions are read first, the processor that means it gets the handle while it is read.

use forebay_config::{ComponentId, Table};
use forebay_remote_sampling::Adaptive;

use crate::components::StartExtension;
use crate::settings::{Components, Declared};

/// The extensions that learn what to sample from traces.
#[derive(Default)]
pub(crate) struct AdaptiveSources(Vec<AdaptiveSource>);

struct AdaptiveSource {
    id: ComponentId,
    adaptive: Adaptive,
    /// Whether it is started.
    enabled: bool,
}

impl AdaptiveSources {
    /// Those among all extensions, of which some are enabled.
    pub(crate) fn of(extensions: &Components<StartExtension>, enabled: &[ComponentId]) -> Self {
        let source = |(id, extension): (&ComponentId, &Declared<StartExtension>)| {
            let adaptive = extension.profile.adaptive.clone()?;
            Some(AdaptiveSource { id: id.clone(), adaptive, enabled: enabled.contains(id) })
        };
        Self(extensions.iter().filter_map(source).collect())
    }

    /// The one that a processor's key `extension` means, or the only one. Mistakes are recorded in the
    /// processor's settings.
    pub(crate) fn find(&self, table: &Table<'_>, wanted: Option<&ComponentId>) -> Option<Adaptive> {
        let found = match (wanted, &self.0[..]) {
            (Some(wanted), all) => all.iter().find(|source| source.id == *wanted),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let Some(AdaptiveSource { id, adaptive, enabled }) = found else {
            self.report(table, wanted.is_none());
            return None;
        };
        if !enabled {
            let unheard =
                format!("`{id}` is not in `service::extensions`, so nobody is told what is learned");
            table.warning("extension", unheard);
        }
        Some(adaptive.clone())
    }

    fn report(&self, table: &Table<'_>, unnamed: bool) {
        let ids: Vec<_> = self.0.iter().map(|source| source.id.to_string()).collect();
        let (message, help) = match &ids[..] {
            [] => (
                "there is no extension with an `adaptive` source",
                "declare one: `jaegerremotesampling: {source: {adaptive: }}`".to_owned(),
            ),
            _ if unnamed => (
                "several extensions have an `adaptive` source: say which",
                format!("declared: {}", ids.join(", ")),
            ),
            _ => ("this extension has no `adaptive` source", format!("declared: {}", ids.join(", "))),
        };
        table.error_with_help("extension", message, help);
    }
}
