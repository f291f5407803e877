//! What was measured, as text.

use std::fmt;

/// A table with a row for each case and a column for each transport.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) rows: Vec<(String, [Cell; 3])>,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Measured(f64),
    /// The transport cannot do this.
    Absent,
}

impl Table {
    pub(super) fn new(title: &str, unit: &'static str) -> Self {
        Self { title: title.to_owned(), unit, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, name: &str, cells: [Cell; 3]) {
        self.rows.push((name.to_owned(), cells));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.title, self.unit)?;
        writeln!(f, "  {:<12} {:>10} {:>10} {:>7} {:>10}", "", "TCP", "redirected", "ratio", "unix")?;
        for (name, [tcp, redirected, unix]) in &self.rows {
            let ratio = match (tcp, redirected) {
                (Cell::Measured(tcp), Cell::Measured(redirected)) => Cell::Measured(redirected / tcp),
                _ => Cell::Absent,
            };
            writeln!(f, "  {name:<12} {tcp:>10.1} {redirected:>10.1} {ratio:>7.2} {unix:>10.1}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(value) => {
                let precision = f.precision().unwrap_or(1);
                f.pad_integral(true, "", &format!("{value:.precision$}"))
            }
            Self::Absent => f.pad_integral(true, "", "-"),
        }
    }
}

/// The middle one of some values; not a number if there are none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A number of bytes, for people.
pub(super) fn bytes(bytes: usize) -> String {
    if bytes < 1 << 10 { format!("{bytes} B") } else { format!("{} KiB", bytes >> 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_the_ratio_of_redirected_to_plain() {
        let mut table = Table::new("Round trip", "µs");
        table.row(&bytes(64), [Cell::Measured(20.0), Cell::Measured(15.0), Cell::Absent]);
        let expected = "\
Round trip (µs)
                      TCP redirected   ratio       unix
  64 B               20.0       15.0    0.75          -
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
        assert_eq!((bytes(512), bytes(64 << 10)), ("512 B".to_owned(), "64 KiB".to_owned()));
    }
}
