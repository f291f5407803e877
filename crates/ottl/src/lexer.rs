//! A condition's text as tokens.
//!
//! The tokens are those of the Collector's lexer, but for one liberty: a word is one token whatever its case.

use winnow::ascii::{digit0, digit1, hex_digit1, multispace0};
use winnow::combinator::{alt, eof, opt, preceded, repeat, repeat_till, terminated};
use winnow::error::ModalResult;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, none_of, one_of, take_while};
use winnow::{Parser, error::ErrMode};

use crate::error::Mistake;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `0x0a1b`
    Bytes,
    /// `1.5`, `.5e3`
    Float,
    /// `15`
    Int,
    /// `"text"`, quotes and escapes as written.
    String,
    /// A keyword, an enum's member, a function, a segment of a path.
    Word,
    /// An operator or a bracket.
    Symbol,
}

/// A piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s str,
    /// Where it starts.
    pub(crate) at: usize,
}

/// Operators and brackets of one character.
const SYMBOLS: [char; 16] = ['>', '<', '+', '-', '*', '/', '=', '(', ')', '{', '}', ':', ',', '.', '[', ']'];

type Source<'s> = LocatingSlice<&'s str>;
type Result<T> = ModalResult<T, Mistake>;

/// All tokens of a text.
pub(crate) fn tokens(source: &str) -> std::result::Result<Vec<Token<'_>>, Mistake> {
    preceded(multispace0, repeat_till(0.., terminated(token, multispace0), eof))
        .map(|(tokens, _)| tokens)
        .parse_next(&mut LocatingSlice::new(source))
        .map_err(|error| error.into_inner().unwrap_or(Mistake::unexpected(source.len())))
}

/// The first token, or character, of a text.
pub(crate) fn first(text: &str) -> &str {
    let token = token(&mut LocatingSlice::new(text)).map(|token| token.text);
    token.unwrap_or_else(|_| &text[..text.chars().next().map_or(0, char::len_utf8)])
}

fn token<'s>(input: &mut Source<'s>) -> Result<Token<'s>> {
    let at = input.current_token_start();
    let (kind, text) = alt((
        ("0x", hex_digit1).take().map(|text| (Kind::Bytes, text)),
        float.map(|text| (Kind::Float, text)),
        digit1.map(|text| (Kind::Int, text)),
        string.map(|text| (Kind::String, text)),
        word.map(|text| (Kind::Word, text)),
        symbol.map(|text| (Kind::Symbol, text)),
    ))
    .parse_next(input)?;
    Ok(Token { kind, text, at })
}

fn float<'s>(input: &mut Source<'s>) -> Result<&'s str> {
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    (alt(((digit1, '.', digit0), (digit0, '.', digit1))), opt(exponent)).take().parse_next(input)
}

fn string<'s>(input: &mut Source<'s>) -> Result<&'s str> {
    let at = input.current_token_start();
    let characters = repeat::<_, _, (), _, _>(0.., alt((none_of(['\\', '"']).void(), ('\\', any).void())));
    let ((.., end), text) = ('"', characters, opt('"')).with_taken().parse_next(input)?;
    match end {
        Some(_) => Ok(text),
        None => {
            Err(ErrMode::Cut(Mistake::new(at, "string without an end").with_help("strings end with `\"`")))
        }
    }
}

fn word<'s>(input: &mut Source<'s>) -> Result<&'s str> {
    take_while(1.., ('a'..='z', 'A'..='Z', '0'..='9', '_')).parse_next(input)
}

fn symbol<'s>(input: &mut Source<'s>) -> Result<&'s str> {
    let two = alt(("==", "!=", ">=", "<=", "=>"));
    alt((two, one_of(SYMBOLS).take())).parse_next(input)
}

#[cfg(test)]
mod tests;
