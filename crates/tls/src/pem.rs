//! PEM, from a file or from the configuration itself.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use forebay_config::Table;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::TlsError;

/// There was a mistake, and the diagnostics have it.
pub(crate) struct Reported;

/// Where PEM text comes from.
#[derive(Clone)]
pub(crate) enum Source {
    File(PathBuf),
    Text(String),
}

impl Source {
    /// Reads the pair of keys `…_file` and `…_pem`, of which at most one may be set.
    ///
    /// An empty string is the same as no key: `${env:CA_FILE:-}` is a common way to leave one out.
    pub(crate) fn read(table: &Table<'_>, file: &'static str, text: &'static str) -> Option<Self> {
        let path = table.string(file).filter(|path| !path.is_empty());
        let pem = table.string(text).filter(|pem| !pem.is_empty());
        if path.is_some() && pem.is_some() {
            table.error(text, format!("`{file}` and `{text}` exclude each other"));
        }
        path.map(|path| Self::File(path.into())).or(pem.map(Self::Text))
    }

    /// Whether reading again can give something else.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The certificates, at least one, in their order.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes()?).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(self.wrong("holds no PEM certificate")),
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.wrong(format!("is not PEM: {error}"))),
        }
    }

    /// The first private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.bytes()?).map_err(|error| match error {
            pem::Error::NoItemsFound => self.wrong("holds no unencrypted PEM private key"),
            error => self.wrong(format!("is not PEM: {error}")),
        })
    }

    /// Adds the certificates to `roots`; one that is not a usable trust anchor is an error.
    pub(crate) fn add_to(&self, roots: &mut RootCertStore) -> Result<(), TlsError> {
        for certificate in self.certificates()? {
            roots
                .add(certificate)
                .map_err(|error| self.wrong(format!("is not a usable CA certificate: {error}")))?;
        }
        Ok(())
    }

    /// An error about the content, naming where it stands.
    pub(crate) fn wrong(&self, problem: impl Into<String>) -> TlsError {
        let origin = match self {
            Self::File(path) => format!("`{}`", path.display()),
            Self::Text(_) => "the text".to_owned(),
        };
        TlsError::Content { origin, problem: problem.into() }
    }

    fn bytes(&self) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::File(path) => {
                fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
            }
            Self::Text(text) => Ok(text.clone().into_bytes()),
        }
    }
}

/// Text may be a private key, so it is not shown.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}
