//! Finding `${…}` in a text, and the `$$` that stands for `$`.

/// A stretch of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// Text as it is meant: `$$` has become `$`.
    Literal(String),
    /// What stands between `${` and its `}`; may hold further references.
    Reference(&'t str),
}

/// The pieces of `text`. A `${` that is never closed is literal, as in the Collector.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut done = 0;
    for (start, end) in references(text).closed {
        if done < start {
            pieces.push(Piece::Literal(text[done..start].replace("$$", "$")));
        }
        pieces.push(Piece::Reference(&text[start + 2..end]));
        done = end + 1;
    }
    if done < text.len() {
        pieces.push(Piece::Literal(text[done..].replace("$$", "$")));
    }
    pieces
}

/// Whether a `${` is never closed.
pub(crate) fn has_unclosed(text: &str) -> bool {
    !references(text).unclosed.is_empty()
}

/// Byte positions in a text.
#[derive(Default)]
struct References {
    /// Each outermost `${` and its `}`.
    closed: Vec<(usize, usize)>,
    /// Each `${` without one.
    unclosed: Vec<usize>,
}

/// Pairs every `${` with its `}` in one pass, however they nest.
fn references(text: &str) -> References {
    let bytes = text.as_bytes();
    let References { mut closed, mut unclosed } = References::default();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'$', Some(b'$')) => at += 1,
            (b'$', Some(b'{')) => {
                unclosed.push(at);
                at += 1;
            }
            (b'}', _) => {
                if let Some(start) = unclosed.pop() {
                    // Those inside are not outermost any more.
                    closed.truncate(closed.partition_point(|(earlier, _)| *earlier < start));
                    closed.push((start, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    References { closed, unclosed }
}

#[cfg(test)]
mod tests {
    use super::Piece::{Literal, Reference};
    use super::*;

    fn literal(text: &str) -> Piece<'_> {
        Literal(text.to_owned())
    }

    #[test]
    fn references_stand_alone_or_within_text() {
        assert_eq!(pieces("${env:A}"), [Reference("env:A")]);
        assert_eq!(
            pieces("http://${HOST}:${PORT}/x"),
            [literal("http://"), Reference("HOST"), literal(":"), Reference("PORT"), literal("/x")]
        );
    }

    #[test]
    fn an_inner_reference_stays_in_the_outer_one() {
        assert_eq!(pieces("${env:A:-${env:B}}-"), [Reference("env:A:-${env:B}"), literal("-")]);
        assert_eq!(pieces("${a ${b} ${c}}${d}"), [Reference("a ${b} ${c}"), Reference("d")]);
    }

    #[test]
    fn the_first_brace_closes_the_innermost_reference() {
        assert_eq!(pieces("${env:A:-{b: 1}}"), [Reference("env:A:-{b: 1"), literal("}")]);
    }

    #[test]
    fn a_doubled_dollar_is_a_dollar_and_escapes() {
        assert_eq!(pieces("$$"), [literal("$")]);
        assert_eq!(pieces("$${env:A}"), [literal("${env:A}")]);
        assert_eq!(pieces("$$${env:A}"), [literal("$"), Reference("env:A")]);
        assert_eq!(pieces("$${A} ${B}"), [literal("${A} "), Reference("B")]);
    }

    #[test]
    fn a_dollar_alone_and_an_unclosed_brace_are_text() {
        for text in ["$HOME", "a$", "${env:A", "}", "{}", "$ {A}"] {
            assert_eq!(pieces(text), [literal(text)]);
        }
        assert_eq!(pieces("${a ${b}"), [literal("${a "), Reference("b")]);
        assert!(has_unclosed("${a ${b}"));
        assert!(!has_unclosed("${a} $${b $b"));
    }

    #[test]
    fn a_million_unclosed_references_take_linear_time() {
        let text = "${".repeat(1_000_000);
        assert_eq!(pieces(&text).len(), 1);
        let text = "${}".repeat(1_000_000);
        assert_eq!(pieces(&text).len(), 1_000_000);
    }
}
