//! Two programs that use a redirected connection see what they would see on a plain one.
//!
//! The model knows what has been sent and not been read, and which halves are closed, and from that what the next
//! call must say. It drives the same calls on a redirected and a plain connection, so it is checked as well.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sockaccel_bpf::Counter;

use crate::harness::{Pair, count, isolated, listener, pattern, stats, until};

/// Of the two ends.
const ENDS: usize = 2;
/// Messages that are bulk if they do not wait for each other.
const HUGE: std::ops::Range<usize> = 128 << 10..160 << 10;
/// So much may be under way that all of it is always taken.
const UNDER_WAY: u64 = 1 << 20;

#[derive(Clone, Debug)]
enum Call {
    Send { end: usize, length: usize },
    Receive { end: usize, length: usize },
    Peek { end: usize, length: usize },
    CloseHalf { end: usize },
    Close { end: usize },
}

/// What one end has sent.
#[derive(Default)]
struct Direction {
    sent: u64,
    read: u64,
    ended: bool,
}

/// A connection, and what must be true of it.
struct Model {
    ends: [Option<TcpStream>; ENDS],
    /// By the end that sends.
    directions: [Direction; ENDS],
    /// An end was closed before it had read everything, which resets the connection.
    reset: bool,
}

fn call() -> impl Strategy<Value = Call> {
    let end = 0..ENDS;
    prop_oneof![
        6 => (end.clone(), 1..5000_usize).prop_map(|(end, length)| Call::Send { end, length }),
        2 => (end.clone(), HUGE).prop_map(|(end, length)| Call::Send { end, length }),
        6 => (end.clone(), 1..8000_usize).prop_map(|(end, length)| Call::Receive { end, length }),
        2 => (end.clone(), HUGE).prop_map(|(end, length)| Call::Receive { end, length }),
        2 => (end.clone(), 1..8000_usize).prop_map(|(end, length)| Call::Peek { end, length }),
        1 => end.clone().prop_map(|end| Call::CloseHalf { end }),
        1 => end.prop_map(|end| Call::Close { end }),
    ]
}

impl Model {
    fn new(Pair { client, server }: Pair) -> Self {
        let ends = [client, server].map(|stream| {
            stream.set_nonblocking(true).unwrap();
            Some(stream)
        });
        Self { ends, directions: Default::default(), reset: false }
    }

    /// Makes a call, and returns what the program saw.
    fn make(&mut self, call: &Call) -> String {
        match *call {
            Call::Send { end, length } => self.send(end, length),
            Call::Receive { end, length } => self.receive(end, length, false),
            Call::Peek { end, length } => self.receive(end, length, true),
            Call::CloseHalf { end } => self.close_half(end),
            Call::Close { end } => self.close(end),
        }
    }

    fn send(&mut self, end: usize, length: usize) -> String {
        let peer_is_there = self.ends[1 - end].is_some();
        let Some(stream) = &mut self.ends[end] else { return "closed".to_owned() };
        let direction = &mut self.directions[end];
        if direction.sent - direction.read + length as u64 > UNDER_WAY {
            return "not sent".to_owned();
        }
        match stream.write(&pattern(direction.sent, length)) {
            Ok(written) => {
                assert!(written == length && !direction.ended);
                direction.sent += length as u64;
                // What is sent to a peer that is gone is answered by a reset, at some time.
                self.reset |= !peer_is_there;
                if peer_is_there { format!("sent {length}") } else { "sent or not".to_owned() }
            }
            Err(error) => {
                assert!(direction.ended || !peer_is_there || self.reset, "send: {error}");
                if peer_is_there && !self.reset { error.kind().to_string() } else { "sent or not".to_owned() }
            }
        }
    }

    fn receive(&mut self, end: usize, length: usize, peek: bool) -> String {
        let peer_is_there = self.ends[1 - end].is_some();
        let Some(stream) = &mut self.ends[end] else { return "closed".to_owned() };
        let from = &mut self.directions[1 - end];
        let available = usize::try_from(from.sent - from.read).unwrap();
        let mut buffer = vec![0; length];
        if self.reset {
            // Whether the rest can still be read is a race in TCP too, but it must be the rest.
            if let Ok(received) = stream.peek(&mut buffer) {
                assert!(buffer[..received] == pattern(from.read, received));
            }
            return "after a reset".to_owned();
        }
        if available == 0 && !from.ended && peer_is_there {
            let error = stream.read(&mut buffer).unwrap_err();
            return error.kind().to_string();
        }
        // What has been sent may be under way for a moment. Two queues are not peeked at together.
        let wanted = if peek { length.min(available).min(1) } else { length.min(available) };
        let mut received = 0;
        until("what was sent arrives", || {
            let result = if peek {
                stream.peek(&mut buffer)
            } else {
                stream.read(&mut buffer[received..wanted.max(1)])
            };
            match result {
                Ok(more) => received = if peek { more.min(wanted) } else { received + more },
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            received == wanted && (wanted > 0 || stream.peek(&mut [0]).is_ok())
        });
        assert!(buffer[..received] == pattern(from.read, received), "other bytes at {}", from.read);
        if !peek {
            from.read += received as u64;
        }
        format!("received {received}")
    }

    fn close_half(&mut self, end: usize) -> String {
        let Some(stream) = &self.ends[end] else { return "closed".to_owned() };
        let result = stream.shutdown(Shutdown::Write);
        // The second time it matters whether the peer's end has arrived, which the receive window decides.
        let again = std::mem::replace(&mut self.directions[end].ended, true);
        if again || self.reset || self.ends[1 - end].is_none() {
            return "closed half or not".to_owned();
        }
        format!("{:?}", result.map_err(|error| error.kind()))
    }

    fn close(&mut self, end: usize) -> String {
        let unread = &self.directions[1 - end];
        self.reset |= unread.sent > unread.read;
        self.ends[end] = None;
        "closed".to_owned()
    }
}

#[test]
fn programs_see_on_a_redirected_connection_what_they_see_on_a_plain_one() {
    isolated(|world| {
        let (redirected, plain) = (listener(), listener());
        let accelerator = world.accelerate(&[&redirected]);
        let mut runner =
            TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
        let calls = prop::collection::vec(call(), 1..80);
        let law = runner.run(&calls, |calls| {
            let mut models = [&redirected, &plain].map(|listener| Model::new(Pair::through(listener)));
            for call in &calls {
                let [fast, slow] = models.each_mut().map(|model| model.make(call));
                prop_assert_eq!(fast, slow, "{:?}", call);
            }
            Ok(())
        });
        law.unwrap();
        for counter in [Counter::MessagesRedirected, Counter::DemotedBulk, Counter::DemotedPeer] {
            assert!(count(&accelerator, counter) > 0, "{counter:?} of {:?}", stats(&accelerator));
        }
    });
}
