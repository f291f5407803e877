//! Handshakes in memory, with certificates made on the spot.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use forebay_config::read_str;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion, ServerConnection};

use crate::{ClientTls, ServerTls};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes `NAME.crt` and `NAME.key`, for the DNS name `NAME`, signed by `ca`.
fn issue(ca: &Ca, dir: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    fs::write(dir.join(name).with_extension("crt"), certificate.pem()).unwrap();
    fs::write(dir.join(name).with_extension("key"), key.serialize_pem()).unwrap();
}

/// A directory with `ca.crt` and pairs for `server` and `client`.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca();
    fs::write(dir.path().join("ca.crt"), ca.pem()).unwrap();
    issue(&ca, dir.path(), "server");
    issue(&ca, dir.path(), "client");
    dir
}

/// `DIR` in `yaml` stands for `dir`.
fn server(dir: &Path, yaml: &str) -> ServerTls {
    let (server, diagnostics) = read_str(&yaml.replace("DIR", dir.to_str().unwrap()), ServerTls::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    server.unwrap()
}

fn client(dir: &Path, yaml: &str) -> ClientTls {
    let (client, diagnostics) = read_str(&yaml.replace("DIR", dir.to_str().unwrap()), ClientTls::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    client
}

fn server_mistakes(dir: &Path, yaml: &str) -> String {
    let (server, diagnostics) = read_str(&yaml.replace("DIR", dir.to_str().unwrap()), ServerTls::read);
    let text = diagnostics.render(false);
    assert!(diagnostics.has_errors(), "{text}");
    drop(server);
    text
}

fn client_mistakes(yaml: &str) -> String {
    let (_, diagnostics) = read_str(yaml, ClientTls::read);
    assert!(diagnostics.has_errors());
    diagnostics.render(false)
}

/// Passes records to and fro until both sides are done or one gives up.
fn handshake(
    server: &ServerTls,
    client: &ClientTls,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let name = client.server_name().unwrap_or("server").to_owned();
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(client.config(&[b"h2"]).unwrap(), name).unwrap();
    let mut server = ServerConnection::new(server.config(&[b"h2", b"http/1.1"]).unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut records = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut records).unwrap();
        }
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut records = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut records).unwrap();
        }
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((server, client))
}

const SERVER: &str = "{cert_file: DIR/server.crt, key_file: DIR/server.key}";
const MUTUAL: &str = "{cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/ca.crt}";

#[test]
fn a_client_with_the_ca_reaches_the_server_and_agrees_on_alpn() {
    let dir = directory();
    let (server, client) =
        handshake(&server(dir.path(), SERVER), &client(dir.path(), "ca_file: DIR/ca.crt")).unwrap();
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn a_client_with_other_roots_refuses_the_server_unless_told_not_to_look() {
    let dir = directory();
    let server = server(dir.path(), SERVER);
    assert!(handshake(&server, &ClientTls::default()).is_err());
    assert!(handshake(&server, &client(dir.path(), "insecure_skip_verify: true")).is_ok());
}

#[test]
fn the_servers_name_is_verified_and_can_be_overridden() {
    let dir = directory();
    let server = server(dir.path(), SERVER);
    let other = client(dir.path(), "{ca_file: DIR/ca.crt, server_name_override: elsewhere.example}");
    assert!(handshake(&server, &other).is_err());
    let right = client(dir.path(), "{ca_file: DIR/ca.crt, server_name_override: server}");
    assert!(handshake(&server, &right).is_ok());
}

#[test]
fn mutual_tls_wants_a_certificate_of_the_client_ca() {
    let dir = directory();
    let elsewhere = directory();
    let server = server(dir.path(), MUTUAL);
    let identity = "{ca_file: DIR/ca.crt, cert_file: DIR/client.crt, key_file: DIR/client.key}";
    assert!(handshake(&server, &client(dir.path(), identity)).is_ok());
    assert!(handshake(&server, &client(dir.path(), "ca_file: DIR/ca.crt")).is_err());
    let stranger = format!(
        "{{ca_file: DIR/ca.crt, cert_file: {0}/client.crt, key_file: {0}/client.key}}",
        elsewhere.path().display()
    );
    assert!(handshake(&server, &client(dir.path(), &stranger)).is_err());
}

#[test]
fn versions_and_suites_bound_what_is_negotiated() {
    let dir = directory();
    let yaml = "{cert_file: DIR/server.crt, key_file: DIR/server.key, max_version: '1.2',
                 cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [P256]}";
    let (server, _) =
        handshake(&server(dir.path(), yaml), &client(dir.path(), "ca_file: DIR/ca.crt")).unwrap();
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = server.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
}

#[test]
fn pem_in_the_configuration_is_as_good_as_files() {
    let dir = directory();
    let indented = |name: &str| {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        text.lines().map(|line| format!("  {line}\n")).collect::<String>()
    };
    let yaml = format!("cert_pem: |\n{}key_pem: |\n{}", indented("server.crt"), indented("server.key"));
    let ca = format!("ca_pem: |\n{}", indented("ca.crt"));
    assert!(handshake(&server(dir.path(), &yaml), &client(dir.path(), &ca)).is_ok());
    assert!(!format!("{:?}", server(dir.path(), &yaml)).contains("PRIVATE"));
}

#[test]
fn renewed_certificates_and_client_cas_serve_from_the_next_handshake_on() {
    let dir = directory();
    let yaml = "{cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/ca.crt,
                 client_ca_file_reload: true, reload_interval: 1ns}";
    let server = server(dir.path(), yaml).config(&[]).unwrap();
    let connect = |client: &ClientTls| {
        let name = ServerName::try_from("server").unwrap();
        let mut client = ClientConnection::new(client.config(&[]).unwrap(), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&server)).unwrap();
        let mut step = || -> Result<(), rustls::Error> {
            while client.is_handshaking() || server.is_handshaking() {
                let mut records = Vec::new();
                client.write_tls(&mut records).unwrap();
                server.read_tls(&mut records.as_slice()).unwrap();
                server.process_new_packets()?;
                let mut records = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut records).unwrap();
                }
                client.read_tls(&mut records.as_slice()).unwrap();
                client.process_new_packets()?;
            }
            Ok(())
        };
        step()
    };
    let identity = "{ca_file: DIR/ca.crt, cert_file: DIR/client.crt, key_file: DIR/client.key}";
    let before = client(dir.path(), identity);
    connect(&before).unwrap();

    let renewed = ca();
    fs::write(dir.path().join("ca.crt"), renewed.pem()).unwrap();
    issue(&renewed, dir.path(), "server");
    issue(&renewed, dir.path(), "client");
    let after = client(dir.path(), identity);
    connect(&after).unwrap();
    assert!(connect(&before).is_err());

    for name in ["server.crt", "ca.crt"] {
        fs::write(dir.path().join(name), "being written").unwrap();
    }
    connect(&after).unwrap();
}

#[test]
fn insecure_means_no_tls_unless_there_is_a_ca() {
    let dir = directory();
    assert!(client(dir.path(), "insecure: true").insecure());
    assert!(!client(dir.path(), "{insecure: true, ca_file: DIR/ca.crt}").insecure());
    assert!(!client(dir.path(), "{}").insecure());
    assert!(!ClientTls::default().insecure());
}

#[test]
fn missing_and_broken_files_are_reported_at_their_keys() {
    let dir = directory();
    fs::write(dir.path().join("empty"), "").unwrap();
    let cases = [
        ("{cert_file: DIR/none, key_file: DIR/server.key}", "cert_file", "cannot read"),
        ("{cert_file: DIR/empty, key_file: DIR/server.key}", "cert_file", "holds no PEM certificate"),
        ("{cert_file: DIR/server.crt, key_file: DIR/none}", "key_file", "cannot read"),
        ("{cert_file: DIR/server.crt, key_file: DIR/server.crt}", "key_file", "private key"),
        ("{cert_file: DIR/server.crt, key_file: DIR/client.key}", "key_file", "is not the private key of"),
        ("{cert_file: DIR/server.crt}", "key_file", "needs its private key"),
        ("{key_file: DIR/server.key}", "cert_file", "needs its certificate"),
        ("{cert_pem: '', key_pem: ''}", "cert_file", "needs a certificate"),
        (
            "{cert_file: DIR/server.crt, cert_pem: x, key_file: DIR/server.key}",
            "cert_pem",
            "exclude each other",
        ),
        (
            "{cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/empty}",
            "client_ca_file",
            "no PEM",
        ),
    ];
    for (yaml, key, message) in cases {
        let text = server_mistakes(dir.path(), yaml);
        assert!(text.contains(key) && text.contains(message), "{yaml}\n{text}");
    }
    assert!(client_mistakes("ca_file: /nowhere/ca.crt").contains("cannot read `/nowhere/ca.crt`"));
}

#[test]
fn what_rustls_cannot_do_is_an_error_that_says_so() {
    for (yaml, message) in [
        ("min_version: '1.0'", "TLS 1.0 is not supported"),
        ("max_version: '1.1'", "TLS 1.1 is not supported"),
        ("min_version: '2'", "unknown TLS version `2`"),
        ("{min_version: '1.3', max_version: '1.2'}", "`max_version` is below `min_version`"),
        ("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "supported: TLS_AES_256_GCM_SHA384"),
        ("curve_preferences: [brainpool]", "unknown curve `brainpool`"),
        ("tpm: {enabled: true}", "TPM"),
        ("server_name_override: 'a b'", "neither a DNS name"),
    ] {
        let text = client_mistakes(yaml);
        assert!(text.contains(message), "{yaml}\n{text}");
    }
}
