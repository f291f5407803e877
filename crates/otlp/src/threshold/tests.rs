use proptest::prelude::*;

use super::*;

fn th(probability: f64, precision: u32) -> String {
    Threshold::from_probability(probability, precision).unwrap().to_string()
}

#[test]
fn probabilities_round_to_the_collectors_thresholds() {
    for (probability, precision, expected) in [
        (1.0, 4, "0"),
        (0.25, 4, "c"),
        (0.1, 4, "e666"),
        (0.01, 4, "fd70a"),
        (0.001, 4, "ffbe77"),
        (1.0 / 3.0, 3, "aab"),
        (2.0 / 3.0, 3, "555"),
        (1.0 / 3.0, 14, "aaaaaaaaaaaaac"),
        (0.4, 14, "99999999999998"),
    ] {
        assert_eq!(th(probability, precision), expected, "{probability} to {precision} digits");
    }
}

/// Eight is half of sixteen: hex rounds up from 8.
#[test]
fn a_half_rounds_up_and_leading_zeros_and_fs_are_free() {
    let hex = |numerator: u64, bits: i32| numerator as f64 * 2_f64.powi(-bits);
    let rejected = 1.0 - hex(0x456_789a, 28);
    let expected = ["4", "45", "456", "4568", "45679", "45678a", "456789a"];
    assert_eq!((1..=7).map(|precision| th(rejected, precision)).collect::<Vec<_>>(), expected);

    let small = 1.0 - hex(0x456_789a, 40);
    let expected = ["0004", "00045", "000456", "0004568", "00045679", "00045678a", "000456789a"];
    assert_eq!((1..=7).map(|precision| th(small, precision)).collect::<Vec<_>>(), expected);

    assert_eq!(th(1.0 - hex(0x80801, 28), 1), "008");
    assert_eq!(th(1.0 - hex(0x80801, 28), 3), "00808");
    for (kept, expected) in
        [(1, "ffffffffffffff"), (3, "fffffffffffffd"), (8, "fffffffffffff8"), (16, "fffffffffffff")]
    {
        assert_eq!(th(hex(kept, 56), 3), expected);
    }
}

#[test]
fn probabilities_and_precisions_out_of_range_are_refused() {
    for probability in [0.0, -0.5, 1.000_001, f64::NAN, f64::INFINITY, 2_f64.powi(-57)] {
        let error = Threshold::from_probability(probability, 4).unwrap_err();
        assert!(matches!(error, ProbabilityError::Range(_)), "{error}");
    }
    for precision in [0, 15] {
        assert_eq!(Threshold::from_probability(0.5, precision), Err(ProbabilityError::Precision(precision)));
    }
}

#[test]
fn what_is_not_lower_case_hex_of_the_right_length_is_refused() {
    for text in ["", "C", "0x1", "+1", " 1", "123456789abcdef", "ä"] {
        assert_eq!(text.parse::<Threshold>(), Err(ThresholdError), "{text:?}");
    }
    for text in ["", "123456789abcd", "123456789abcdef", "123456789abcdE", "1234567 9abcde"] {
        assert_eq!(text.parse::<Randomness>(), Err(RandomnessError), "{text:?}");
    }
}

#[test]
fn trailing_zeros_are_read_back_and_never_written() {
    assert_eq!("c".parse(), Ok(Threshold(0xc0_0000_0000_0000)));
    assert_eq!("c0".parse::<Threshold>().unwrap().to_string(), "c");
    assert_eq!("00000000000000".parse(), Ok(Threshold::ALWAYS));
    assert_eq!(Threshold::ALWAYS.to_string(), "0");
}

#[test]
fn randomness_is_the_last_seven_bytes_of_the_trace_id() {
    let id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    assert_eq!(Randomness::from_trace_id(id).to_string(), "99aabbccddeeff");
}

#[test]
fn a_trace_is_kept_from_its_threshold_on() {
    let threshold = Threshold(100);
    assert!(!threshold.keeps(Randomness(99)));
    assert!(threshold.keeps(Randomness(100)));
    assert!(Threshold::ALWAYS.keeps(Randomness(0)));
    assert!("c".parse::<Threshold>().unwrap() > Threshold::ALWAYS);
}

#[test]
fn a_quarter_counts_four_times() {
    let quarter: Threshold = "c".parse().unwrap();
    assert_eq!((quarter.probability(), quarter.adjusted_count()), (0.25, 4.0));
    assert_eq!((Threshold::ALWAYS.probability(), Threshold::ALWAYS.adjusted_count()), (1.0, 1.0));
    assert_eq!(Threshold(RANGE - 1).adjusted_count(), RANGE as f64);
}

proptest! {
    #[test]
    fn thresholds_and_randomness_survive_their_text(value in 0..RANGE) {
        prop_assert_eq!(Threshold(value).to_string().parse(), Ok(Threshold(value)));
        prop_assert_eq!(Randomness(value).to_string().parse(), Ok(Randomness(value)));
    }

    #[test]
    fn rounding_stays_within_its_digit(exponent in -56.0..0.0_f64, precision in 1..=14_u32) {
        let probability = exponent.exp2();
        let threshold = Threshold::from_probability(probability, precision).unwrap();
        prop_assert!(threshold.get() < RANGE);
        // The significant part is at least the distance from the nearer end, and has `precision`
        // digits.
        let error = (threshold.probability() - probability).abs();
        let scale = probability.min(1.0 - probability);
        prop_assert!(error <= (scale * 16_f64.powi(1 - precision.cast_signed())).max(2_f64.powi(-56)), "{}", error / scale);
    }
}
