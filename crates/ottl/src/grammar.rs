//! The grammar of conditions.
//!
//! The Collector's grammar tells values from truths and tries one after the other, which with nested
//! parentheses takes time exponential in their depth. This one has a single ladder of precedence, needs no
//! second try, and leaves it to `compile` to say that `not attributes["x"]` lacks a comparison. Nesting is
//! bounded, and everything that may repeat without nesting is a list, so that no text overflows the stack.

use winnow::combinator::{cut_err, eof, opt, repeat};
use winnow::error::{ErrMode, ModalResult};
use winnow::stream::{Stateful, Stream, TokenSlice};
use winnow::token::any;
use winnow::{Parser, combinator::preceded};

use crate::arithmetic::Operator;
use crate::ast::{Argument, Call, Expr, Kind, Segment};
use crate::compare::Comparison;
use crate::error::Mistake;
use crate::lexer::{self, Token};
use crate::literal;

/// What is left to read.
pub(crate) type Tokens<'t, 's> = Stateful<TokenSlice<'t, Token<'s>>, State>;

/// What the parser keeps in mind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// How many brackets are open.
    depth: usize,
    /// Where the text ends.
    end: usize,
}

type Result<T> = ModalResult<T, Mistake>;

/// Open brackets at a time; each takes a few stack frames here, in the compiler and in evaluation.
const MAX_DEPTH: usize = 64;
const KEYWORDS: [&str; 6] = ["and", "or", "not", "nil", "true", "false"];

/// Parses a whole condition.
pub(crate) fn parse(source: &str) -> std::result::Result<Expr<'_>, Mistake> {
    let tokens = lexer::tokens(source)?;
    let state = State { depth: 0, end: source.len() };
    let mut input = Stateful { input: TokenSlice::new(&tokens), state };
    let parsed = (disjunction, eof).map(|(expr, _)| expr).parse_next(&mut input);
    parsed.map_err(|error| error.into_inner().unwrap_or(Mistake::unexpected(source.len())))
}

fn disjunction<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    joined(input, conjunction, "or", Kind::Or)
}

fn conjunction<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    joined(input, negation, "and", Kind::And)
}

fn joined<'t, 's>(
    input: &mut Tokens<'t, 's>,
    operand: fn(&mut Tokens<'t, 's>) -> Result<Expr<'s>>,
    keyword: &'static str,
    join: fn(Vec<Expr<'s>>) -> Kind<'s>,
) -> Result<Expr<'s>> {
    let at = position(input);
    let first = operand(input)?;
    let mut operands = Vec::new();
    while opt(word(keyword)).parse_next(input)?.is_some() {
        operands.push(cut_err(operand).parse_next(input)?);
    }
    if operands.is_empty() {
        return Ok(first);
    }
    operands.insert(0, first);
    Ok(Expr { at, kind: join(operands) })
}

fn negation<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    let at = position(input);
    let negated = opt(word("not")).parse_next(input)?.is_some();
    let operand = comparison(input)?;
    Ok(if negated { Expr { at, kind: Kind::Not(Box::new(operand)) } } else { operand })
}

fn comparison<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    let at = position(input);
    let left = sum(input)?;
    let symbol = any.verify_map(|token: &Token<'_>| Comparison::from_symbol(token.text));
    let Some(operator) = opt(symbol).parse_next(input)? else {
        return Ok(left);
    };
    let right = cut_err(sum).parse_next(input)?;
    Ok(Expr { at, kind: Kind::Compare(Box::new(left), operator, Box::new(right)) })
}

fn sum<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    chain(input, product, &[Operator::Add, Operator::Subtract])
}

fn product<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    chain(input, signed, &[Operator::Multiply, Operator::Divide])
}

fn chain<'t, 's>(
    input: &mut Tokens<'t, 's>,
    operand: fn(&mut Tokens<'t, 's>) -> Result<Expr<'s>>,
    operators: &[Operator],
) -> Result<Expr<'s>> {
    let at = position(input);
    let first = operand(input)?;
    let operator = any.verify_map(|token: &Token<'_>| {
        operators.iter().copied().find(|operator| operator.symbol() == token.text)
    });
    let rest: Vec<_> = repeat(0.., (operator, cut_err(operand))).parse_next(input)?;
    Ok(if rest.is_empty() { first } else { Expr { at, kind: Kind::Arithmetic(Box::new(first), rest) } })
}

fn signed<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    let at = position(input);
    if opt(symbol("-")).parse_next(input)?.is_some() {
        let operand = primary(input)?;
        let kind = match operand.kind {
            Kind::Int(number) => Kind::Int(number.wrapping_neg()),
            Kind::Float(number) => Kind::Float(-number),
            _ => Kind::Negate(Box::new(operand)),
        };
        return Ok(Expr { at, kind });
    }
    opt(symbol("+")).parse_next(input)?;
    primary(input)
}

fn primary<'s>(input: &mut Tokens<'_, 's>) -> Result<Expr<'s>> {
    let start = input.checkpoint();
    let token = any.parse_next(input)?;
    let (at, text) = (token.at, token.text);
    let kind = match (token.kind, text) {
        (lexer::Kind::Bytes, _) => Kind::Bytes(literal::bytes(at, text).map_err(ErrMode::Cut)?),
        (lexer::Kind::Float, _) => Kind::Float(literal::float(at, text).map_err(ErrMode::Cut)?),
        (lexer::Kind::Int, _) => Kind::Int(literal::int(at, text).map_err(ErrMode::Cut)?),
        (lexer::Kind::String, _) => Kind::String(literal::string(at, text).map_err(ErrMode::Cut)?),
        (lexer::Kind::Word, "nil") => Kind::Nil,
        (lexer::Kind::Word, "true") => Kind::Bool(true),
        (lexer::Kind::Word, "false") => Kind::Bool(false),
        (lexer::Kind::Word, name) if !KEYWORDS.contains(&name) => return named(input, at, name),
        (lexer::Kind::Symbol, "(") => {
            return nested(input, |input| {
                (disjunction, symbol(")")).map(|(inner, _)| inner).parse_next(input)
            });
        }
        (lexer::Kind::Symbol, "[") => Kind::List(nested(input, |input| items(input, disjunction, "]"))?),
        (lexer::Kind::Symbol, "{") => nested(input, |input| {
            let entries = repeat(0.., (map_entry, opt(symbol(","))).map(|(entry, _)| entry));
            (entries, symbol("}")).map(|(entries, _)| Kind::Map(entries)).parse_next(input)
        })?,
        _ => {
            input.reset(&start);
            return Err(ErrMode::Backtrack(Mistake::unexpected(at)));
        }
    };
    Ok(Expr { at, kind })
}

fn map_entry<'s>(input: &mut Tokens<'_, 's>) -> Result<(String, Expr<'s>)> {
    let key = any.verify(|token: &Token<'_>| token.kind == lexer::Kind::String).parse_next(input)?;
    let key = literal::string(key.at, key.text).map_err(ErrMode::Cut)?;
    let value = cut_err(preceded(symbol(":"), sum)).parse_next(input)?;
    Ok((key, value))
}

/// What starts with a word: a call, an enum's member or a path.
fn named<'s>(input: &mut Tokens<'_, 's>, at: usize, name: &'s str) -> Result<Expr<'s>> {
    if opt(symbol("(")).parse_next(input)?.is_some() {
        let arguments = nested(input, |input| items(input, argument, ")"))?;
        return Ok(Expr { at, kind: Kind::Call(Call { name, arguments, keys: keys(input)? }) });
    }
    if name.starts_with(|first: char| first.is_ascii_uppercase()) {
        return Ok(Expr { at, kind: Kind::Enum(name) });
    }
    let mut segments = vec![Segment { at, name, keys: keys(input)? }];
    while opt(symbol(".")).parse_next(input)?.is_some() {
        let next = any.verify(|token: &Token<'_>| token.kind == lexer::Kind::Word).parse_next(input)?;
        segments.push(Segment { at: next.at, name: next.text, keys: keys(input)? });
    }
    Ok(Expr { at, kind: Kind::Path(segments) })
}

fn argument<'s>(input: &mut Tokens<'_, 's>) -> Result<Argument<'s>> {
    let name = any.verify(|token: &Token<'_>| token.kind == lexer::Kind::Word);
    let name = opt((name, symbol("=")).map(|(name, _)| name.text)).parse_next(input)?;
    Ok(Argument { name, value: disjunction(input)? })
}

/// Items with commas between, up to the closing bracket.
fn items<'t, 's, T>(
    input: &mut Tokens<'t, 's>,
    item: fn(&mut Tokens<'t, 's>) -> Result<T>,
    close: &'static str,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    while opt(symbol(close)).parse_next(input)?.is_none() {
        if !items.is_empty() {
            symbol(",").parse_next(input)?;
        }
        items.push(item(input)?);
    }
    Ok(items)
}

fn keys<'s>(input: &mut Tokens<'_, 's>) -> Result<Vec<Expr<'s>>> {
    let mut keys = Vec::new();
    while opt(symbol("[")).parse_next(input)?.is_some() {
        keys.push(nested(input, |input| (sum, symbol("]")).map(|(key, _)| key).parse_next(input))?);
    }
    Ok(keys)
}

/// Reads what stands after an opening bracket. What goes wrong in there is final.
fn nested<'t, 's, T>(
    input: &mut Tokens<'t, 's>,
    read: impl FnOnce(&mut Tokens<'t, 's>) -> Result<T>,
) -> Result<T> {
    if input.state.depth == MAX_DEPTH {
        let mistake = Mistake::new(position(input), format!("more than {MAX_DEPTH} brackets are open"));
        return Err(ErrMode::Cut(mistake));
    }
    input.state.depth += 1;
    let read = read(input).map_err(ErrMode::cut);
    input.state.depth -= 1;
    read
}

/// Where the next token starts.
pub(crate) fn position(input: &Tokens<'_, '_>) -> usize {
    input.first().map_or(input.state.end, |token| token.at)
}

fn symbol<'t, 's: 't>(text: &'static str) -> impl Parser<Tokens<'t, 's>, (), ErrMode<Mistake>> {
    any.verify(move |token: &Token<'s>| token.kind == lexer::Kind::Symbol && token.text == text).void()
}

fn word<'t, 's: 't>(text: &'static str) -> impl Parser<Tokens<'t, 's>, (), ErrMode<Mistake>> {
    any.verify(move |token: &Token<'s>| token.kind == lexer::Kind::Word && token.text == text).void()
}
