use super::*;

#[test]
fn a_text_is_cut_into_tokens() {
    let texts =
        |source| tokens(source).map(|tokens| tokens.iter().map(|token| token.text).collect::<Vec<_>>());
    for (source, wanted) in [
        ("", vec![]),
        ("  \t\n ", vec![]),
        (" a.b[0] ", vec!["a", ".", "b", "[", "0", "]"]),
        (
            "a>=b<=c==d!=e<f>g=h",
            vec!["a", ">=", "b", "<=", "c", "==", "d", "!=", "e", "<", "f", ">", "g", "=", "h"],
        ),
        ("3*-5", vec!["3", "*", "-", "5"]),
        ("1.5e3 .5 2. 1e5", vec!["1.5e3", ".5", "2.", "1", "e5"]),
        ("0xab 0x", vec!["0xab", "0", "x"]),
        (r#""a\"b" "" "\\""#, vec![r#""a\"b""#, r#""""#, r#""\\""#]),
        ("android or oreo", vec!["android", "or", "oreo"]),
    ] {
        assert_eq!(texts(source).as_deref(), Ok(&*wanted), "{source}");
    }
}

#[test]
fn what_is_no_token_is_found() {
    for (source, at) in [("a | b", 2), ("a 'b'", 2), ("é", 0), ("a \"b", 2), (r#"a "\"#, 2)] {
        let mistake = tokens(source).expect_err(source).locate(source);
        assert_eq!(mistake.column, at + 1, "{source}");
    }
}
