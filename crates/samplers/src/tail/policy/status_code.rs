//! `status_code`: traces in which some span has one of the given status codes.

use forebay_config::Table;
use forebay_otlp::StatusCode;

use super::{Compiler, Existential, Policy};
use crate::tail::predicate::Predicate;

const CODES: &[(&str, StatusCode)] =
    &[("OK", StatusCode::Ok), ("ERROR", StatusCode::Error), ("UNSET", StatusCode::Unset)];

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let entries = settings.require("status_codes", settings.list("status_codes"))?;
    let codes: Vec<_> = entries.iter().filter_map(|entry| entry.choice(CODES)).collect();
    if entries.is_empty() {
        settings.error("status_codes", "name at least one of OK, ERROR and UNSET");
        return None;
    }
    let bit = compiler.predicate(settings, "status_codes", Predicate::Status(codes))?;
    Some(Box::new(Existential { bit, invert: false }))
}
