//! What was measured, as text.

use std::fmt;

/// What was measured, by transport and round. A transport that cannot do it has nothing.
pub(super) type Samples = [Vec<f64>; 3];

/// A table with a row for each case and a column for each transport.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) rows: Vec<Row>,
}

/// One case.
pub(super) struct Row {
    pub(super) name: String,
    /// Medians over the rounds.
    pub(super) cells: [Cell; 3],
    /// The least and the greatest of the rounds' ratios of redirected to plain.
    spread: [Cell; 2],
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

    pub(super) fn row(&mut self, name: &str, samples: Samples) {
        let [tcp, redirected, _] = &samples;
        let mut ratios: Vec<_> =
            tcp.iter().zip(redirected).map(|(tcp, redirected)| redirected / tcp).collect();
        ratios.sort_by(f64::total_cmp);
        let spread = [ratios.first(), ratios.last()].map(|end| end.copied().into());
        let cells = samples
            .map(|samples| if samples.is_empty() { Cell::Absent } else { Cell::Measured(median(samples)) });
        self.rows.push(Row { name: name.to_owned(), cells, spread });
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Absent, Self::Measured)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.title, self.unit)?;
        writeln!(
            f,
            "  {:<12} {:>10} {:>10} {:>7} {:>13} {:>10}",
            "", "TCP", "redirected", "ratio", "of rounds", "unix"
        )?;
        for Row { name, cells: [tcp, redirected, unix], spread: [least, greatest] } in &self.rows {
            let ratio = match (tcp, redirected) {
                (Cell::Measured(tcp), Cell::Measured(redirected)) => Cell::Measured(redirected / tcp),
                _ => Cell::Absent,
            };
            let spread = format!("{least:.2}-{greatest:.2}");
            writeln!(
                f,
                "  {name:<12} {tcp:>10.1} {redirected:>10.1} {ratio:>7.2} {spread:>13} {unix:>10.1}"
            )?;
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
    fn a_table_shows_the_ratio_of_redirected_to_plain_and_how_it_varied() {
        let mut table = Table::new("Round trip", "µs");
        table.row(&bytes(64), [vec![20.0, 10.0, 30.0], vec![15.0, 8.0, 21.0], Vec::new()]);
        let expected = "\
Round trip (µs)
                      TCP redirected   ratio     of rounds       unix
  64 B               20.0       15.0    0.75     0.70-0.80          -
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
