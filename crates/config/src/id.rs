//! The ids of components and pipelines: `type` or `type/name`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Characters a type may have.
const LONGEST_KIND: usize = 63;

/// Characters a name may have.
const LONGEST_NAME: usize = 1024;

/// What a configuration calls a component: its type and, to tell several of one type apart, a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    /// The type: `otlp`, `tail_sampling`, or a pipeline's signal.
    pub kind: String,
    /// What follows the first slash; it may hold further ones.
    pub name: Option<String>,
}

/// Why a text is no [`ComponentId`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IdError {
    /// Nothing, or only spaces.
    #[error("an id must not be empty: write `type` or `type/name`")]
    Empty,
    /// `/name`.
    #[error("the type is missing before the `/` in `{0}`")]
    NoKind(String),
    /// `type/`.
    #[error("the name is missing after the `/` in `{0}`: write one, or leave out the `/`")]
    NoName(String),
    /// Something else than letters, digits and `_`, or too long.
    #[error("`{0}` is no type: it begins with a letter and has letters, digits and `_`, 63 at most")]
    Kind(String),
    /// Spaces, control characters, symbols, or too long.
    #[error(
        "`{0}` is no name: it has no spaces, controls and symbols ($ + < = > ^ ` | ~), 1024 characters at most"
    )]
    Name(String),
}

impl FromStr for ComponentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.trim(), Some(name.trim())),
            None => (text.trim(), None),
        };
        match (kind, name) {
            ("", None) => Err(IdError::Empty),
            ("", Some(_)) => Err(IdError::NoKind(text.to_owned())),
            (_, Some("")) => Err(IdError::NoName(text.to_owned())),
            (kind, _) if !is_kind(kind) => Err(IdError::Kind(kind.to_owned())),
            (_, Some(name)) if !is_name(name) => Err(IdError::Name(name.to_owned())),
            (kind, name) => Ok(Self { kind: kind.to_owned(), name: name.map(str::to_owned) }),
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// `^[a-zA-Z][0-9a-zA-Z_]{0,62}$`
fn is_kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= LONGEST_KIND
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `^[^\pZ\pC\pS]+$`, without the symbols beyond ASCII.
fn is_name(text: &str) -> bool {
    text.chars().nth(LONGEST_NAME).is_none()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "$+<=>^`|~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ComponentId, IdError> {
        text.parse()
    }

    #[test]
    fn a_type_with_or_without_name() {
        assert_eq!(parsed("otlp").unwrap(), ComponentId { kind: "otlp".to_owned(), name: None });
        let named = ComponentId { kind: "tail_sampling".to_owned(), name: Some("slow-1.eu".to_owned()) };
        assert_eq!(parsed(" tail_sampling / slow-1.eu "), Ok(named));
    }

    #[test]
    fn a_name_may_hold_slashes_as_in_the_collector() {
        assert_eq!(parsed("otlp/a/b").unwrap().name.as_deref(), Some("a/b"));
    }

    #[test]
    fn display_is_the_inverse() {
        for text in ["otlp", "otlp/a", "otlp/a/b"] {
            assert_eq!(parsed(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_id_is_told_apart() {
        assert_eq!(parsed(" "), Err(IdError::Empty));
        assert_eq!(parsed("/a"), Err(IdError::NoKind("/a".to_owned())));
        assert_eq!(parsed("otlp/"), Err(IdError::NoName("otlp/".to_owned())));
        for kind in ["1otlp", "ot lp", "otlp-http", "ötlp", &"a".repeat(64)] {
            assert_eq!(parsed(kind), Err(IdError::Kind(kind.to_owned())));
        }
        for name in ["a b", "a\u{7}", "a+b", "a$", &"a".repeat(1025)] {
            assert_eq!(parsed(&format!("otlp/{name}")), Err(IdError::Name(name.to_owned())));
        }
    }
}
