//! TLS towards a server.

use std::sync::Arc;

use forebay_config::Table;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::pki_types::ServerName;
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};

use crate::TlsError;
use crate::identity::Identity;
use crate::options::Options;
use crate::pem::Source;
use crate::reload;
use crate::verify::AnyServer;

/// The `tls:` mapping of an exporter.
///
/// The default is TLS 1.2 or 1.3 to a server whose certificate chains to a root of the platform
/// (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), or, on a platform that has none, such as a bare
/// container, to a root of Mozilla's list, which is compiled in.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    insecure: bool,
    insecure_skip_verify: bool,
    ca: Option<Arc<RootCertStore>>,
    include_platform_roots: bool,
    identity: Option<Identity>,
    server_name: Option<String>,
    options: Options,
}

impl ClientTls {
    /// Reads the mapping; every file it names is read and parsed now.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let options = Options::read(table);
        Self {
            insecure: table.bool_or("insecure", false),
            insecure_skip_verify: table.bool_or("insecure_skip_verify", false),
            ca: ca(table),
            include_platform_roots: table.bool_or("include_system_ca_certs_pool", false),
            identity: Identity::read(table, &options.provider, reload::interval(table)).unwrap_or(None),
            server_name: server_name(table),
            options,
        }
    }

    /// Whether to connect without TLS. As in the Collector, a CA makes `insecure` have no effect.
    #[must_use]
    pub fn insecure(&self) -> bool {
        self.insecure && self.ca.is_none() && !self.include_platform_roots
    }

    /// The name to ask for and to verify instead of the endpoint's host.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// What to hand to rustls, offering `alpn` (`h2` for gRPC) in this order.
    ///
    /// # Errors
    /// When cipher suites, versions and curves leave nothing to negotiate.
    pub fn config(&self, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.options.provider))
            .with_protocol_versions(self.options.versions)?;
        let builder = self.verification(builder);
        let mut config = match &self.identity {
            Some(identity) => {
                builder.with_client_cert_resolver(identity.resolver() as Arc<dyn ResolvesClientCert>)
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn verification(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    ) -> ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        if self.insecure_skip_verify {
            let verifier = AnyServer::new(Arc::clone(&self.options.provider));
            return builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        }
        match &self.ca {
            Some(ca) if !self.include_platform_roots => builder.with_root_certificates(Arc::clone(ca)),
            Some(ca) => {
                let mut roots = platform_roots();
                roots.extend(ca.roots.iter().cloned());
                builder.with_root_certificates(roots)
            }
            None => builder.with_root_certificates(platform_roots()),
        }
    }
}

fn ca(table: &Table<'_>) -> Option<Arc<RootCertStore>> {
    let source = Source::read(table, "ca_file", "ca_pem")?;
    let mut roots = RootCertStore::empty();
    match source.add_to(&mut roots) {
        Ok(()) => Some(Arc::new(roots)),
        Err(error) => {
            table.error(if source.is_file() { "ca_file" } else { "ca_pem" }, error.to_string());
            None
        }
    }
}

fn server_name(table: &Table<'_>) -> Option<String> {
    let name = table.string("server_name_override").filter(|name| !name.is_empty())?;
    match ServerName::try_from(name.as_str()) {
        Ok(_) => Some(name),
        Err(_) => {
            table.error("server_name_override", format!("`{name}` is neither a DNS name nor an IP address"));
            None
        }
    }
}

fn platform_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        tracing::info!("the platform has no root certificates; using Mozilla's, which are compiled in");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
