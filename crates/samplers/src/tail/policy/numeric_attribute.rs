//! `numeric_attribute`: traces with a number within bounds in some span or its resource.

use forebay_config::Table;

use super::{Compiler, Existential, Policy};
use crate::tail::predicate::{AttributeTest, Predicate};

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let key = settings.require("key", settings.string("key"));
    // As upstream, zero stands for "not set".
    let bound = |key| settings.integer::<i64>(key, ..).filter(|&bound| bound != 0);
    let (min, max) = (bound("min_value"), bound("max_value"));
    let invert = settings.bool_or("invert_match", false);
    if min.is_none() && max.is_none() {
        settings.error("min_value", "set `min_value`, `max_value` or both; zero counts as not set");
        return None;
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        settings.error("min_value", format!("no number is at least {min} and at most {max}"));
        return None;
    }
    let bit = compiler.predicate(
        settings,
        "key",
        Predicate::Attribute { key: key?, test: AttributeTest::Within { min, max } },
    )?;
    Some(Box::new(Existential { bit, invert }))
}
