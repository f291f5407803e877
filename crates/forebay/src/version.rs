//! Which Forebay this is.

/// The commit that was built, where the build was told: `FOREBAY_COMMIT` in its environment.
const COMMIT: &str = match option_env!("FOREBAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The cargo features that a build may have, and whether this one has them.
const FEATURES: &[(&str, bool)] = &[("redis", cfg!(feature = "redis"))];

/// The version, the commit, and the features of the build: what a report of a mistake has to say.
#[must_use]
pub(crate) fn long() -> String {
    let features: Vec<_> = FEATURES.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    format!("{}\ncommit: {COMMIT}\nfeatures: {features}", env!("CARGO_PKG_VERSION"))
}
