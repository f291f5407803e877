use super::*;

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, nanoseconds) in [
        ("0", 0),
        ("+0", 0),
        ("5s", 5_000_000_000),
        ("-1.5h", -5_400_000_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("1µs2μs", 3_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("0.3333333333333333333h", 1_200_000_000_000 - 1),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
        ("39h9m14.425s", 140_954_425_000_000),
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(nanoseconds), "{text}");
    }
}

#[test]
fn what_go_does_not_read_is_an_error() {
    for text in
        ["", "3", "-", "s", ".", ".s", "1x", "1 s", "--1s", "9223372036854775808ns", "3000000h", "1s1"]
    {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(parse(&[0xff]).is_err());
    assert!(parse("9".repeat(100).as_bytes()).is_err());
}
