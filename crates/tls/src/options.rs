//! Protocol versions, cipher suites and key exchange groups.

use std::sync::Arc;

use forebay_config::Table;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// The versions in ascending order; any stretch of it can be asked for.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// What is negotiated, for servers and clients alike.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

impl Options {
    /// Reads `min_version`, `max_version`, `cipher_suites` and `curve_preferences`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        table.accept("include_insecure_cipher_suites", "rustls has no insecure cipher suites");
        if table.table("tpm").is_some_and(|tpm| tpm.bool("enabled") != Some(false)) {
            table.error("tpm", "keys in a TPM are not supported; use `key_file` or `key_pem`");
        }
        let defaults = ring::default_provider();
        let provider = CryptoProvider {
            cipher_suites: cipher_suites(table, &defaults.cipher_suites),
            kx_groups: groups(table, &defaults.kx_groups),
            ..defaults
        };
        Self { provider: Arc::new(provider), versions: versions(table) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { provider: Arc::new(ring::default_provider()), versions: &VERSIONS }
    }
}

fn versions(table: &Table<'_>) -> &'static [&'static SupportedProtocolVersion] {
    let oldest = version(table, "min_version").unwrap_or(0);
    let newest = version(table, "max_version").unwrap_or(VERSIONS.len() - 1);
    VERSIONS.get(oldest..=newest).filter(|versions| !versions.is_empty()).unwrap_or_else(|| {
        table.error("max_version", "`max_version` is below `min_version`");
        &VERSIONS
    })
}

/// The place of the version at `key` among [`VERSIONS`].
fn version(table: &Table<'_>, key: &'static str) -> Option<usize> {
    match table.string(key)?.as_str() {
        "" => None,
        "1.2" => Some(0),
        "1.3" => Some(1),
        old @ ("1.0" | "1.1") => {
            let message =
                format!("TLS {old} is not supported: it is deprecated by RFC 8996 and rustls begins at 1.2");
            table.error_with_help(key, message, "use \"1.2\" or \"1.3\"");
            None
        }
        other => {
            table.error(key, format!("unknown TLS version `{other}`: expected \"1.2\" or \"1.3\""));
            None
        }
    }
}

/// As with Go's `crypto/tls`, the list restricts TLS 1.2 only: the suites of 1.3 are always offered.
fn cipher_suites(table: &Table<'_>, available: &[SupportedCipherSuite]) -> Vec<SupportedCipherSuite> {
    let Some(wanted) = table.strings("cipher_suites").filter(|wanted| !wanted.is_empty()) else {
        return available.to_vec();
    };
    for name in &wanted {
        if !available.iter().any(|&suite| suite_name(suite) == *name) {
            let known: Vec<_> = available.iter().map(|&suite| suite_name(suite)).collect();
            let message = format!("cipher suite `{name}` is not supported");
            table.error_with_help("cipher_suites", message, format!("supported: {}", known.join(", ")));
        }
    }
    let keep = |suite: &SupportedCipherSuite| {
        suite.version().version == ProtocolVersion::TLSv1_3 || wanted.contains(&suite_name(*suite))
    };
    available.iter().copied().filter(keep).collect()
}

/// The IANA name, which the Collector uses; rustls tells the suites of TLS 1.3 apart by `TLS13_`.
fn suite_name(suite: SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

fn groups(
    table: &Table<'_>,
    available: &[&'static dyn SupportedKxGroup],
) -> Vec<&'static dyn SupportedKxGroup> {
    let Some(wanted) = table.strings("curve_preferences").filter(|wanted| !wanted.is_empty()) else {
        return available.to_vec();
    };
    let mut groups = Vec::new();
    for name in &wanted {
        let rustls_name = match name.as_str() {
            "X25519" => "X25519",
            "P256" => "secp256r1",
            "P384" => "secp384r1",
            "P521" | "X25519MLKEM768" => {
                table.warning("curve_preferences", format!("`{name}` is not available and is left out"));
                continue;
            }
            _ => {
                let message = format!("unknown curve `{name}`: expected X25519, P256 or P384");
                table.error("curve_preferences", message);
                continue;
            }
        };
        groups.extend(available.iter().filter(|group| format!("{:?}", group.name()) == rustls_name));
    }
    if groups.is_empty() {
        table.error("curve_preferences", "none of these curves is available: expected X25519, P256 or P384");
        return available.to_vec();
    }
    groups
}
