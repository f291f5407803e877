//! What is sent arrives: all of it, once, in order, however it is read.

use std::io::{ErrorKind, Read, Seek, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockaccel_bpf::{Accelerator, Counter, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Pair, count, isolated, listener, pattern, ports, stats, until, until_counted};

const MIB: u64 = 1 << 20;

/// Writes a pattern in pieces of changing size, and half-closes.
fn send(mut stream: TcpStream, total: u64, largest: usize) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(total);
        let mut position = 0;
        while position < total {
            let rest = usize::try_from(total - position).unwrap();
            let length = random.usize(1..=largest).min(rest);
            stream.write_all(&pattern(position, length)).unwrap();
            position += length as u64;
        }
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

/// Reads the pattern to its end, and returns how long it was.
fn receive(mut stream: TcpStream) -> JoinHandle<u64> {
    thread::spawn(move || {
        let (mut position, mut buffer) = (0, vec![0; 200_000]);
        loop {
            let length = match stream.read(&mut buffer) {
                Ok(0) => return position,
                Ok(length) => length,
                // A blocking reader may be woken for nothing once its own side has closed: docs/sockaccel.md.
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            };
            assert!(buffer[..length] == pattern(position, length), "other bytes at {position}");
            position += length as u64;
        }
    })
}

/// Sends so much both ways at once in pieces up to `largest`.
fn both_ways(Pair { client, server }: Pair, total: u64, largest: usize) {
    let copy = |stream: &TcpStream| stream.try_clone().unwrap();
    let senders = [send(copy(&client), total, largest), send(copy(&server), total, largest)];
    for receiver in [receive(client), receive(server)] {
        assert_eq!(receiver.join().unwrap(), total);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

fn redirected(accelerator: &Accelerator) -> u64 {
    count(accelerator, Counter::BytesRedirected)
}

#[test]
fn gigabytes_both_ways_arrive_as_they_were_sent() {
    isolated(|world| {
        let listener = listener();
        let accelerator = world.accelerate(&[&listener]);
        for (total, largest) in [(64 * MIB, 1000), (1024 * MIB, 20_000), (2048 * MIB, 300_000)] {
            both_ways(Pair::through(&listener), total, largest);
        }
        // A sender that has gone back to TCP before the other end has sent anything is not redirected to.
        assert!(count(&accelerator, Counter::DirectionsRedirected) >= 3);
    });
}

#[test]
fn small_messages_do_not_touch_tcp() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        let mut buffer = [0; 100];
        for position in 0..1000 {
            client.write_all(&pattern(position, 100)).unwrap();
            server.read_exact(&mut buffer).unwrap();
            server.write_all(&buffer).unwrap();
            client.read_exact(&mut buffer).unwrap();
            assert_eq!(buffer[..], pattern(position, 100));
        }
        assert_eq!((redirected(&accelerator), count(&accelerator, Counter::MessagesPassed)), (200_000, 0));
        assert_eq!(stats(&accelerator).redirected(), 2);
    });
}

#[test]
fn a_receiver_that_does_not_read_is_given_no_more_than_the_bound_and_then_stops_its_sender() {
    isolated(|world| {
        let listener = listener();
        let bound = 256 << 10;
        let options = Options { ports: ports(&[&listener]), max_inflight_bytes: bound, ..Options::default() };
        let accelerator = world.accelerate_with(options);
        let Pair { mut client, server } = Pair::through(&listener);
        client.set_nonblocking(true).unwrap();
        let message = 10_000;
        let mut taken = 0;
        loop {
            match client.write(&pattern(taken, message)) {
                Ok(written) => taken += written as u64,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(redirected(&accelerator) <= bound, "{:?}", stats(&accelerator));
        assert_eq!(count(&accelerator, Counter::DemotedUnread), 1);
        // What TCP holds by itself: both sockets' buffers.
        assert!(taken < bound + 12 * MIB, "{taken} bytes were taken");
        client.set_nonblocking(false).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receive(server).join().unwrap(), taken);
    });
}

#[test]
fn a_receiver_that_sends_but_does_not_read_is_bounded_too() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while let Ok(written) = client.write(&pattern(taken, 10_000)) {
            taken += written as u64;
            server.write_all(b"alive").unwrap();
        }
        assert!(redirected(&accelerator) < 8 * MIB, "{:?}", stats(&accelerator));
        client.set_nonblocking(false).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receive(server).join().unwrap(), taken);
    });
}

#[test]
fn a_slow_reader_gets_everything_while_its_sender_waits() {
    isolated(|world| {
        let (accelerator, Pair { client, mut server }) = world.accelerated_pair();
        let total = 24 * MIB;
        let sender = send(client, total, 100_000);
        until_counted(&accelerator, "the sender has been stopped", |stats| {
            stats.get(Counter::DemotedUnread) == 1
        });
        let mut first = vec![0; 100_000];
        server.read_exact(&mut first).unwrap();
        assert!(first == pattern(0, first.len()));
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).unwrap();
        assert!(rest == pattern(first.len() as u64, rest.len()));
        assert_eq!(rest.len() + first.len(), usize::try_from(total).unwrap());
        sender.join().unwrap();
    });
}

#[test]
fn each_side_may_close_its_half_first() {
    isolated(|world| {
        let listener = listener();
        let accelerator = world.accelerate(&[&listener]);
        for client_first in [true, false] {
            let Pair { client, server } = Pair::through(&listener);
            let (mut first, mut second) = if client_first { (client, server) } else { (server, client) };
            first.write_all(b"question").unwrap();
            first.shutdown(Shutdown::Write).unwrap();
            let mut text = String::new();
            second.read_to_string(&mut text).unwrap();
            assert_eq!(text, "question");
            second.write_all(b"answer").unwrap();
            drop(second);
            assert_eq!(receive_text(&mut first), "answer");
        }
        assert_eq!(redirected(&accelerator), 28);
    });
}

/// Reads to the end on a socket that has closed its own half.
fn receive_text(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while let Err(error) = stream.read_to_end(&mut text) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn peeking_takes_nothing() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.write_all(b"look").unwrap();
        let mut buffer = [0; 4];
        for _ in 0..3 {
            assert_eq!(server.peek(&mut buffer).unwrap(), 4);
            assert_eq!(&buffer, b"look");
            buffer = [0; 4];
        }
        server.read_exact(&mut buffer).unwrap();
        assert_eq!((&buffer, redirected(&accelerator)), (b"look", 4));
    });
}

#[test]
fn a_file_is_sent_without_being_read() {
    isolated(|world| {
        let (accelerator, Pair { mut client, server }) = world.accelerated_pair();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pattern(0, 3_000_000)).unwrap();
        file.rewind().unwrap();
        let receiver = receive(server);
        // `sendfile`, on Linux.
        assert_eq!(std::io::copy(&mut file, &mut client).unwrap(), 3_000_000);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receiver.join().unwrap(), 3_000_000);
        assert!(redirected(&accelerator) > 0);
    });
}

#[test]
fn an_asynchronous_runtime_misses_no_wakeup() {
    isolated(|world| {
        let listener = listener();
        let accelerator = world.accelerate(&[&listener]);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Pair { client, server } = Pair::through(&listener);
            let [client, server] = [client, server].map(|stream| {
                stream.set_nonblocking(true).unwrap();
                tokio::net::TcpStream::from_std(stream).unwrap()
            });
            // Tokio asks epoll for edges, so what is not announced is never read.
            let echo = tokio::spawn(async move {
                let (mut reader, mut writer) = server.into_split();
                tokio::io::copy(&mut reader, &mut writer).await.unwrap()
            });
            let (mut reader, mut writer) = client.into_split();
            let sender = tokio::spawn(async move {
                for position in 0..2000 {
                    writer.write_all(&pattern(position * 7000, 7000)).await.unwrap();
                    if position % 100 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                writer.shutdown().await.unwrap();
            });
            let mut received = Vec::new();
            reader.read_to_end(&mut received).await.unwrap();
            assert!(received == pattern(0, 14_000_000));
            assert_eq!(echo.await.unwrap(), 14_000_000);
            sender.await.unwrap();
        });
        assert!(redirected(&accelerator) > 0);
    });
}

#[test]
fn a_connection_goes_on_in_another_process() {
    isolated(|world| {
        let (accelerator, Pair { mut client, server }) = world.accelerated_pair();
        client.write_all(b"before ").unwrap();
        let mut cat = Command::new("cat")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(server.try_clone().unwrap())))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(server)))
            .spawn()
            .unwrap();
        client.write_all(b"and after").unwrap();
        let mut text = [0; 16];
        client.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"before and after");
        assert_eq!(redirected(&accelerator), 32);
        drop(client);
        assert!(cat.wait().unwrap().success());
    });
}

#[test]
fn a_peer_that_resets_is_noticed() {
    isolated(|world| {
        let (_accelerator, Pair { mut client, server }) = world.accelerated_pair();
        client.write_all(b"unread").unwrap();
        let socket = socket2::Socket::from(server);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(socket);
        assert_eq!(client.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_switch_turns_a_stream_back_to_tcp_in_order() {
    isolated(|world| {
        let listener = listener();
        let mut accelerator = world.accelerate(&[&listener]);
        let Pair { client, server } = Pair::through(&listener);
        let total = 64 * MIB;
        let (sender, receiver) = (send(client, total, 5000), receive(server));
        until("something has been redirected", || redirected(&accelerator) > MIB);
        accelerator.disable().unwrap();
        sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), total);
        assert_eq!(stats(&accelerator).redirected(), 0);
        let Pair { mut client, mut server } = Pair::through(&listener);
        let before = stats(&accelerator);
        client.write_all(b"plain").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(stats(&accelerator), before);
    });
}
