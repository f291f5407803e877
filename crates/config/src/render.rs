//! Findings as text, in the layout of rustc: what, where, the line with the place underlined, and what to
//! do.

use std::fmt::{self, Display};

use crate::diagnostics::{Diagnostic, Diagnostics, Severity, Source};
use crate::node::Location;

/// Findings shown at most; the last line counts them all.
const MOST: usize = 100;

/// Characters of a source line shown at most; a longer line is cut around the underlined place.
const WIDEST: usize = 140;

const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";

impl Diagnostics {
    /// Everything found, sorted by place, and a last line such as `2 errors, 1 warning`; empty if nothing
    /// was found.
    ///
    /// With `color`, styled by ANSI escape sequences.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        Report { findings: &self.sorted(), sources: &self.sources(), color }.to_string()
    }
}

struct Report<'d> {
    findings: &'d [Diagnostic],
    sources: &'d [Source],
    color: bool,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().take(MOST) {
            self.finding(finding, f)?;
            writeln!(f)?;
        }
        let mut counts = Vec::new();
        for severity in [Severity::Error, Severity::Warning] {
            match self.findings.iter().filter(|finding| finding.severity == severity).count() {
                0 => {}
                1 => counts.push(format!("1 {}", severity.word())),
                count => counts.push(format!("{count} {}s", severity.word())),
            }
        }
        if !counts.is_empty() {
            let rest = if self.findings.len() > MOST {
                format!(" (the first {MOST} are shown)")
            } else {
                String::new()
            };
            writeln!(f, "{}{rest}", counts.join(", "))?;
        }
        Ok(())
    }
}

impl Report<'_> {
    fn finding(&self, finding: &Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = match finding.severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
        };
        let headline = printable(&format!(": {}", finding.headline()));
        writeln!(f, "{}{}", self.paint(style, finding.severity.word()), self.paint(BOLD, &headline))?;
        let gutter = finding.at.map_or(1, |at| at.line.to_string().len());
        if let Some(at) = finding.at {
            self.place(at, gutter, style, f)?;
        }
        let origin =
            finding.origin.as_ref().map(|origin| ("note", format!("the value comes from {}", origin.name)));
        let help = finding.help.as_ref().map(|help| ("help", help.clone()));
        for (label, text) in origin.into_iter().chain(help) {
            let (equals, label) = (self.paint(BLUE, "="), self.paint(BOLD, &format!("{label}:")));
            writeln!(f, "{:gutter$} {equals} {label} {}", "", printable(&text))?;
        }
        Ok(())
    }

    /// ` --> file:line:column` and the line with the place underlined.
    fn place(&self, at: Location, gutter: usize, style: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = usize::try_from(at.source.0).unwrap_or(usize::MAX);
        let Some(source) = self.sources.get(index) else { return Ok(()) };
        let (arrow, bar) = (self.paint(BLUE, "-->"), self.paint(BLUE, "|"));
        writeln!(f, "{:gutter$}{arrow} {}:{}:{}", "", printable(&source.name), at.line, at.column)?;
        let Some(line) = source.line(at.line) else { return Ok(()) };
        let excerpt = Excerpt::of(line, at);
        let number = self.paint(BLUE, &at.line.to_string());
        let carets = self.paint(style, &"^".repeat(excerpt.width));
        writeln!(f, "{:gutter$} {bar}", "")?;
        writeln!(f, "{number} {bar} {}", excerpt.text)?;
        writeln!(f, "{:gutter$} {bar} {:indent$}{carets}", "", "", indent = excerpt.indent)
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.color { format!("{style}{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A source line as it is shown, and what to underline in it.
struct Excerpt {
    text: String,
    indent: usize,
    width: usize,
}

impl Excerpt {
    fn of(line: &str, at: Location) -> Self {
        let length = line.chars().count();
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX).min(length);
        // Keep a third of the width before the place, so that its keys can be seen.
        let skipped = if length > WIDEST { column.saturating_sub(WIDEST / 3) } else { 0 };
        let before = if skipped > 0 { "…" } else { "" };
        let after = if length > skipped + WIDEST { "…" } else { "" };
        let shown = line.chars().skip(skipped).take(WIDEST).map(visible).collect::<String>();
        let indent = column - skipped + before.chars().count();
        let room = (length.min(skipped + WIDEST) - column).max(1);
        let width = usize::try_from(at.width).unwrap_or(usize::MAX).clamp(1, room);
        Self { text: format!("{before}{}{after}", shown.trim_end()), indent, width }
    }
}

/// The text without characters a terminal would act on.
fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(letter: char) -> char {
    match letter {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests;
