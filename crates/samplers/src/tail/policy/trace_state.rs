//! `trace_state`: traces in which a member of some span's trace state has one of several values.

use forebay_config::Table;

use super::{Compiler, Existential, Policy};
use crate::tail::predicate::Predicate;

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let key = settings.require("key", settings.string("key"));
    let values = settings.require("values", settings.strings("values"));
    let (key, values) = (key?, values?);
    if values.is_empty() {
        settings.error("values", "name at least one value");
        return None;
    }
    let bit = compiler.predicate(settings, "values", Predicate::TraceState { key, values })?;
    Some(Box::new(Existential { bit, invert: false }))
}
