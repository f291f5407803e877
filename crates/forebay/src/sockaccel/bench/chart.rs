//! A table as a picture.

use std::path::Path;

use plotters::prelude::*;

use super::report::{Cell, Table};
use crate::components::StartError;

const SIZE: (u32, u32) = (760, 420);
const COLUMNS: [(&str, RGBColor); 3] = [
    ("TCP", RGBColor(120, 120, 120)),
    ("redirected", RGBColor(0, 114, 178)),
    ("unix", RGBColor(230, 159, 0)),
];
/// Of the width of a row, what all its bars take.
const FILLED: f64 = 0.8;

/// Draws bars, a group for each row, into a file that is named after the table.
pub(super) fn draw(table: &Table, directory: &Path) -> Result<(), StartError> {
    let path = directory.join(format!("{}.svg", file_name(&table.title)));
    let drawing = SVGBackend::new(&path, SIZE).into_drawing_area();
    drawing.fill(&WHITE)?;
    let values = table.rows.iter().flat_map(|(_, cells)| cells).filter_map(value);
    let highest = values.fold(0.0, f64::max) * 1.05;
    let rows = u32::try_from(table.rows.len())?;
    let mut chart = ChartBuilder::on(&drawing)
        .caption(&table.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..f64::from(rows), 0.0..highest)?;
    let name = |position: &f64| {
        let row = (0_u32..).zip(&table.rows).find(|(row, _)| (f64::from(*row) + 0.5 - position).abs() < 0.01);
        row.map_or_else(String::new, |(_, (name, _))| name.clone())
    };
    // Twice as many labels as rows, of which the odd ones stand in the middle of a group.
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().x_labels(2 * table.rows.len() + 1).x_label_formatter(&name).y_desc(table.unit);
    mesh.draw()?;
    let width = FILLED / 3.0;
    for (column, (position, (label, colour))) in (0_u32..).zip(COLUMNS).enumerate() {
        let bars = (0_u32..).zip(&table.rows).filter_map(|(row, (_, cells))| {
            let left = f64::from(row) + (1.0 - FILLED) / 2.0 + f64::from(position) * width;
            Some(Rectangle::new([(left, 0.0), (left + width, value(&cells[column])?)], colour.filled()))
        });
        let series = chart.draw_series(bars)?;
        series
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).draw()?;
    drawing.present()?;
    Ok(())
}

fn value(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Measured(value) => Some(*value),
        Cell::Absent => None,
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
        table.row("64 B", [Cell::Measured(20.0), Cell::Measured(15.0), Cell::Absent]);
        draw(&table, directory.path()).unwrap();
        let picture =
            std::fs::read_to_string(directory.path().join("round-trip-both-ends-median.svg")).unwrap();
        assert_eq!(picture.matches("#0072B2").count(), 2, "a bar and its legend");
        assert!(picture.contains("Round trip, both ends (median)") && picture.contains("64 B"));
    }
}
