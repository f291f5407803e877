//! `boolean_attribute`: traces with a boolean in some span or its resource.

use forebay_config::Table;

use super::{Compiler, Existential, Policy};
use crate::tail::predicate::{AttributeTest, Predicate};

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let key = settings.require("key", settings.string("key"));
    let value = settings.bool_or("value", false);
    let invert = settings.bool_or("invert_match", false);
    let predicate = Predicate::Attribute { key: key?, test: AttributeTest::Is(value) };
    let bit = compiler.predicate(settings, "key", predicate)?;
    Some(Box::new(Existential { bit, invert }))
}
