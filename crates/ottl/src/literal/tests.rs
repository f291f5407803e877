use super::*;

#[test]
fn strings_have_the_escapes_of_go() {
    for (text, value) in [
        (r#""""#, ""),
        (r#""a'b""#, "a'b"),
        (r#""\a\b\f\n\r\t\v\\\"""#, "\x07\x08\x0c\n\r\t\x0b\\\""),
        (r#""\x41\101\u00df\U0001F600""#, "AAß😀"),
        (r#""\xff""#, "ÿ"),
        ("\"a\nb\"", "a\nb"),
    ] {
        assert_eq!(string(0, text).as_deref(), Ok(value), "{text}");
    }
    for text in [r#""\d""#, r#""\'""#, r#""\x4""#, r#""\x+4""#, r#""\ud800""#, r#""\400""#, r#""\8""#] {
        assert!(string(0, text).is_err(), "{text}");
    }
}

#[test]
fn numbers_are_read_as_go_reads_them() {
    assert_eq!(int(0, "9223372036854775807"), Ok(i64::MAX));
    assert_eq!(int(0, "017"), Ok(15));
    assert_eq!(int(0, "0"), Ok(0));
    assert!(int(0, "9223372036854775808").is_err());
    assert!(int(0, "09").is_err());
    assert_eq!(float(0, "1.e2"), Ok(100.0));
    assert!(float(0, "1.0e999").is_err());
    assert_eq!(bytes(0, "0x0aFF"), Ok(vec![10, 255]));
    assert!(bytes(0, "0x0").is_err());
}
