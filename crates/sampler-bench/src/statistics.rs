//! Many seeds, in few numbers.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A metric over all seeds in which it has a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of single runs, with m − 1 in the divisor; 0 for one.
    pub deviation: f64,
    /// The lower end of the 95 % confidence interval of the mean, by Student's t.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The values, by seed; `None` where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Option<f64>>,
}

/// A mean over seeds that is this many of its standard errors away from the truth is biased: by chance it is once in
/// 16,000 times.
pub const BIASED: f64 = 4.0;
/// Of fewer runs the standard error is too rough for that.
pub const BIAS_RUNS: usize = 200;
const CONFIDENCE: f64 = 0.95;

impl Estimate {
    /// The estimate from the values of all seeds; `None` where none has one.
    #[must_use]
    pub fn of(values: Vec<Option<f64>>) -> Option<Self> {
        let found: Vec<f64> = values.iter().flatten().copied().collect();
        let (mean, deviation) = mean_and_deviation(&found)?;
        let half = half_width(deviation, found.len());
        Some(Self { mean, deviation, low: mean - half, high: mean + half, values })
    }

    /// Seeds in which there is a value.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.values.iter().flatten().count()
    }

    /// Whether an error that should be zero on average is not; `None` if there are too few runs to tell.
    #[must_use]
    pub fn is_biased(&self) -> Option<bool> {
        let z = self.z();
        (z == 0.0 || self.runs() >= BIAS_RUNS).then(|| z.abs() >= BIASED)
    }

    /// How many standard errors the mean is away from zero: the bias test of an error that should be zero on average.
    /// 0 where every run was exact, infinite where all were wrong by the same.
    #[must_use]
    pub fn z(&self) -> f64 {
        let error = self.deviation / (self.runs().max(1) as f64).sqrt();
        if self.mean.abs() < 1e-12 { 0.0 } else { self.mean / error }
    }
}

/// Mean and standard deviation; `None` of nothing.
fn mean_and_deviation(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 }))
}

/// Half of the confidence interval of a mean of so many values.
fn half_width(deviation: f64, count: usize) -> f64 {
    // The distribution exists for any positive number of degrees of freedom.
    let t = StudentsT::new(0.0, 1.0, (count.max(2) - 1) as f64)
        .map_or(f64::NAN, |t| t.inverse_cdf((1.0 + CONFIDENCE) / 2.0));
    if count > 1 { t * deviation / (count as f64).sqrt() } else { 0.0 }
}

/// The probability that two means which are the same differ as much as these do: Welch's t test, or, of runs of the same
/// seeds on the same workload, the t test of their differences. `None` with fewer than two runs.
#[must_use]
pub fn p_value(a: &Estimate, b: &Estimate, paired: bool) -> Option<f64> {
    if paired {
        let both = a.values.iter().zip(&b.values).filter_map(|(a, b)| Some((*a)? - (*b)?));
        let differences: Vec<_> = both.collect();
        let (mean, deviation) = mean_and_deviation(&differences)?;
        let error = deviation / (differences.len() as f64).sqrt();
        return two_sided(mean, error, (differences.len() as f64) - 1.0);
    }
    let variance = |estimate: &Estimate| {
        let runs = estimate.runs() as f64;
        (estimate.deviation.powi(2) / runs, runs - 1.0)
    };
    let ((va, na), (vb, nb)) = (variance(a), variance(b));
    // Welch and Satterthwaite's degrees of freedom.
    let freedom = (va + vb).powi(2) / (va.powi(2) / na + vb.powi(2) / nb);
    let freedom = if freedom.is_finite() { freedom } else { na.min(nb) };
    two_sided(a.mean - b.mean, (va + vb).sqrt(), freedom)
}

fn two_sided(difference: f64, error: f64, freedom: f64) -> Option<f64> {
    if freedom < 1.0 {
        return None;
    }
    if error < 1e-12 * difference.abs().max(1.0) {
        // Nothing is left to chance.
        return Some(if difference.abs() < 1e-12 { 1.0 } else { 0.0 });
    }
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(2.0 * t.sf((difference / error).abs()))
}

/// Holm's adjustment of many p values: with it, the chance that any of them is below 5 % by chance alone is below 5 %
/// (Holm, 1979).
#[must_use]
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<_> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut adjusted = vec![0.0; values.len()];
    let mut least = 0.0_f64;
    for (rank, &place) in order.iter().enumerate() {
        least = least.max((values[place] * (values.len() - rank) as f64).min(1.0));
        adjusted[place] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(values: &[f64]) -> Estimate {
        Estimate::of(values.iter().copied().map(Some).collect()).unwrap()
    }

    #[test]
    fn by_hand_the_interval_of_one_to_five() {
        let found = estimate(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((found.mean - 3.0).abs() < 1e-12 && (found.deviation - 2.5_f64.sqrt()).abs() < 1e-12);
        // t of 4 degrees of freedom at 0.975 is 2.776445 (Fisher and Yates).
        let half = 2.776_445 * (2.5_f64 / 5.0).sqrt();
        assert!((found.high - 3.0 - half).abs() < 1e-4, "{found:?}");
        assert!((3.0 - found.low - half).abs() < 1e-4);
    }

    #[test]
    fn runs_without_a_value_do_not_count_and_one_run_has_no_width() {
        let found = Estimate::of(vec![None, Some(2.0), None]).unwrap();
        assert_eq!((found.mean, found.low, found.high, found.runs()), (2.0, 2.0, 2.0, 1));
        assert_eq!(Estimate::of(vec![None]), None);
    }

    #[test]
    fn welchs_test_of_a_textbook_example() {
        // scipy.stats.ttest_ind([27.5, 21.0, 19.0, 23.6, 17.0], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5], equal_var=False)
        let (a, b) = ([27.5, 21.0, 19.0, 23.6, 17.0], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5]);
        let (ma, mb) = (21.62, 140.2 / 6.0);
        let sum = |values: &[f64], mean: f64| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let error = (sum(&a, ma) / 4.0 / 5.0 + sum(&b, mb) / 5.0 / 6.0).sqrt();
        let p = p_value(&estimate(&a), &estimate(&b), false).unwrap();
        // |t| is below 1, and so p above 0.3 for any number of degrees of freedom here.
        assert!(((mb - ma) / error).abs() < 1.0 && (0.3..0.5).contains(&p), "{p}");
    }

    #[test]
    fn pairs_show_a_difference_that_the_noise_of_both_hides() {
        let a = estimate(&[1.0, 5.0, 9.0, 13.0]);
        let b = estimate(&[1.1, 5.2, 9.1, 13.2]);
        assert!(p_value(&a, &b, false).unwrap() > 0.9);
        // The differences have mean 0.15 and deviation 0.0577: t = 5.196, of 3 degrees of freedom.
        let p = p_value(&a, &b, true).unwrap();
        assert!((p - 0.0138).abs() < 2e-4, "{p}");
        assert_eq!(p_value(&a, &a, true), Some(1.0));
        assert_eq!(p_value(&estimate(&[1.0]), &estimate(&[2.0]), true), None);
    }

    #[test]
    fn holm_adjusts_as_in_the_worked_example() {
        // 0.01, 0.04, 0.03, 0.005: times 3, 1, 2 and 4, and never less than what comes before.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{adjusted:?}");
    }

    #[test]
    fn bias_is_told_by_the_standard_error() {
        assert_eq!(estimate(&[0.0, 0.0]).z(), 0.0);
        assert!((estimate(&[1.0, 3.0]).z() - 2.0).abs() < 1e-12);
        assert!(estimate(&[1.0, 1.0]).z().is_infinite());
        assert_eq!(estimate(&[0.0, 0.0]).is_biased(), Some(false));
        assert_eq!(estimate(&[1.0, 1.1]).is_biased(), None);
        let many = |middle: f64| estimate(&[middle - 1.0, middle + 1.0].repeat(BIAS_RUNS / 2));
        assert_eq!((many(0.1).is_biased(), many(1.0).is_biased()), (Some(false), Some(true)));
    }
}
