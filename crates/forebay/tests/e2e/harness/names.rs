//! A name server on the loopback, and processes that ask it.
//!
//! The C library asks port 53 of who is in `/etc/resolv.conf`, so this takes an address that nobody else has and gives
//! the process a file of its own. Both take root.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::task::JoinSet;

/// Length of a message's header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// Address records, of the class Internet.
const A: [u8; 2] = [0, 1];
const IN: [u8; 2] = [0, 1];

/// A name server that knows one answer, to whatever it is asked.
pub(crate) struct NameServer {
    /// None, and it does not answer.
    addresses: Arc<Mutex<Option<Vec<Ipv4Addr>>>>,
    configuration: NamedTempFile,
    _answering: JoinSet<()>,
}

impl NameServer {
    /// One that answers with these addresses; none where this process may not have one.
    pub(crate) async fn start(addresses: &[Ipv4Addr]) -> Option<Self> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let own = Ipv4Addr::new(127, 53, high, low);
        let socket = match UdpSocket::bind((own, 53)).await {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            bound => bound.unwrap(),
        };
        let mut namespace = Command::new("unshare");
        namespace.args(["--mount", "true"]).stderr(Stdio::null());
        if !namespace.status().await.is_ok_and(|status| status.success()) {
            return None;
        }
        let configuration = NamedTempFile::new().unwrap();
        std::fs::write(&configuration, format!("nameserver {own}\n")).unwrap();
        let addresses = Arc::new(Mutex::new(Some(addresses.to_vec())));
        let mut answering = JoinSet::new();
        answering.spawn(answer(socket, Arc::clone(&addresses)));
        Some(Self { addresses, configuration, _answering: answering })
    }

    /// Answers with other addresses from now on, or with nothing at all.
    pub(crate) fn set(&self, addresses: Option<&[Ipv4Addr]>) {
        *self.addresses.lock().unwrap() = addresses.map(<[_]>::to_vec);
    }

    /// What a process has to see as `/etc/resolv.conf`.
    pub(crate) fn configuration(&self) -> &Path {
        self.configuration.path()
    }
}

async fn answer(socket: UdpSocket, addresses: Arc<Mutex<Option<Vec<Ipv4Addr>>>>) {
    let mut query = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut query).await {
        let addresses = addresses.lock().unwrap().clone();
        if let Some(addresses) = addresses {
            socket.send_to(&message(&query[..length], &addresses), client).await.unwrap();
        }
    }
}

/// The answer to a query with one question: no addresses but those of version 4.
fn message(query: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let name = query[HEADER..].iter().position(|&length| length == 0).unwrap() + 1;
    let question = &query[HEADER..HEADER + name + 4];
    let addresses = if question[name..] == [A, IN].concat() { addresses } else { &[] };
    let count = u8::try_from(addresses.len()).unwrap();
    // The query's id; a response, recursion asked for and there; one question.
    let mut message = [&query[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], question].concat();
    for address in addresses {
        // The name of the question; to be asked for anew at once.
        message.extend([[0xc0, 12], A, IN, [0, 0], [0, 0], [0, 4]].as_flattened());
        message.extend(address.octets());
    }
    message
}
