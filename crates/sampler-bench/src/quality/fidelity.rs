//! Whether the durations of operations look as they did.

use crate::{Better, Metric, Unit};

/// The percentiles that are compared.
const PERCENTILES: [f64; 8] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0];
/// Keeps durations that are all the same from dividing by zero; TracePicker's, in microseconds as there.
const EPSILON: f64 = 1e-7;

/// Means nothing without operations. One without a kept span is compared as if all its spans had the least duration.
pub(super) const DURATIONS: Metric = Metric {
    name: "duration_mse",
    title: "error of operations' durations",
    unit: Unit::Number,
    better: Better::Lower,
    formula: "Σ over operations of the mean of (P̂ − P)² over the percentiles 0, 25, 50, 75, 90, 95, 99, 100, scaled to \
              the operation's range; unweighted, as published",
    source: "MSE of TracePicker (FSE 2025)",
    compute: |population, outcome| {
        let mut all = vec![Vec::new(); population.operations.len()];
        let mut kept = all.clone();
        for span in &population.spans {
            all[span.operation as usize].push(span.seconds() * 1e6);
        }
        for trace in &outcome.kept {
            for span in population.spans_of(&population.traces[trace.trace as usize]) {
                kept[span.operation as usize].push(span.seconds() * 1e6);
            }
        }
        let errors = all.into_iter().zip(kept).map(|(mut all, mut kept)| error(&mut all, &mut kept));
        (!population.operations.is_empty()).then(|| errors.sum())
    },
};

fn error(all: &mut [f64], kept: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    kept.sort_by(f64::total_cmp);
    let (Some(&least), Some(&greatest)) = (all.first(), all.last()) else { return 0.0 };
    let scaled = |value: f64| (value - least) / (greatest - least + EPSILON);
    let squares = PERCENTILES.map(|percent| {
        let found = if kept.is_empty() { least } else { percentile(kept, percent) };
        (scaled(found) - scaled(percentile(all, percent))).powi(2)
    });
    squares.iter().sum::<f64>() / squares.len() as f64
}

/// A percentile of values in order, between two of them by a straight line, as NumPy has it.
fn percentile(values: &[f64], percent: f64) -> f64 {
    let place = percent / 100.0 * (values.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
    let index = place.floor() as usize;
    let next = values[(index + 1).min(values.len() - 1)];
    values[index] + (next - values[index]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([1, 2, 4, 8], [0, 25, 50, 75, 90, 100])
        let found =
            [0.0, 25.0, 50.0, 75.0, 90.0, 100.0].map(|percent| percentile(&[1.0, 2.0, 4.0, 8.0], percent));
        let expected = [1.0, 1.75, 3.0, 5.0, 6.8, 8.0];
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{found:?}"
        );
    }

    #[test]
    fn by_hand_of_two_durations_the_greater_was_kept() {
        let population = population(&[(0, 1.0, false), (0, 2.0, false)]);
        // Scaled percentiles of all are the percentages, of the kept all 1: the mean of (1 - p)².
        let expected =
            [1.0, 0.75, 0.5, 0.25, 0.1, 0.05, 0.01, 0.0_f64].map(|off| off * off).iter().sum::<f64>() / 8.0;
        let found = (DURATIONS.compute)(&population, &outcome(&[(1, 1.0)])).unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        assert_eq!((DURATIONS.compute)(&population, &outcome(&[(0, 1.0), (1, 1.0)])), Some(0.0));
    }

    #[test]
    fn an_operation_of_which_nothing_was_kept_is_as_if_at_its_least() {
        let population = population(&[(0, 1.0, false), (0, 2.0, false)]);
        let nothing = (DURATIONS.compute)(&population, &outcome(&[]));
        assert_eq!(nothing, (DURATIONS.compute)(&population, &outcome(&[(0, 1.0)])));
        assert_eq!((DURATIONS.compute)(&crate::quality::testing::population(&[]), &outcome(&[])), None);
    }
}
