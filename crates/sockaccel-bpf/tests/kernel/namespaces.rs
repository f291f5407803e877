//! Network namespaces: the same addresses in several, and a proxy that connections are redirected to.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sockaccel_bpf::{Counter, Options};
use socket2::{Domain, Socket, Type};

use crate::harness::{Pair, World, count, isolated, pattern, perl, ports, stats};

const SERVER: u16 = 4317;
const PROXY: u16 = 15001;
const BEHIND: u16 = 4318;

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
