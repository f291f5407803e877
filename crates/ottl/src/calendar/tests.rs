use super::*;

#[test]
fn days_and_moments_are_each_others_inverse() {
    for (time, civil) in [
        (0, (1970, 1, 1, 0, 0, 0, 0)),
        (-1, (1969, 12, 31, 23, 59, 59, 999_999_999)),
        (951_782_400 * SECOND, (2000, 2, 29, 0, 0, 0, 0)),
        (1_714_564_801 * SECOND + 5, (2024, 5, 1, 12, 0, 1, 5)),
        (-62_135_596_800 * SECOND, (1, 1, 1, 0, 0, 0, 0)),
        (253_402_300_799 * SECOND, (9999, 12, 31, 23, 59, 59, 0)),
    ] {
        let (year, month, day, hour, minute, second, nanosecond) = civil;
        let civil = Civil { year, month, day, hour, minute, second, nanosecond };
        assert_eq!(Civil::of(time), civil);
        assert_eq!(civil.time(), time);
    }
    for day in -1_000_000..1_000_000 {
        let time = day * DAY * SECOND;
        assert_eq!(Civil::of(time).time(), time);
    }
}

#[test]
fn what_the_calendar_lacks_does_not_exist() {
    let civil = Civil { year: 2023, month: 2, day: 28, hour: 0, minute: 0, second: 0, nanosecond: 0 };
    assert!(civil.exists());
    assert!(!Civil { day: 29, ..civil }.exists());
    assert!(Civil { year: 2024, day: 29, ..civil }.exists());
    assert!(!Civil { month: 13, ..civil }.exists());
    assert!(!Civil { day: 0, ..civil }.exists());
    assert!(!Civil { hour: 24, ..civil }.exists());
    assert!(!Civil { second: 60, ..civil }.exists());
}

#[test]
fn moments_are_written_as_go_writes_them() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(1_714_564_801 * SECOND + 250_000_000), "2024-05-01T12:00:01.25Z");
    assert_eq!(weekday(1_714_564_801 * SECOND), 3);
    assert_eq!(weekday(-1), 3);
}
