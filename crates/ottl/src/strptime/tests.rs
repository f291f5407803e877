use super::*;
use crate::calendar::rfc3339;

fn read(text: &str, format: &str) -> Option<String> {
    assert_eq!(check(format.as_bytes()), Ok(()), "{format}");
    parse(text.as_bytes(), format.as_bytes()).ok().map(rfc3339)
}

#[test]
fn times_are_read_by_their_format() {
    for (text, format, time) in [
        ("2024-05-01", "%Y-%m-%d", "2024-05-01T00:00:00Z"),
        ("2024-05-01T12:00:00", "%FT%T", "2024-05-01T12:00:00Z"),
        ("2024-05-01T12:00:00.25", "%FT%T", "2024-05-01T12:00:00.25Z"),
        ("2024-05-01T12:00:00.25Z", "%Y-%m-%dT%H:%M:%S.%LZ", "2024-05-01T12:00:00.25Z"),
        ("2024-05-01T12:00:00+02:00", "%Y-%m-%dT%H:%M:%S%j", "2024-05-01T10:00:00Z"),
        ("2024-05-01T12:00:00-0130", "%Y-%m-%dT%H:%M:%S%z", "2024-05-01T13:30:00Z"),
        ("2024-05-01T12:00:00Z", "%Y-%m-%dT%H:%M:%S%z", "2024-05-01T12:00:00Z"),
        ("Wed May 01 09:08:07 2024", "%c", "2024-05-01T09:08:07Z"),
        ("1 February 99", "%e %B %y", "1999-02-01T00:00:00Z"),
        ("05/06/2024 12:01 AM", "%D %I:%M %p", "2024-05-06T00:01:00Z"),
        ("05/06/2024 1:01 pm", "%D %I:%M %P", "2024-05-06T13:01:00Z"),
        ("2024-05-01 12:00 UTC", "%F %R %Z", "2024-05-01T12:00:00Z"),
        ("100% 2024", "100%% %Y", "2024-01-01T00:00:00Z"),
    ] {
        assert_eq!(read(text, format).as_deref(), Some(time), "{text} by {format}");
    }
}

#[test]
fn texts_of_another_format_are_errors() {
    for (text, format) in [
        ("", "%Y"),
        ("202", "%Y"),
        ("2024-13-01", "%F"),
        ("2023-02-29", "%F"),
        ("2024-05-01 ", "%F"),
        ("2024-05-01 25:00", "%F %R"),
        ("1 Foo 2024", "%d %b %Y"),
        ("2024 CEST", "%Y %Z"),
    ] {
        assert_eq!(read(text, format), None, "{text} by {format}");
    }
}

#[test]
fn formats_are_checked_beforehand() {
    for (format, mistake) in [
        ("%Q", "unknown directive `%Q` in a time's format"),
        ("%Y%", "format ends in `%`"),
        ("%H:%M", "a time's format needs a year, such as `%Y`"),
    ] {
        assert_eq!(check(format.as_bytes()), Err(mistake.to_owned()));
    }
}
