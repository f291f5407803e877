//! A certificate with its private key: who we are.

use std::sync::Arc;
use std::time::Duration;

use forebay_config::Table;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::TlsError;
use crate::pem::{Reported, Source};
use crate::reload::Reloading;

/// A pair that has been read and found to belong together.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    certificate: Source,
    key: Source,
    reload_interval: Option<Duration>,
    provider: Arc<CryptoProvider>,
    loaded: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads `cert_file`, `cert_pem`, `key_file` and `key_pem`, to be read again every `reload_interval`.
    ///
    /// `None` when there is no pair, which is no mistake here.
    pub(crate) fn read(
        table: &Table<'_>,
        provider: &Arc<CryptoProvider>,
        reload_interval: Option<Duration>,
    ) -> Result<Option<Self>, Reported> {
        let certificate = Source::read(table, "cert_file", "cert_pem");
        let key = Source::read(table, "key_file", "key_pem");
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => {
                table.error("key_file", "a certificate needs its private key: set `key_file` or `key_pem`");
                return Err(Reported);
            }
            (None, Some(_)) => {
                table
                    .error("cert_file", "a private key needs its certificate: set `cert_file` or `cert_pem`");
                return Err(Reported);
            }
            (None, None) => return Ok(None),
        };
        if let Err(error) = certificate.certificates() {
            table.error(if certificate.is_file() { "cert_file" } else { "cert_pem" }, error.to_string());
            return Err(Reported);
        }
        match load(&certificate, &key, provider) {
            Ok(loaded) => {
                let provider = Arc::clone(provider);
                Ok(Some(Self { certificate, key, reload_interval, provider, loaded }))
            }
            Err(error) => {
                table.error(if key.is_file() { "key_file" } else { "key_pem" }, error.to_string());
                Err(Reported)
            }
        }
    }

    /// Presents the pair in handshakes, read again every `reload_interval`.
    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        let Self { certificate, key, provider, .. } = self.clone();
        let every = self.reload_interval.filter(|_| certificate.is_file() || key.is_file());
        let load = move || load(&certificate, &key, &provider);
        Arc::new(Resolver(Reloading::new("TLS certificate", Arc::clone(&self.loaded), every, load)))
    }
}

/// The certificate of the moment, for servers and clients.
#[derive(Debug)]
pub(crate) struct Resolver(Reloading<Arc<CertifiedKey>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _root_hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn load(
    certificate: &Source,
    key: &Source,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificate.certificates()?;
    let private = key.private_key()?;
    match CertifiedKey::from_der(chain, private, provider) {
        Ok(pair) => Ok(Arc::new(pair)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(key.wrong("is not the private key of the certificate"))
        }
        Err(error) => Err(key.wrong(format!("cannot be used with the certificate: {error}"))),
    }
}
