//! How a processor finds the extension that it works with.
//!
//! Both are made of what is read before anything starts: an extension leaves a handle in its profile, and since
//! extensions are read first, the processor that means it gets the handle while it is read.

use forebay_config::{ComponentId, Table};

use crate::components::{Profile, StartExtension};
use crate::settings::{Components, Declared};

/// The extensions that have a handle of this sort.
pub(crate) struct Handles<T>(Vec<Offer<T>>);

struct Offer<T> {
    id: ComponentId,
    handle: T,
    /// Whether it is started.
    enabled: bool,
}

/// What to say where an extension is not found.
pub(crate) struct Words {
    /// The processor's key that names it.
    pub(crate) key: &'static str,
    /// "there is no extension …"
    pub(crate) sort: &'static str,
    /// How to declare one.
    pub(crate) example: &'static str,
    /// What is wrong if it is not started.
    pub(crate) idle: &'static str,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> Handles<T> {
    /// Those among all extensions, of which some are enabled.
    pub(crate) fn of(
        extensions: &Components<StartExtension>,
        enabled: &[ComponentId],
        handle: impl Fn(&Profile) -> Option<&T>,
    ) -> Self {
        let offer = |(id, extension): (&ComponentId, &Declared<StartExtension>)| {
            let handle = handle(&extension.profile)?.clone();
            Some(Offer { id: id.clone(), handle, enabled: enabled.contains(id) })
        };
        Self(extensions.iter().filter_map(offer).collect())
    }

    /// The one that a processor's settings mean, or the only one. Mistakes are recorded there.
    pub(crate) fn find(&self, table: &Table<'_>, wanted: Option<&ComponentId>, words: &Words) -> Option<T> {
        let found = match (wanted, &self.0[..]) {
            (Some(wanted), all) => all.iter().find(|offer| offer.id == *wanted),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let Some(Offer { id, handle, enabled }) = found else {
            self.report(table, wanted.is_none(), words);
            return None;
        };
        if !enabled {
            table.warning(words.key, format!("`{id}` is not in `service::extensions`, so {}", words.idle));
        }
        Some(handle.clone())
    }

    fn report(&self, table: &Table<'_>, unnamed: bool, words: &Words) {
        let ids: Vec<_> = self.0.iter().map(|offer| offer.id.to_string()).collect();
        let sort = words.sort;
        let (message, help) = match &ids[..] {
            [] => (format!("there is no extension {sort}"), format!("declare one: `{}`", words.example)),
            _ if unnamed => (
                format!("there are several extensions {sort}: say which"),
                format!("declared: {}", ids.join(", ")),
            ),
            _ => (format!("this is no extension {sort}"), format!("declared: {}", ids.join(", "))),
        };
        table.error_with_help(words.key, message, help);
    }
}
