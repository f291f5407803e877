//! A table as a picture.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::{Cell, Table};
use crate::components::StartError;

const SIZE: (u32, u32) = (760, 420);
const COLUMNS: [(&str, RGBColor); 3] = [
    ("TCP", RGBColor(120, 120, 120)),
    ("redirected", RGBColor(0, 114, 178)),
    ("unix", RGBColor(230, 159, 0)),
];
/// Of a row's width, what one bar takes, and what is left free on both sides of the three.
const WIDTH: f64 = 0.3;
const MARGIN: f64 = 0.05;
/// Of the highest bar's height, what the picture has: the legend stands above the bars.
const HEADROOM: f64 = 1.3;

/// Draws bars, a group for each row, into a file that is named after the table.
pub(super) fn draw(table: &Table, directory: &Path) -> Result<(), StartError> {
    let path = directory.join(format!("{}.svg", file_name(&table.title)));
    let drawing = SVGBackend::new(&path, SIZE).into_drawing_area();
    drawing.fill(&WHITE)?;
    let values = table.rows.iter().flat_map(|row| &row.cells).filter_map(value);
    let highest = values.fold(0.0, f64::max) * HEADROOM;
    let rows = u32::try_from(table.rows.len())?;
    let mut chart = ChartBuilder::on(&drawing)
        .caption(&table.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..f64::from(rows), 0.0..highest)?;
    let name = |position: &f64| {
        let row = (0_u32..).zip(&table.rows).find(|(row, _)| (f64::from(*row) + 0.5 - position).abs() < 0.01);
        row.map_or_else(String::new, |(_, row)| row.name.clone())
    };
    let decimals = usize::from(highest < 10.0);
    let axis = |value: &f64| format!("{value:.decimals$}");
    // Twice as many labels as rows, of which the odd ones stand in the middle of a group.
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().x_labels(2 * table.rows.len() + 1).x_label_formatter(&name);
    mesh.max_light_lines(1).y_label_formatter(&axis).y_desc(table.unit);
    mesh.draw()?;
    let above = TextStyle::from(("sans-serif", 9)).pos(Pos::new(HPos::Center, VPos::Bottom));
    for (column, (label, colour)) in (0_u8..).zip(COLUMNS) {
        let bars = bars(table, column);
        if bars.is_empty() {
            continue;
        }
        let filled = |&(left, value)| Rectangle::new([(left, 0.0), (left + WIDTH, value)], colour.filled());
        let series = chart.draw_series(bars.iter().map(filled))?;
        series
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        let number = |&(left, value)| Text::new(short(value), (left + WIDTH / 2.0, value), above.clone());
        chart.draw_series(bars.iter().map(number))?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperMiddle).draw()?;
    drawing.present()?;
    Ok(())
}

/// The bars of a column: where they begin, in rows, and how high they are.
fn bars(table: &Table, column: u8) -> Vec<(f64, f64)> {
    let left = MARGIN + f64::from(column) * WIDTH;
    let bars = (0_u32..).zip(&table.rows).map(|(position, row)| {
        Some((f64::from(position) + left, row.cells.get(usize::from(column)).and_then(value)?))
    });
    bars.flatten().collect()
}

fn value(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Measured(value) => Some(*value),
        Cell::Absent => None,
    }
}

/// Three digits, which fit above a bar.
fn short(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn file_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_bar_for_each_value_and_is_named_after_its_title() {
        let directory = tempfile::tempdir().unwrap();
        let mut table = Table::new("Round trip, both ends (median)", "µs");
        table.row("64 B", [vec![20.0], vec![15.0], Vec::new()]);
        draw(&table, directory.path()).unwrap();
        let picture =
            std::fs::read_to_string(directory.path().join("round-trip-both-ends-median.svg")).unwrap();
        assert_eq!(picture.matches("#0072B2").count(), 2, "a bar and its legend");
        for text in ["Round trip, both ends (median)", "64 B", "20.0", "15.0", "redirected"] {
            assert!(picture.contains(text), "{text}");
        }
        assert!(!picture.contains("unix"), "what has no value is not in the legend");
    }
}
