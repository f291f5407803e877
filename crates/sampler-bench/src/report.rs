//! The report: one HTML file that needs no network.
//!
//! The page is a template; the results, without the values of single seeds, are put into it as JSON, and Chart.js
//! beside them. What the page shows it makes of that JSON in the browser, so the file holds everything that was
//! measured and nothing else.

use crate::results::Results;

const TEMPLATE: &str = include_str!("../assets/report.html");
const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");
/// <https://www.chartjs.org>, MIT licence; see `assets/chart.js.LICENSE.md`.
const CHARTS: &str = include_str!("../assets/chart.umd.min.js");

/// The report of `results`.
///
/// # Errors
/// When the results are not JSON: a number in them is not finite.
pub fn html(results: &Results) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(&results.without_values())?;
    // A name that contains the end of a script must not end it.
    let json = json.replace('<', "\\u003c");
    let mut html =
        String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + CHARTS.len() + json.len());
    fill(
        &mut html,
        TEMPLATE,
        &[("style", STYLE), ("charts", CHARTS), ("results", &json), ("script", SCRIPT)],
    );
    Ok(html)
}

/// Appends the template with what stands for each `<!--name-->`.
fn fill(out: &mut String, template: &str, parts: &[(&str, &str)]) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        let (name, after) = after.split_once("-->").unwrap_or((after, ""));
        let part = parts.iter().find(|(known, _)| *known == name);
        out.push_str(part.map_or("", |(_, text)| text));
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests;
