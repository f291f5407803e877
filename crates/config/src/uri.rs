//! Where configuration text comes from: `env:NAME`, `file:PATH`, `yaml:TEXT`.
//!
//! The same forms stand behind `--config` and inside `${…}`.

use std::fs::File;
use std::io::{self, Read};

use thiserror::Error;

/// Bytes one source may have. The longest configurations in use are a tenth of it, and reading YAML may
/// take a hundred times its size.
pub(crate) const LARGEST: usize = 1 << 20;

/// Looks up an environment variable.
pub(crate) type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// A parsed reference to text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uri<'u> {
    Env { name: &'u str, default: Option<&'u str> },
    File(&'u str),
    Yaml(&'u str),
}

/// Why a reference yields no text.
#[derive(Debug, Error)]
pub(crate) enum UriError {
    #[error("`{0}` is no name of an environment variable")]
    Name(String),
    #[error("`{0}:` is no source of configuration")]
    Scheme(String),
    #[error("cannot read {path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("{what} is larger than {} MiB", LARGEST >> 20)]
    TooLarge { what: String },
    #[error("{path} is not UTF-8: the first wrong byte is on line {line}")]
    NotUtf8 { path: String, line: usize },
}

impl<'u> Uri<'u> {
    /// `scheme:rest`. Without a scheme, `text` is an environment variable's name.
    pub(crate) fn reference(text: &'u str) -> Result<Self, UriError> {
        match text.split_once(':') {
            None => Self::parse("env", text),
            Some((scheme, rest)) => Self::parse(scheme, rest),
        }
    }

    /// `scheme:rest`. Without a scheme (a Windows drive letter is none), `text` is a path.
    pub(crate) fn config(text: &'u str) -> Result<Self, UriError> {
        match text.split_once(':') {
            Some((scheme, rest)) if scheme.len() != 1 => Self::parse(scheme, rest),
            _ => Ok(Self::File(text)),
        }
    }

    fn parse(scheme: &'u str, rest: &'u str) -> Result<Self, UriError> {
        match scheme {
            "env" => {
                let (name, default) = match rest.split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (rest, None),
                };
                if is_variable(name) {
                    Ok(Self::Env { name, default })
                } else {
                    Err(UriError::Name(name.to_owned()))
                }
            }
            "file" => Ok(Self::File(rest)),
            "yaml" => Ok(Self::Yaml(rest)),
            _ => Err(UriError::Scheme(scheme.to_owned())),
        }
    }

    /// The text; `None` for a variable that is not set and has no default.
    pub(crate) fn retrieve(&self, environment: &Environment<'_>) -> Result<Option<String>, UriError> {
        let text = match *self {
            Self::Env { name, default } => environment(name).or_else(|| default.map(str::to_owned)),
            Self::File(path) => Some(read(path)?),
            Self::Yaml(text) => Some(text.to_owned()),
        };
        match text {
            Some(text) if text.len() > LARGEST => Err(UriError::TooLarge { what: self.describe() }),
            text => Ok(text),
        }
    }

    /// For messages: ``environment variable `TOKEN` ``.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Env { name, .. } => format!("environment variable `{name}`"),
            Self::File(path) => format!("file {path}"),
            Self::Yaml(_) => "inline YAML".to_owned(),
        }
    }

    /// What locations in the text begin with.
    pub(crate) fn source_name(&self) -> String {
        match self {
            Self::Env { name, .. } => format!("env:{name}"),
            Self::File(path) => (*path).to_owned(),
            Self::Yaml(_) => "yaml".to_owned(),
        }
    }
}

impl UriError {
    /// What to do, given what stood behind the scheme.
    pub(crate) fn help(&self, reference: &str) -> Option<String> {
        match self {
            Self::Name(_) => {
                Some("a name has letters, digits and `_` and does not begin with a digit".to_owned())
            }
            Self::Scheme(name) if is_variable(name) && reference.contains(":-") => {
                Some(format!("a default needs the scheme: write `${{env:{reference}}}`"))
            }
            Self::Scheme(name) if name == "http" || name == "https" => {
                Some("fetch it to a file first, and name that".to_owned())
            }
            Self::Scheme(_) => Some("known: env, file, yaml".to_owned()),
            Self::Io { .. } | Self::TooLarge { .. } | Self::NotUtf8 { .. } => None,
        }
    }
}

/// `^[a-zA-Z_][a-zA-Z0-9_]*$`
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A file's text without its byte order mark. Reads no further than the bound, whatever the file is.
fn read(path: &str) -> Result<String, UriError> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(bound).read_to_end(&mut bytes))
        .map_err(|error| UriError::Io { path: path.to_owned(), error })?;
    if bytes.len() > LARGEST {
        return Err(UriError::TooLarge { what: path.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        UriError::NotUtf8 { path: path.to_owned(), line }
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(error: Result<Uri<'_>, UriError>, reference: &str) -> String {
        error.unwrap_err().help(reference).unwrap()
    }

    #[test]
    fn a_bare_word_is_a_variable_in_a_reference_and_a_path_on_the_command_line() {
        assert_eq!(Uri::reference("HOME").unwrap(), Uri::Env { name: "HOME", default: None });
        assert_eq!(Uri::config("HOME").unwrap(), Uri::File("HOME"));
        assert_eq!(Uri::config(r"C:\otel\gateway.yaml").unwrap(), Uri::File(r"C:\otel\gateway.yaml"));
    }

    #[test]
    fn a_default_follows_the_first_colon_dash() {
        assert_eq!(Uri::reference("env:A:-b:-c").unwrap(), Uri::Env { name: "A", default: Some("b:-c") });
        assert_eq!(Uri::reference("env:A:-").unwrap(), Uri::Env { name: "A", default: Some("") });
    }

    #[test]
    fn a_default_without_scheme_says_how_to_write_it() {
        assert_eq!(help(Uri::reference("X:-y"), "X:-y"), "a default needs the scheme: write `${env:X:-y}`");
    }

    #[test]
    fn names_of_variables_are_checked() {
        for name in ["", "1A", "a.b", "a-b", "ä"] {
            assert!(matches!(Uri::parse("env", name), Err(UriError::Name(_))), "{name}");
        }
        assert!(Uri::parse("env", "_a1").is_ok());
    }

    #[test]
    fn http_is_not_fetched() {
        assert_eq!(
            help(Uri::config("https://x/y"), "https://x/y"),
            "fetch it to a file first, and name that"
        );
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = Uri::File("/dev/zero").retrieve(&|_| None).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero is larger than 1 MiB");
    }

    #[test]
    fn a_byte_order_mark_is_dropped_and_bytes_that_are_not_utf_8_are_placed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml").to_str().unwrap().to_owned();
        std::fs::write(&path, "\u{feff}a: 1").unwrap();
        assert_eq!(Uri::File(&path).retrieve(&|_| None).unwrap().unwrap(), "a: 1");
        std::fs::write(&path, b"a: 1\nb: \xff").unwrap();
        let error = Uri::File(&path).retrieve(&|_| None).unwrap_err();
        assert!(error.to_string().ends_with("is not UTF-8: the first wrong byte is on line 2"), "{error}");
    }
}
