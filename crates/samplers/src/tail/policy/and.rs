//! `and`: traces that all of several policies ask for.
//!
//! All of them look at the same random number, so together they keep what the strictest keeps.

use forebay_config::Table;

use super::{Compiler, Evidence, Policy, Read, TYPES, Verdict};

struct And(Vec<Box<dyn Policy>>);

pub(super) fn read(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let leaves: Vec<(&'static str, Read)> =
        TYPES.iter().filter(|(name, _)| *name != "and").copied().collect();
    let entries = settings.tables("and_sub_policy");
    if entries.is_empty() {
        settings.error("and_sub_policy", "`and` needs at least one sub-policy");
        return None;
    }
    let parts: Vec<_> = entries
        .iter()
        .map(|entry| {
            entry.string("name");
            compiler.policy(entry, &leaves)
        })
        .collect();
    let parts: Option<Vec<_>> = parts.into_iter().collect();
    Some(Box::new(And(parts?)))
}

impl Policy for And {
    fn evaluate(&self, trace: &Evidence<'_>) -> Verdict {
        let mut strictest = Verdict::certain_if(true);
        for part in &self.0 {
            strictest = match (strictest, part.evaluate(trace)) {
                (_, Verdict::NotSampled) => return Verdict::NotSampled,
                (Verdict::Sampled(a), Verdict::Sampled(b)) => Verdict::Sampled(a.max(b)),
                _ => Verdict::SampledUnknown,
            };
        }
        strictest
    }
}
