//! Connections that several threads or processes use, or that are handed from one to another.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use sockaccel_bpf::Counter;

use crate::harness::{Pair, count, isolated, perl, until};

/// Threads, and how many bytes each of them sends: its name in two bits, and where in its stream they are.
const THREADS: u8 = 4;
const BYTES: u32 = 4_000_000;

/// Sends a connection through a Unix socket, and closes it here.
fn pass(stream: TcpStream, to: &UnixStream) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [stream.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(to, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).unwrap();
}

/// Receives what [`pass`] has sent.
fn take(from: &UnixStream) -> TcpStream {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(from, &mut [IoSliceMut::new(&mut [0])], &mut ancillary, RecvFlags::empty()).unwrap();
    let Some(RecvAncillaryMessage::ScmRights(mut descriptors)) = ancillary.drain().next() else {
        panic!("no descriptor has come");
    };
    descriptors.next().unwrap().into()
}

#[test]
fn a_connection_that_is_handed_on_loses_nothing_on_the_way() {
    isolated(|world| {
        let (accelerator, Pair { mut client, server }) = world.accelerated_pair();
        let (giver, taker) = UnixStream::pair().unwrap();
        client.write_all(b"before, ").unwrap();
        pass(server, &giver);
        // Nobody has the other end open now but the message that carries it.
        client.write_all(b"under way, ").unwrap();
        let mut server = take(&taker);
        client.write_all(b"after").unwrap();
        let mut text = [0; 24];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"before, under way, after");
        server.write_all(b"answer").unwrap();
        client.read_exact(&mut text[..6]).unwrap();
        assert_eq!(count(&accelerator, Counter::BytesRedirected), 30);
    });
}

#[test]
fn two_processes_send_on_one_connection_in_order() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.write_all(b"parent, ").unwrap();
        perl(&client, "syswrite(S, 'child, ') or die $!");
        client.write_all(b"parent").unwrap();
        let mut text = [0; 21];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"parent, child, parent");
        // The child's end was not the connection's.
        assert_eq!(count(&accelerator, Counter::BytesRedirected), 21);
    });
}

#[test]
fn what_several_threads_send_stays_in_each_ones_order_while_the_switch_is_turned() {
    isolated(|world| {
        let (mut accelerator, Pair { client, mut server }) = world.accelerated_pair();
        let senders: Vec<_> = (0..THREADS)
            .map(|name| {
                let mut client = client.try_clone().unwrap();
                let bytes: Vec<_> = (0..BYTES).map(|number| name << 6 | (number % 64) as u8).collect();
                thread::spawn(move || {
                    bytes.chunks(100).for_each(|message| client.write_all(message).unwrap())
                })
            })
            .collect();
        // TCP too mixes what threads send at the same time, even within a message, when its buffer is full.
        let receiver = thread::spawn(move || {
            let mut counts = [0; THREADS as usize];
            let mut buffer = [0; 10_000];
            loop {
                match server.read(&mut buffer).unwrap() {
                    0 => return counts,
                    length => buffer[..length].iter().for_each(|byte| {
                        let count = &mut counts[usize::from(byte >> 6)];
                        assert_eq!(u32::from(byte % 64), *count % 64, "of thread {}", byte >> 6);
                        *count += 1;
                    }),
                }
            }
        });
        until("something has been redirected", || count(&accelerator, Counter::MessagesRedirected) > 1000);
        accelerator.disable().unwrap();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receiver.join().unwrap(), [BYTES; THREADS as usize]);
    });
}
