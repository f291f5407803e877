//! What each key means, which its reader cannot tell.

/// A line for each key: the last parts of its path, and its meaning.
const TEXT: &str = include_str!("meanings.txt");

/// The meanings by the paths that they are for.
pub(super) struct Meanings {
    lines: Vec<(Vec<&'static str>, &'static str)>,
}

impl Meanings {
    pub(super) fn new() -> Self {
        let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = |line: &'static str| {
            let (path, meaning) = line.split_once(": ")?;
            Some((path.split("::").collect(), meaning))
        };
        Self { lines: lines.filter_map(line).collect() }
    }

    /// What the key at `path` means: of the lines that the path ends in, the longest.
    pub(super) fn of(&self, path: &[&str]) -> Option<&'static str> {
        self.line(path).map(|(_, meaning)| *meaning)
    }

    fn line(&self, path: &[&str]) -> Option<&(Vec<&'static str>, &'static str)> {
        self.lines.iter().filter(|(end, _)| path.ends_with(end)).max_by_key(|(end, _)| end.len())
    }

    /// The paths of lines that none of `paths` needs.
    #[cfg(test)]
    pub(super) fn unused(&self, paths: &[Vec<&str>]) -> Vec<String> {
        let used: Vec<_> = paths.iter().filter_map(|path| self.line(path)).collect();
        let is_used = |line: &(Vec<&str>, &str)| used.iter().any(|other| other.0 == line.0);
        self.lines.iter().filter(|line| !is_used(line)).map(|(path, _)| path.join("::")).collect()
    }
}
