//! Who is taken for whose peer, and who is not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sockaccel_bpf::{Accelerator, Counter, Options};
use socket2::{Domain, Socket, Type};

use crate::harness::{
    DEADLINE, Pair, count, isolated, listener, move_to, pattern, perl, ports, stats, subgroup, until,
    until_counted,
};

const TCP: i32 = 6;
const TCP_DEFER_ACCEPT: i32 = 9;

/// A question and its answer.
fn exchange(pair: &mut Pair) {
    let Pair { client, server } = pair;
    let mut buffer = [0; 8];
    client.write_all(b"question").unwrap();
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"question");
    server.write_all(b"answered").unwrap();
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"answered");
}

fn directions(accelerator: &Accelerator) -> (u64, u64) {
    let stats = stats(accelerator);
    (stats.get(Counter::DirectionsRedirected), stats.get(Counter::DirectionsMissed))
}

#[test]
fn all_address_families_are_paired() {
    isolated(|world| {
        let (v4, v6) = (listener(), TcpListener::bind("[::1]:0").unwrap());
        let dual = TcpListener::bind("[::]:0").unwrap();
        let accelerator = world.accelerate(&[&v4, &v6, &dual]);
        let through_v4 = SocketAddr::from(([127, 0, 0, 1], dual.local_addr().unwrap().port()));
        exchange(&mut Pair::through(&v4));
        exchange(&mut Pair::through(&v6));
        exchange(&mut Pair::to(&dual, through_v4));
        assert_eq!(directions(&accelerator), (6, 0));
    });
}

#[test]
fn other_ports_are_left_alone() {
    isolated(|world| {
        let (wanted, other) = (listener(), listener());
        let accelerator = world.accelerate(&[&wanted]);
        exchange(&mut Pair::through(&other));
        assert_eq!(count(&accelerator, Counter::SocketsTracked), 0);
    });
}

#[test]
fn data_that_was_sent_before_the_server_exists_stays_before_what_follows() {
    isolated(|world| {
        let listener = listener();
        perl(&listener, &format!("setsockopt(S, {TCP}, {TCP_DEFER_ACCEPT}, pack('i', 5)) or die $!"));
        let accelerator = world.accelerate(&[&listener]);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"A").unwrap();
        client.write_all(b"B").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"C").unwrap();
        let mut text = [0; 3];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"ABC");
        assert_eq!(directions(&accelerator), (0, 1));
        // The other direction has nothing behind it.
        exchange(&mut Pair { client, server });
        assert_eq!(directions(&accelerator), (1, 1));
    });
}

#[test]
fn a_message_that_waited_for_the_connection_stays_before_what_follows() {
    isolated(|world| {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        let accelerator = world.accelerate(&[&listener]);
        // One connection fills the queue; the next one's SYN is dropped until there is room, and sent again then.
        let waiting = TcpStream::connect(address).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        client.connect(&address.into()).unwrap_err();
        client.set_nonblocking(false).unwrap();
        let mut client = TcpStream::from(client);
        let mut early = client.try_clone().unwrap();
        let sender = thread::spawn(move || early.write_all(b"A").unwrap());
        until("the sender waits", || in_syn_sent(client.local_addr().unwrap().port()));
        drop(listener.accept().unwrap());
        drop(waiting);
        sender.join().unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"B").unwrap();
        let mut text = [0; 2];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"AB");
        assert_eq!(directions(&accelerator), (0, 1));
    });
}

/// Whether the connection from a local port is being established (`02` in `/proc/net/tcp`).
fn in_syn_sent(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| line.contains(&format!(":{port:04X} ")) && line.contains(" 02 "))
}

#[test]
fn a_port_is_used_again_and_again() {
    isolated(|world| {
        let listener = listener();
        let accelerator = world.accelerate(&[&listener]);
        let mut port = 0;
        for round in 1..=50 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
            socket.connect(&listener.local_addr().unwrap().into()).unwrap();
            let client = TcpStream::from(socket);
            port = client.local_addr().unwrap().port();
            let mut pair = Pair { client, server: listener.accept().unwrap().0 };
            exchange(&mut pair);
            assert_eq!(directions(&accelerator), (2 * round, 0));
            // Without TIME_WAIT, so that the port is free at once.
            let socket = Socket::from(pair.client);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    isolated(|world| {
        let listener = listener();
        let accelerator = world.accelerate(&[&listener]);
        for _ in 0..10_000 {
            let mut pair = Pair::through(&listener);
            exchange(&mut pair);
            // The server closes first, so that clients' ports are not used up by waiting ones.
            drop(pair.server);
        }
        until_counted(&accelerator, "all are closed", |stats| stats.sockets() == 0);
        assert_eq!(count(&accelerator, Counter::SocketsTracked), 20_000);
        assert_eq!((directions(&accelerator), stats(&accelerator).redirected()), ((20_000, 0), 0));
    });
}

#[test]
fn beyond_the_greatest_number_of_sockets_there_is_tcp() {
    isolated(|world| {
        let listener = listener();
        let options = Options { ports: ports(&[&listener]), max_sockets: 4, ..Options::default() };
        let accelerator = world.accelerate_with(options);
        let mut pairs: Vec<_> = (0..6).map(|_| Pair::through(&listener)).collect();
        pairs.iter_mut().for_each(exchange);
        assert_eq!(count(&accelerator, Counter::SocketsTracked), 4);
        assert_eq!(count(&accelerator, Counter::SocketsOver), 8);
        drop(pairs);
        until_counted(&accelerator, "there is room again", |stats| stats.sockets() == 0);
        exchange(&mut Pair::through(&listener));
        assert_eq!(directions(&accelerator), (6, 0));
    });
}

#[test]
fn a_socket_whose_peer_is_out_of_reach_is_released() {
    isolated(|world| {
        // What a listener accepts belongs to the listener's cgroup, which is above the accelerated one.
        let listener = listener();
        let inner = subgroup(&world.cgroup, "inner");
        move_to(&inner);
        let accelerator =
            Accelerator::attach(&inner, &Options { ports: ports(&[&listener]), ..Options::default() });
        let accelerator = accelerator.unwrap();
        let mut pair = Pair::through(&listener);
        assert_eq!(stats(&accelerator).sockets(), 1);
        exchange(&mut pair);
        until_counted(&accelerator, "the socket is released", |stats| {
            stats.get(Counter::SocketsEvicted) == 1
        });
        exchange(&mut pair);
        assert_eq!((stats(&accelerator).sockets(), directions(&accelerator)), (0, (0, 1)));
    });
}

#[test]
fn a_sender_that_went_back_to_tcp_is_released_unless_it_receives() {
    isolated(|world| {
        let listener = listener();
        let options =
            Options { ports: ports(&[&listener]), max_inflight_bytes: 100_000, ..Options::default() };
        let accelerator = world.accelerate_with(options);
        for answers in [true, false] {
            let Pair { mut client, mut server } = Pair::through(&listener);
            if answers {
                server.write_all(b"hello").unwrap();
            }
            let sent = pattern(0, 1_000_000);
            let copy = sent.clone();
            let mut writer = client.try_clone().unwrap();
            let sender = thread::spawn(move || {
                copy.chunks(50_000).for_each(|chunk| writer.write_all(chunk).unwrap());
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let demoted = if answers { 1 } else { 2 };
            until_counted(&accelerator, "it has gone back", |stats| {
                stats.get(Counter::DemotedUnread) == demoted
            });
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            assert!(received == sent);
            sender.join().unwrap();
            if answers {
                assert_eq!(count(&accelerator, Counter::SocketsEvicted), 0);
                let mut text = [0; 5];
                client.set_read_timeout(Some(DEADLINE)).unwrap();
                client.read_exact(&mut text).unwrap();
                assert_eq!(&text, b"hello");
            } else {
                until_counted(&accelerator, "the sender is released", |stats| {
                    stats.get(Counter::SocketsEvicted) == 1
                });
                server.write_all(b"late").unwrap();
                let mut text = [0; 4];
                client.read_exact(&mut text).unwrap();
                assert_eq!(&text, b"late");
            }
        }
    });
}

#[test]
fn of_two_accelerators_on_nested_cgroups_one_has_the_socket() {
    isolated(|world| {
        let inner = subgroup(&world.cgroup, "inner");
        move_to(&inner);
        let listener = listener();
        let options = Options { ports: ports(&[&listener]), ..Options::default() };
        let attach = |cgroup| Accelerator::attach(cgroup, &options).unwrap();
        let accelerators = [attach(&world.cgroup), attach(&inner)];
        let mut pair = Pair::through(&listener);
        for _ in 0..100 {
            exchange(&mut pair);
        }
        let total = |counter| -> u64 { accelerators.iter().map(|each| count(each, counter)).sum() };
        assert_eq!(total(Counter::SocketsTracked), 2);
        assert_eq!(total(Counter::SocketsRefused), 2);
        assert_eq!(total(Counter::BytesRedirected), 1600);
    });
}

#[test]
fn when_one_of_two_accelerators_ends_the_other_takes_new_connections() {
    isolated(|world| {
        let inner = subgroup(&world.cgroup, "inner");
        move_to(&inner);
        let listener = listener();
        let options = Options { ports: ports(&[&listener]), ..Options::default() };
        for cgroups in [[&world.cgroup, &inner], [&inner, &world.cgroup]] {
            let [first, second] = cgroups.map(|cgroup| Accelerator::attach(cgroup, &options).unwrap());
            let mut before = Pair::through(&listener);
            exchange(&mut before);
            let (ends, stays) = if stats(&first).sockets() == 2 { (first, second) } else { (second, first) };
            drop(ends);
            let mut after = Pair::through(&listener);
            exchange(&mut before);
            exchange(&mut after);
            assert_eq!(directions(&stays), (2, 0));
        }
    });
}
