//! `string_attribute`: traces with one of several strings in some span or its resource.

use forebay_config::Table;

use super::{Compiler, Existential, Policy};
use crate::tail::predicate::{AttributeTest, Predicate};

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let key = settings.require("key", settings.string("key"));
    let values = settings.require("values", settings.strings("values"));
    let regex = settings.bool_or("enabled_regex_matching", false);
    let invert = settings.bool_or("invert_match", false);
    settings.accept("cache_max_size", "regular expressions are matched without a cache");
    let (key, values) = (key?, values?);
    if values.is_empty() {
        settings.error("values", "name at least one value");
        return None;
    }
    let test = if regex { AttributeTest::Matches(values) } else { AttributeTest::OneOf(values) };
    let bit = compiler.predicate(settings, "values", Predicate::Attribute { key, test })?;
    Some(Box::new(Existential { bit, invert }))
}
