//! What the Collector did, as a file.
//!
//! A file holds the cases of one file of cases: for each fate the numbers of the traces that met it, as
//! ranges. Traces that are not named were dropped.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, case::Case, judge::Measure, outcome::Outcome};

/// The outcomes of the cases of one file, by name.
pub type Outcomes = BTreeMap<String, Outcome>;

/// For each fate the traces that met it.
type Fates = BTreeMap<String, String>;

/// Reads the golden file of the cases called `family`; nothing if there is none.
///
/// # Errors
/// If there is one that is not what [`write()`] writes.
pub fn read(family: &str) -> Result<Outcomes, Error> {
    let file = path(family);
    if !file.exists() {
        return Ok(Outcomes::new());
    }
    let cases: BTreeMap<String, Fates> = serde_json::from_slice(&fs::read(file)?)?;
    cases.into_iter().map(|(case, fates)| Ok((case, parse(&fates)?))).collect()
}

/// What Forebay is measured by in `case`; nothing if the golden files do not have it.
///
/// # Errors
/// As [`read`].
pub fn measure(case: &Case) -> Result<Option<Measure>, Error> {
    let own = read(&case.family)?.remove(&case.name);
    let (family, name) = case.reference();
    let other = read(family)?.remove(name);
    Ok(own.zip(other).map(|(own, other)| Measure { own, other }))
}

/// Writes the golden file of the cases called `family`.
///
/// # Errors
/// If it cannot be written.
pub fn write(family: &str, outcomes: &Outcomes) -> Result<(), Error> {
    let cases: BTreeMap<&str, Fates> =
        outcomes.iter().map(|(case, outcome)| (case.as_str(), render(outcome))).collect();
    Ok(fs::write(path(family), serde_json::to_string_pretty(&cases)? + "\n")?)
}

fn path(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(family).with_extension("json")
}

fn render(outcome: &Outcome) -> Fates {
    let mut ranges = BTreeMap::<_, Vec<(usize, usize)>>::new();
    for (&number, fate) in &outcome.fates {
        let ranges = ranges.entry(fate.clone()).or_default();
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let line = |ranges: Vec<_>| ranges.iter().map(text).collect::<Vec<_>>().join(" ");
    ranges.into_iter().map(|(fate, ranges)| (fate, line(ranges))).collect()
}

fn parse(fates: &Fates) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    for (fate, ranges) in fates {
        for range in ranges.split_whitespace() {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            for number in first.parse()?..=last.parse()? {
                outcome.fates.insert(number, fate.clone());
            }
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_parsed_back() {
        let fate = |number| (number, if number % 5 == 0 { "kept 1 of 2" } else { "kept" }.to_owned());
        let outcome = Outcome { fates: [1, 2, 3, 5, 7, 8, 10].into_iter().map(fate).collect() };
        let rendered = render(&outcome);
        assert_eq!(rendered["kept"], "1-3 7-8");
        assert_eq!(rendered["kept 1 of 2"], "5 10");
        assert_eq!(parse(&rendered).unwrap(), outcome);
    }
}
