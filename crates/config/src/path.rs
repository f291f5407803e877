//! Paths of keys as diagnostics show them: `processors::tail_sampling::policies[0]::type`.

/// The path of `key` in the mapping at `path`.
pub(crate) fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}::{key}") }
}

/// The path of an item of the list at `path`.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
