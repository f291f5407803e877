//! Whom to believe: a client CA that can be reloaded, and the server verifier that believes anybody.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::TlsError;
use crate::pem::Source;
use crate::reload::Reloading;

/// The CA that clients' certificates must chain to.
#[derive(Clone, Debug)]
pub(crate) struct ClientCa {
    source: Source,
    every: Option<Duration>,
    provider: Arc<CryptoProvider>,
    loaded: Arc<dyn ClientCertVerifier>,
}

impl ClientCa {
    /// Reads `source` now, and its verifier reads it again every `every`.
    pub(crate) fn load(
        source: Source,
        every: Option<Duration>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let loaded = load(&source, &provider)?;
        Ok(Self { source, every, provider, loaded })
    }

    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let Self { source, every, provider, loaded } = self.clone();
        if every.is_none() {
            return loaded;
        }
        let schemes = loaded.supported_verify_schemes();
        let delegate = Reloading::new("client CA", loaded, every, move || load(&source, &provider));
        Arc::new(ReloadingClients { delegate, schemes })
    }
}

fn load(source: &Source, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    source.add_to(&mut roots)?;
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()?)
}

/// Asks the verifier of the moment.
#[derive(Debug)]
struct ReloadingClients {
    delegate: Reloading<Arc<dyn ClientCertVerifier>>,
    schemes: Vec<SignatureScheme>,
}

impl ClientCertVerifier for ReloadingClients {
    /// No hints: the names of the CAs may change while the server lives.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.delegate.current().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.delegate.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.delegate.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// `insecure_skip_verify`: any certificate will do, but its owner must still hold the key.
#[derive(Debug)]
pub(crate) struct AnyServer(Arc<CryptoProvider>);

impl AnyServer {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self(provider)
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
