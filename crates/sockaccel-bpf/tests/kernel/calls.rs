//! Ways of sending and receiving that are not plain reads and writes.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::pipe::{SpliceFlags, pipe, splice};
use sockaccel_bpf::Counter;

use crate::harness::{Pair, count, isolated, pattern, stats};

/// What a pipe holds at once; so little is no bulk.
const PIPE: usize = 32 << 10;

#[test]
fn what_is_spliced_into_a_connection_stays_in_order_with_what_is_written() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        let (from, to) = pipe().unwrap();
        let mut received = vec![0; 2 * PIPE];
        for round in 0..20 {
            let sent = pattern(round, 2 * PIPE);
            let (written, spliced) = sent.split_at(PIPE);
            client.write_all(written).unwrap();
            rustix::io::write(&to, spliced).unwrap();
            let mut left = PIPE;
            while left > 0 {
                left -= splice(&from, None, &client, None, left, SpliceFlags::empty()).unwrap();
            }
            server.read_exact(&mut received).unwrap();
            assert!(received == sent);
        }
        assert_eq!(count(&accelerator, Counter::BytesRedirected), 40 * PIPE as u64);
    });
}

#[test]
fn what_splicing_from_a_connection_does_not_find_is_not_lost() {
    isolated(|world| {
        let (_accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.write_all(&pattern(0, 1000)).unwrap();
        let (from, to) = pipe().unwrap();
        server.set_nonblocking(true).unwrap();
        let found = match splice(&server, None, &to, None, 1000, SpliceFlags::NONBLOCK) {
            Ok(found) => found,
            Err(error) => {
                assert_eq!(error, Errno::AGAIN);
                0
            }
        };
        let mut received = vec![0; 1000];
        let (spliced, read) = received.split_at_mut(found);
        if found > 0 {
            assert_eq!(rustix::io::read(&from, spliced).unwrap(), found);
        }
        server.read_exact(read).unwrap();
        assert!(received == pattern(0, 1000));
    });
}

#[test]
fn waiting_for_all_may_be_answered_with_what_is_there() {
    isolated(|world| {
        let (_accelerator, Pair { mut client, server }) = world.accelerated_pair();
        client.write_all(b"first").unwrap();
        let mut text = [0; 10];
        let (first, _) = recv(&server, &mut text[..], RecvFlags::WAITALL).unwrap();
        assert_eq!(first, 5);
        client.write_all(b"after").unwrap();
        let (second, _) = recv(&server, &mut text[first..], RecvFlags::WAITALL).unwrap();
        assert_eq!((second, &text), (5, b"firstafter"));
    });
}

#[test]
fn many_pieces_in_one_call_arrive_as_one() {
    isolated(|world| {
        let (accelerator, Pair { client, mut server }) = world.accelerated_pair();
        // More pieces than the kernel puts into one message, of lengths around its pages.
        let sent = pattern(0, 100 * 1021);
        let pieces: Vec<_> = sent.chunks(1021).map(IoSlice::new).collect();
        assert_eq!((&client).write_vectored(&pieces).unwrap(), sent.len());
        let mut received = vec![0; sent.len()];
        server.read_exact(&mut received).unwrap();
        assert!(received == sent);
        assert_eq!(count(&accelerator, Counter::BytesRedirected), sent.len() as u64);
    });
}

#[test]
fn of_a_great_message_what_was_said_to_be_taken_arrives() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.set_nonblocking(true).unwrap();
        let great = 16 << 20;
        let mut taken = 0;
        loop {
            match client.write(&pattern(taken, great)) {
                Ok(written) => taken += written as u64,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        // It began redirected, and its end did not.
        let stats = stats(&accelerator);
        assert_eq!((stats.get(Counter::DirectionsRedirected), stats.redirected()), (1, 0));
        client.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert!(received == pattern(0, usize::try_from(taken).unwrap()));
    });
}
