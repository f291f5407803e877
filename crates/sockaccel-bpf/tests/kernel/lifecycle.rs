//! The end of an accelerator, in every way.

use std::env;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use sockaccel_bpf::{Accelerator, Options};

use crate::harness::{DEADLINE, Pair, isolated, listener, pattern, ports, stats, until};

const LOADER: &str = "SOCKACCEL_TEST_LOADER";

/// What [`Loader`] runs.
#[test]
#[ignore = "is run by other tests, as another process"]
fn loader() {
    let Ok(port) = env::var(LOADER) else { return };
    let cgroup = env::var_os("SOCKACCEL_TEST_CGROUP").unwrap();
    let options = Options { ports: vec![port.parse().unwrap()], ..Options::default() };
    let accelerator = Accelerator::attach(cgroup.as_ref(), &options).unwrap();
    println!("ready");
    let _ = stdin().read(&mut [0]);
    drop(accelerator);
}

/// An accelerator in another process.
struct Loader(Child);

impl Loader {
    fn start(port: u16) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["lifecycle::loader", "--exact", "--ignored", "--nocapture"]);
        let command = command.env(LOADER, port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        // What it still says must go somewhere.
        thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

/// A redirected stream whose loader ends by `end` in the middle.
fn survives(end: fn(&mut Child)) {
    let listener = listener();
    let mut loader = Loader::start(ports(&[&listener])[0]);
    let Pair { mut client, mut server } = Pair::through(&listener);
    let (before, after) = (pattern(0, 100_000), pattern(100_000, 3_000_000));
    client.write_all(&before).unwrap();
    end(&mut loader.0);
    loader.0.wait().unwrap();
    let copy = after.clone();
    let sender = thread::spawn(move || {
        copy.chunks(7000).for_each(|chunk| client.write_all(chunk).unwrap());
        client
    });
    let mut received = vec![0; before.len() + after.len()];
    server.read_exact(&mut received).unwrap();
    assert!(received == [before, after].concat());
    server.write_all(b"done").unwrap();
    let mut client = sender.join().unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    // New connections are TCP, and work.
    let Pair { mut client, mut server } = Pair::through(&listener);
    client.write_all(b"plain").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_stream_survives_that_its_loader_is_killed() {
    isolated(|_| survives(|loader| loader.kill().unwrap()));
}

#[test]
fn a_stream_survives_that_its_loader_exits() {
    isolated(|_| survives(|loader| drop(loader.stdin.take())));
}

#[test]
fn detaching_waits_until_nothing_is_redirected() {
    isolated(|world| {
        let (accelerator, Pair { mut client, server }) = world.accelerated_pair();
        client.write_all(b"first").unwrap();
        assert_eq!(stats(&accelerator).redirected(), 1);
        let detaching = thread::spawn(move || accelerator.detach(DEADLINE).unwrap());
        until("the stream has gone back", || {
            client.write_all(b"more").unwrap();
            detaching.is_finished()
        });
        assert_eq!(detaching.join().unwrap().redirected(), 0);
        drop(server);
    });
}

#[test]
fn detaching_does_not_wait_longer_than_it_is_told() {
    isolated(|world| {
        let (accelerator, Pair { mut client, mut server }) = world.accelerated_pair();
        client.write_all(b"silent").unwrap();
        assert_eq!(accelerator.detach(Duration::ZERO).unwrap().redirected(), 1);
        let mut text = [0; 6];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"silent");
    });
}
