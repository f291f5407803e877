//! Network namespaces: the same addresses in several, and a proxy that connections are redirected to.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};
use sockaccel_bpf::{Counter, Options};
use socket2::{Domain, Socket, Type};

use crate::harness::{Pair, World, count, isolated, pattern, perl, ports, stats};

const SERVER: u16 = 4317;
const PROXY: u16 = 15001;
const BEHIND: u16 = 4318;
/// Where two pods are, and a service that one of them is known as.
const NEAR: &str = "198.18.0.1";
const FAR: &str = "198.18.0.2";
const SERVICE: &str = "198.19.0.1";
/// Plugs in a cable, at once or when a first attempt to connect has found none.
const PLUG: &str = "ip link set far up";
const PLUG_LATE: &str = "{ (sleep 0.3 && ip link set far up) & }";

/// Puts this thread into a network namespace of its own, which `setup` has prepared.
fn enter_namespace(setup: &str) {
    // The namespace begins in a process, which ends when its input does; then this thread alone is in it.
    let script = format!("ip link set lo up && {setup} && echo ready && read line");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "{script}");
    let namespace = File::open(format!("/proc/{}/ns/net", process.id())).unwrap();
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    drop(process.stdin.take());
    process.wait().unwrap();
}

fn localhost(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A connection between two namespaces, which `near` and `far` have prepared, with a cable between them that is plugged
/// in by `plug`, to `address`.
fn between_pods(near: &str, far: String, plug: &str, address: &'static str) -> Pair {
    let (sender, server) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let far = thread::spawn(move || {
        enter_namespace(&far);
        let listener = TcpListener::bind(("0.0.0.0", SERVER)).unwrap();
        sender.send((gettid(), listener)).unwrap();
        // The namespace can be named as long as a thread is in it.
        let _ = left.recv();
    });
    let (thread, listener) = server.recv().unwrap();
    let setup = format!(
        "ip link add near type veth peer name far netns {thread} \
         && ip addr add {NEAR}/30 dev near && ip link set near up && ip route add default via {FAR} \
         && nsenter --target {thread} --net sh -c 'ip addr add {FAR}/30 dev far && {plug}' && {near}"
    );
    let near = thread::spawn(move || {
        enter_namespace(&setup);
        TcpStream::connect((address, SERVER)).unwrap()
    });
    let client = near.join().unwrap();
    drop(leave);
    far.join().unwrap();
    Pair { client, server: listener.accept().unwrap().0 }
}

/// How many directions of a connection were redirected, and how many stayed TCP, after a question and an answer.
fn outcome(world: &World, connect: impl FnOnce() -> Pair) -> (u64, u64) {
    let accelerator = world.accelerate_with(Options { ports: vec![SERVER], ..Options::default() });
    let Pair { mut client, mut server } = connect();
    transfer(&mut client, &mut server);
    transfer(&mut server, &mut client);
    let stats = stats(&accelerator);
    (stats.get(Counter::DirectionsRedirected), stats.get(Counter::DirectionsMissed))
}

fn transfer(from: &mut TcpStream, to: &mut TcpStream) {
    let sent = pattern(0, 5000);
    from.write_all(&sent).unwrap();
    let mut received = vec![0; sent.len()];
    to.read_exact(&mut received).unwrap();
    assert!(received == sent);
}

#[test]
fn pods_of_one_node_are_paired() {
    isolated(|world| {
        assert_eq!(outcome(world, || between_pods("true", "true".to_owned(), PLUG, FAR)), (2, 0))
    });
}

#[test]
fn pods_of_which_one_had_to_ask_again_are_paired() {
    isolated(|world| {
        // The first SYN waits in the host for somebody to answer, and the kernel's small queues for it.
        assert_eq!(outcome(world, || between_pods("true", "true".to_owned(), PLUG_LATE, FAR)), (2, 0));
    });
}

#[test]
fn a_connection_to_the_address_of_a_service_is_paired_with_the_pod_behind_it() {
    isolated(|world| {
        let rule = format!("ip daddr {SERVICE} dnat to {FAR};");
        let service = format!(
            "nft 'table ip nat {{ chain output {{ type nat hook output priority -100; {rule} }}; }}'"
        );
        assert_eq!(outcome(world, || between_pods(&service, "true".to_owned(), PLUG, SERVICE)), (2, 0));
    });
}

#[test]
fn ends_between_which_sequence_numbers_are_rewritten_stay_tcp() {
    isolated(|world| {
        // The proxy answers the client's SYN by itself, with numbers of its own, before it asks the server.
        let untracked = "chain raw { type filter hook prerouting priority -300; tcp flags syn notrack; };";
        let options = "mss 1460 wscale 7 timestamp sack-perm";
        let proxied = format!(
            "chain input {{ type filter hook input priority 0; ct state untracked,invalid synproxy {options}; \
             ct state invalid drop; }};"
        );
        let proxy = format!(
            "echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose && nft 'table ip proxy {{ {untracked} {proxied} }}'"
        );
        assert_eq!(outcome(world, || between_pods("true", proxy, PLUG, FAR)).0, 0);
    });
}

#[test]
fn ends_of_which_one_was_made_from_a_cookie_are_paired() {
    isolated(|world| {
        let connect = || {
            enter_namespace("echo 2 > /proc/sys/net/ipv4/tcp_syncookies");
            Pair::through(&TcpListener::bind(localhost(SERVER)).unwrap())
        };
        assert_eq!(outcome(world, connect), (2, 0));
    });
}

#[test]
fn connections_with_the_same_addresses_in_two_namespaces_do_not_mix() {
    isolated(|world| {
        let options = Options { ports: vec![SERVER], ..Options::default() };
        let accelerator = world.accelerate_with(options);
        let barrier = Arc::new(Barrier::new(2));
        let tenants = [b'1', b'2'].map(|name| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                enter_namespace("true");
                let listener = TcpListener::bind(localhost(SERVER)).unwrap();
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.bind(&localhost(40_000).into()).unwrap();
                socket.connect(&localhost(SERVER).into()).unwrap();
                let (mut client, (mut server, _)) = (TcpStream::from(socket), listener.accept().unwrap());
                barrier.wait();
                let mut buffer = [0; 64];
                for _ in 0..1000 {
                    client.write_all(&[name; 64]).unwrap();
                    server.read_exact(&mut buffer).unwrap();
                    assert_eq!(buffer, [name; 64]);
                    server.write_all(&[name; 64]).unwrap();
                    client.read_exact(&mut buffer).unwrap();
                    assert_eq!(buffer, [name; 64]);
                }
            })
        });
        tenants.into_iter().for_each(|tenant| tenant.join().unwrap());
        assert_eq!(count(&accelerator, Counter::MessagesRedirected), 4000);
    });
}

#[test]
fn other_namespaces_can_be_left_alone() {
    isolated(|world| {
        let listener = TcpListener::bind(localhost(0)).unwrap();
        // The greatest of the cookies, which are given out from 1 up.
        let network_namespace = Some(u64::MAX);
        let options = Options { ports: ports(&[&listener]), network_namespace, ..Options::default() };
        let accelerator = world.accelerate_with(options);
        let Pair { mut client, mut server } = Pair::through(&listener);
        client.write_all(b"here").unwrap();
        server.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(count(&accelerator, Counter::SocketsTracked), 0);
    });
}

#[test]
fn data_that_came_with_the_syn_stays_before_what_follows() {
    isolated(|world| {
        // Clients and servers use TCP Fast Open, without cookies.
        enter_namespace("echo 1031 > /proc/sys/net/ipv4/tcp_fastopen");
        let options = Options { ports: vec![SERVER], ..Options::default() };
        let accelerator = world.accelerate_with(options);
        let listener = TcpListener::bind(localhost(SERVER)).unwrap();
        // TCP_FASTOPEN, and MSG_FASTOPEN.
        perl(&listener, "setsockopt(S, 6, 23, pack('i', 5)) or die $!");
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address = format!("pack('S n C4 x8', 2, {SERVER}, 127, 0, 0, 1)");
        perl(&client, &format!("send(S, 'A', 0x20000000, {address}) or die $!"));
        let mut client = TcpStream::from(client);
        client.write_all(b"B").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"C").unwrap();
        let mut text = [0; 3];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"ABC");
        server.write_all(b"answer").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        // The ends disagree about how far the numbers were.
        assert_eq!(count(&accelerator, Counter::DirectionsRedirected), 0);
    });
}

/// Connections to the server are redirected to a proxy, which connects to what is behind it.
fn through_a_proxy(options: Options, world: &World) -> (u64, u64) {
    let accelerator = world.accelerate_with(options);
    let mesh = thread::spawn(|| {
        let rule = format!("tcp dport {SERVER} redirect to :{PROXY};");
        enter_namespace(&format!(
            "nft 'table ip mesh {{ chain output {{ type nat hook output priority -100; {rule} }}; }}'"
        ));
        let [proxy, behind] = [PROXY, BEHIND].map(|port| TcpListener::bind(localhost(port)).unwrap());
        let mut outer = Pair::to(&proxy, localhost(SERVER));
        let mut inner = Pair::through(&behind);
        let mut buffer = [0; 64];
        for position in 0..1000 {
            let sent = pattern(position * 64, 64);
            outer.client.write_all(&sent).unwrap();
            outer.server.read_exact(&mut buffer).unwrap();
            inner.client.write_all(&buffer).unwrap();
            inner.server.read_exact(&mut buffer).unwrap();
            assert_eq!(buffer[..], sent);
            inner.server.write_all(&buffer).unwrap();
            inner.client.read_exact(&mut buffer).unwrap();
            outer.server.write_all(&buffer).unwrap();
            outer.client.read_exact(&mut buffer).unwrap();
        }
    });
    mesh.join().unwrap();
    let stats = stats(&accelerator);
    (stats.get(Counter::MessagesRedirected), stats.get(Counter::MessagesPassed))
}

#[test]
fn both_legs_of_a_proxy_are_paired_in_mesh_mode() {
    isolated(|world| {
        let options = Options { ports: vec![SERVER, BEHIND], mesh_ports: vec![PROXY], ..Options::default() };
        assert_eq!(through_a_proxy(options, world), (4000, 0));
    });
}

#[test]
fn outside_of_mesh_mode_ends_that_disagree_about_the_port_are_not_paired() {
    isolated(|world| {
        let options = Options { ports: vec![SERVER, BEHIND, PROXY], ..Options::default() };
        let (redirected, passed) = through_a_proxy(options, world);
        // The leg of which the kernel has changed the destination is TCP, and leaves the map early on.
        assert_eq!(redirected, 2000);
        assert!(passed > 0);
    });
}
