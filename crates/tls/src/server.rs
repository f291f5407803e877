//! TLS towards clients.

use std::sync::Arc;
use std::time::Duration;

use forebay_config::Table;
use rustls::server::{ResolvesServerCert, ServerConfig};

use crate::TlsError;
use crate::identity::Identity;
use crate::options::Options;
use crate::pem::{Reported, Source};
use crate::reload;
use crate::verify::ClientCa;

/// How often a client CA with `client_ca_file_reload` is read again when there is no `reload_interval`.
const CLIENT_CA_RELOAD: Duration = Duration::from_secs(10);

/// The `tls:` mapping of a receiver or an extension.
#[derive(Clone, Debug)]
pub struct ServerTls {
    identity: Identity,
    client_ca: Option<ClientCa>,
    options: Options,
}

impl ServerTls {
    /// Reads the mapping; every file it names is read and parsed now. `None` after a reported mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let options = Options::read(table);
        let interval = reload::interval(table);
        table.accept("ca_file", "a server verifies clients by `client_ca_file`");
        table.accept("ca_pem", "a server verifies clients by `client_ca_file`");
        table.accept("include_system_ca_certs_pool", "a server verifies clients by `client_ca_file`");
        let client_ca = client_ca(table, &options, interval);
        let identity = Identity::read(table, &options.provider, interval);
        if let Ok(None) = identity {
            table.error("cert_file", "a TLS server needs a certificate: set `cert_file` and `key_file`");
        }
        Some(Self { identity: identity.ok()??, client_ca: client_ca.ok()?, options })
    }

    /// What to hand to rustls, accepting `alpn` in this order of preference.
    ///
    /// # Errors
    /// When cipher suites, versions and curves leave nothing to negotiate.
    pub fn config(&self, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.options.provider))
            .with_protocol_versions(self.options.versions)?;
        let builder = match &self.client_ca {
            Some(ca) => builder.with_client_cert_verifier(ca.verifier()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(self.identity.resolver() as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// `None` without mTLS. A broken CA is a mistake, never a server that does not verify.
fn client_ca(
    table: &Table<'_>,
    options: &Options,
    interval: Option<Duration>,
) -> Result<Option<ClientCa>, Reported> {
    let reload = table.bool_or("client_ca_file_reload", false);
    let every = reload.then(|| interval.unwrap_or(CLIENT_CA_RELOAD));
    let Some(path) = table.string("client_ca_file").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    match ClientCa::load(Source::File(path.into()), every, Arc::clone(&options.provider)) {
        Ok(ca) => Ok(Some(ca)),
        Err(error) => {
            table.error("client_ca_file", error.to_string());
            Err(Reported)
        }
    }
}
