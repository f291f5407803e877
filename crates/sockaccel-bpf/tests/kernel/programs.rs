//! Options of sockets that do not go together with redirection.

use std::io::{Read, Write};

use sockaccel_bpf::Counter;

use crate::harness::{Pair, count, isolated, listener, perl};

#[test]
fn the_kernel_is_not_asked_to_encrypt_what_is_redirected() {
    isolated(|world| {
        let (accelerated, plain) = (listener(), listener());
        let accelerator = world.accelerate(&[&accelerated]);
        let pair = Pair::through(&accelerated);
        // TCP_ULP; ENOENT is also what a kernel without TLS says.
        let script = "print setsockopt(S, 6, 31, 'tls') ? 'set' : $!{ENOENT} ? 'none' : $!";
        assert_eq!(perl(&pair.client, script), "none");
        assert_eq!(count(&accelerator, Counter::KtlsRefused), 1);
        let _ = perl(&Pair::through(&plain).client, script);
        assert_eq!(count(&accelerator, Counter::KtlsRefused), 1);
    });
}

#[test]
fn a_sender_that_lends_its_pages_is_tcp() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.write_all(b"A").unwrap();
        // SO_ZEROCOPY.
        perl(&client, "setsockopt(S, 1, 60, pack('i', 1)) or die $!");
        client.write_all(b"B").unwrap();
        let mut text = [0; 2];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"AB");
        assert_eq!(count(&accelerator, Counter::DemotedZerocopy), 1);
        assert_eq!(count(&accelerator, Counter::BytesRedirected), 1);
    });
}

#[test]
fn other_options_are_set_as_ever() {
    isolated(|world| {
        let (_accelerator, Pair { client, .. }) = world.accelerated_pair();
        client.set_nodelay(false).unwrap();
        assert!(!client.nodelay().unwrap());
        client.set_ttl(33).unwrap();
        assert_eq!(client.ttl().unwrap(), 33);
    });
}
