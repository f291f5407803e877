use super::*;

#[test]
fn classes_are_of_ascii_as_in_go() {
    for (pattern, text, matches) in [
        (r"^\d+$", "123", true),
        (r"^\d+$", "١٢٣", false),
        (r"^\D+$", "١٢٣", true),
        (r"^\w+$", "straße", false),
        (r"^[\w ß]+$", "straße 5", true),
        (r"^\W$", "ß", true),
        (r"\s", "\u{b}", false),
        (r"^\S$", "\u{b}", true),
        (r"a\b", "aß", true),
        (r"^\pL+$", "straße", true),
        ("(?i)^STRASSE$", "strasse", true),
    ] {
        assert_eq!(compile(pattern).unwrap().is_match(text.as_bytes()), matches, "{pattern} on {text}");
    }
}

#[test]
fn brackets_hold_characters_as_in_go() {
    for (pattern, text) in [
        (r"^[[]$", "["),
        (r"^[]]$", "]"),
        (r"^[^]]$", "a"),
        (r"^[[a]b]$", "[b]"),
        (r"^[a&&b]$", "&"),
        (r"^[~~]$", "~"),
        (r"^[[:alpha:]&]$", "&"),
        (r"^[\[\]]$", "]"),
        (r"^[\d.]+$", "1.5"),
        (r"^\Qa.b[\E$", "a.b["),
        (r"^\Q(", "("),
    ] {
        assert!(compile(pattern).unwrap().is_match(text.as_bytes()), "{pattern} on {text}");
    }
}

#[test]
fn braces_and_numbers_are_as_in_go() {
    for (pattern, text) in [
        ("^/cart/{id}$", "/cart/{id}"),
        ("^a{,2}$", "a{,2}"),
        ("^a{2}b{1,}c{0,1}$", "aabb"),
        ("^{$", "{"),
        (r"^\p{Greek}\x{6f}\x6f$", "Ωoo"),
        (r"^\101\0$", "A\0"),
        (r"^[{\101}]+$", "{A}"),
    ] {
        assert!(compile(pattern).unwrap().is_match(text.as_bytes()), "{pattern} on {text}");
    }
    assert!(compile(r"(a)\1").is_err());
}

#[test]
fn patterns_that_do_not_compile_say_why() {
    for pattern in ["(", "a{1001}{1001}", "[b-a]", r"\", "(?P<n", "*"] {
        assert!(
            matches!(compile(pattern), Err(EvalError::Pattern(reason)) if !reason.contains('\n')),
            "{pattern}"
        );
    }
}
