//! `trace_flags`: traces in which some span has the W3C flag `sampled`.

use forebay_config::Table;

use super::{Compiler, Existential, Policy};
use crate::tail::predicate::Predicate;

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let bit = compiler.predicate(settings, "type", Predicate::SampledFlag)?;
    Some(Box::new(Existential { bit, invert: false }))
}
