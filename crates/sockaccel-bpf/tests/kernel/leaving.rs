//! Connections that go back to TCP altogether, and lose nothing on the way.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::thread::gettid;
use sockaccel_bpf::{Accelerator, Counter};

use crate::harness::{Pair, count, isolated, listener, pattern, stats, until};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What is answered to so many bytes, as a receiver of HTTP/2 does.
const ANSWER: [u8; 13] = [7; 13];
const ANSWERED: usize = 128 * KIB;
/// How far a sender is ahead of the answers.
const WINDOW: usize = 512 * KIB;

/// Sends a pattern in messages of a size, waiting for answers.
fn upload(client: &mut TcpStream, size: usize, total: usize) {
    let (mut allowed, mut answer) = (WINDOW, ANSWER);
    for sent in (0..total).step_by(size) {
        while allowed < sent + size {
            client.read_exact(&mut answer).unwrap();
            allowed += ANSWERED;
        }
        client.write_all(&pattern(sent as u64, size)).unwrap();
    }
    for _ in (allowed..total + WINDOW).step_by(ANSWERED) {
        client.read_exact(&mut answer).unwrap();
    }
}

/// Reads the pattern and answers.
fn download(mut server: TcpStream, total: usize) -> JoinHandle<TcpStream> {
    thread::spawn(move || {
        let mut buffer = vec![0; 100_000];
        let (mut received, mut answered) = (0, 0);
        while received < total {
            let length = server.read(&mut buffer).unwrap();
            assert!(length > 0 && buffer[..length] == pattern(received as u64, length), "at {received}");
            received += length;
            while received - answered >= ANSWERED {
                server.write_all(&ANSWER).unwrap();
                answered += ANSWERED;
            }
        }
        server
    })
}

/// Sends two large messages, of which the second does not wait for the first, and then reads both.
fn send_two(client: &mut TcpStream, server: &mut TcpStream, position: u64, buffer: &mut [u8]) {
    let sent = pattern(position, buffer.len());
    sent.chunks(buffer.len() / 2).for_each(|message| client.write_all(message).unwrap());
    server.read_exact(buffer).unwrap();
    assert!(buffer == sent);
}

fn demotions(accelerator: &Accelerator) -> [u64; 3] {
    [Counter::DemotedBulk, Counter::DemotedPeer, Counter::DemotedUnread]
        .map(|counter| count(accelerator, counter))
}

#[test]
fn a_stream_of_large_messages_leaves_the_table_at_both_ends_though_it_is_answered() {
    isolated(|world| {
        let (accelerator, Pair { mut client, server }) = world.accelerated_pair();
        let receiver = download(server, 256 * MIB);
        upload(&mut client, 256 * KIB, 256 * MIB);
        let mut server = receiver.join().unwrap();
        assert_eq!(demotions(&accelerator), [1, 1, 0]);
        let mut buffer = [0; 8];
        until("both ends are out", || {
            // An end leaves when data of its own is acknowledged.
            client.write_all(b"question").unwrap();
            server.read_exact(&mut buffer).unwrap();
            server.write_all(b"answered").unwrap();
            client.read_exact(&mut buffer).unwrap();
            count(&accelerator, Counter::SocketsEvicted) == 2
        });
        let before = stats(&accelerator);
        client.write_all(b"ordinary").unwrap();
        server.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"ordinary");
        assert_eq!((before.sockets(), before.redirected()), (0, 0));
        assert_eq!(stats(&accelerator), before, "these are no sockets of the table any more");
    });
}

#[test]
fn messages_that_meet_their_receiver_at_work_go_back_to_tcp() {
    isolated(|world| {
        let (accelerator, Pair { client, server }) = world.accelerated_pair();
        let received = AtomicUsize::new(0);
        let read = || {
            let mut buffer = vec![0; 256 * KIB];
            loop {
                match (&server).read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => drop(received.fetch_add(length, Ordering::Relaxed)),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        };
        thread::scope(|scope| {
            // Two, so that one is reading whenever the other is about to. Both end when the client is gone.
            let _readers = [(); 2].map(|()| scope.spawn(read));
            let mut client = client;
            let message = vec![7; 16 * KIB];
            let mut sent = 0;
            until("a message goes by TCP", || {
                for _ in 0..1000 {
                    while sent - received.load(Ordering::Relaxed) > 256 * KIB {
                        thread::yield_now();
                    }
                    client.write_all(&message).unwrap();
                    sent += message.len();
                }
                count(&accelerator, Counter::DemotedBulk) == 1
            });
        });
        assert_eq!(demotions(&accelerator), [1, 0, 0]);
    });
}

#[test]
fn messages_that_do_not_meet_their_receiver_at_work_stay_redirected() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        let sent = pattern(0, 4 * 16 * KIB);
        let mut buffer = vec![0; sent.len()];
        for _ in 0..1000 {
            sent.chunks(16 * KIB).for_each(|message| client.write_all(message).unwrap());
            server.read_exact(&mut buffer).unwrap();
            assert!(buffer == sent);
        }
        assert_eq!((demotions(&accelerator), stats(&accelerator).redirected()), ([0, 0, 0], 1));
    });
}

#[test]
fn large_messages_that_wait_for_each_other_stay_redirected() {
    isolated(|world| {
        let (accelerator, Pair { client, server }) = world.accelerated_pair();
        let mut buffer = vec![0; 256 * KIB];
        for round in 0..50 {
            let sent = pattern(round, buffer.len());
            for (mut from, mut to) in [(&client, &server), (&server, &client)] {
                from.write_all(&sent).unwrap();
                to.read_exact(&mut buffer).unwrap();
                assert!(buffer == sent);
            }
        }
        assert_eq!((demotions(&accelerator), stats(&accelerator).redirected()), ([0, 0, 0], 2));
    });
}

#[test]
fn a_stream_whose_receiver_has_once_answered_and_then_says_nothing_stays_redirected() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        server.write_all(b"hello").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        let mut buffer = vec![0; 256 * KIB];
        for round in 0..64 {
            send_two(&mut client, &mut server, round, &mut buffer);
        }
        assert_eq!((demotions(&accelerator), stats(&accelerator).redirected()), ([0, 0, 0], 2));
        // Its next word is TCP's, and so is the stream from then on.
        server.write_all(b"thank you").unwrap();
        client.read_exact(&mut [0; 9]).unwrap();
        client.write_all(b"bye").unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        assert_eq!((demotions(&accelerator), stats(&accelerator).redirected()), ([1, 1, 0], 0));
    });
}

#[test]
fn an_end_stays_until_it_has_read_what_was_redirected_to_it() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        server.write_all(b"unread").unwrap();
        let mut buffer = vec![0; 256 * KIB];
        (0..16).for_each(|round| send_two(&mut client, &mut server, round, &mut buffer));
        server.write_all(b" and TCP").unwrap();
        (0..16).for_each(|round| send_two(&mut client, &mut server, round, &mut buffer));
        assert_eq!((demotions(&accelerator), stats(&accelerator).redirected()), ([1, 1, 0], 0));
        assert_eq!(count(&accelerator, Counter::SocketsEvicted), 0);
        let mut text = [0; 14];
        client.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"unread and TCP");
        until("the client leaves", || {
            send_two(&mut client, &mut server, 0, &mut buffer);
            count(&accelerator, Counter::SocketsEvicted) == 1
        });
    });
}

#[test]
fn a_sender_with_another_call_under_way_stays_redirected() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        server.write_all(b"hello").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        let mut reader = client.try_clone().unwrap();
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            tell.send(gettid().as_raw_nonzero()).unwrap();
            reader.read_exact(&mut [0; 3]).unwrap();
        });
        let status = format!("/proc/self/task/{}/stat", told.recv().unwrap());
        until("the reader waits", || fs::read_to_string(&status).unwrap().contains(") S "));
        let mut buffer = vec![0; 256 * KIB];
        for round in 0..16 {
            send_two(&mut client, &mut server, round, &mut buffer);
        }
        server.write_all(b"end").unwrap();
        reader.join().unwrap();
        assert_eq!((demotions(&accelerator), stats(&accelerator).redirected()), ([0, 0, 0], 2));
    });
}

/// Sends its own bytes, which have the highest bit or not, in pieces of random length.
fn send_part(mut stream: TcpStream, part: u8, total: usize, seed: u64) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut position = 0;
        while position < total {
            let length = random.usize(1..=300 * KIB).min(total - position);
            let mut piece = pattern(position as u64, length);
            piece.iter_mut().for_each(|byte| *byte = *byte & 0x7f | part);
            stream.write_all(&piece).unwrap();
            position += length;
        }
    })
}

/// Reads to the end, and checks that each part is complete and in order.
fn receive_parts(mut stream: TcpStream, total: usize) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut positions, mut buffer) = ([0_usize; 2], vec![0; 100_000]);
        loop {
            let length = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            };
            for (position, part) in positions.iter_mut().zip([0, 0x80]) {
                let received: Vec<_> = buffer[..length].iter().filter(|&byte| byte & 0x80 == part).collect();
                let sent = pattern(*position as u64, received.len());
                assert!(received.iter().zip(sent).all(|(&received, sent)| received & 0x7f == sent & 0x7f));
                *position += received.len();
            }
        }
        assert_eq!(positions, [total; 2]);
    })
}

#[test]
fn connections_that_leave_under_load_lose_nothing_though_threads_share_their_ends() {
    isolated(|world| {
        let listener = listener();
        let accelerator = world.accelerate(&[&listener]);
        let total = 6 * MIB;
        let connections: Vec<_> = (0..12)
            .map(|seed| {
                let Pair { client, server } = Pair::through(&listener);
                let ends = [client, server];
                let copy = |end: usize| ends[end].try_clone().unwrap();
                let senders: Vec<_> = [(0, 0), (0, 0x80), (1, 0), (1, 0x80)]
                    .map(|(end, part)| (end, send_part(copy(end), part, total, seed)))
                    .into();
                let receivers = [0, 1].map(|end| receive_parts(copy(end), total));
                (ends, senders, receivers)
            })
            .collect();
        for (ends, senders, receivers) in connections {
            senders.into_iter().for_each(|(_, sender)| sender.join().unwrap());
            ends.iter().for_each(|end| end.shutdown(Shutdown::Write).unwrap());
            receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
        }
        assert!(count(&accelerator, Counter::BytesRedirected) > 0);
        assert!(count(&accelerator, Counter::SocketsEvicted) > 0, "{:?}", stats(&accelerator));
    });
}
