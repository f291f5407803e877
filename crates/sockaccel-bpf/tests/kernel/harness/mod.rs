//! What the tests share: a process in a cgroup of its own, and connections in it.

use std::any::type_name_of_val;
use std::io::{Write, stderr};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sockaccel_bpf::{Accelerator, Counter, Options, Stats, requirements};

/// Long enough for a loaded machine; nothing waits this long unless it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);
/// Tells a process that it is the one in the cgroup, and which.
const CGROUP: &str = "SOCKACCEL_TEST_CGROUP";

/// The cgroup in which a test runs.
pub(crate) struct World {
    pub(crate) cgroup: PathBuf,
}

/// An established connection.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

/// Runs the test `body` again in a process of its own in a cgroup of its own, or says why it cannot.
pub(crate) fn isolated<F: FnOnce(&World)>(body: F) {
    if let Some(cgroup) = env::var_os(CGROUP) {
        return body(&World { cgroup: cgroup.into() });
    }
    // The closure's name is `crate::module::test::{{closure}}`.
    let name = type_name_of_val(&body).trim_end_matches("::{{closure}}");
    let test = name.split_once("::").unwrap().1;
    if let Some(missing) = requirements::all().iter().find(|requirement| !requirement.is_met()) {
        // Not by `eprintln`, which the test runner keeps to itself.
        stderr().write_all(format!("test {test} is skipped: {missing}\n").as_bytes()).unwrap();
        return;
    }
    let mount = requirements::all().into_iter().find(|found| found.what == "cgroup version 2").unwrap();
    let cgroup = Path::new(&mount.state.unwrap()).join(format!(
        "sockaccel-{}-{}",
        std::process::id(),
        test.replace("::", "-")
    ));
    fs::create_dir(&cgroup).unwrap();
    let mut child = Command::new("sh");
    // The shell moves itself, and then becomes the test.
    child.arg("-c").arg(r#"echo $$ > "$0/cgroup.procs" && exec "$@""#).arg(&cgroup);
    child.arg(env::current_exe().unwrap()).args([test, "--exact", "--nocapture", "--include-ignored"]);
    let output = child.env(CGROUP, &cgroup).output().unwrap();
    // Whatever cgroups the test has made are below, and become empty as its last process goes.
    until("the cgroup is empty", || {
        for inner in fs::read_dir(&cgroup).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
            let _ = fs::remove_dir(inner.path());
        }
        fs::remove_dir(&cgroup).is_ok()
    });
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && text[0].contains("1 passed"), "{}\n{}", text[0], text[1]);
}

impl World {
    /// Accelerates connections to the listeners.
    pub(crate) fn accelerate(&self, listeners: &[&TcpListener]) -> Accelerator {
        self.accelerate_with(Options { ports: ports(listeners), ..Options::default() })
    }

    /// An accelerated connection.
    pub(crate) fn accelerated_pair(&self) -> (Accelerator, Pair) {
        let listener = listener();
        (self.accelerate(&[&listener]), Pair::through(&listener))
    }

    /// Accelerates as a test wants it.
    pub(crate) fn accelerate_with(&self, options: Options) -> Accelerator {
        Accelerator::attach(&self.cgroup, &options).unwrap()
    }
}

impl Pair {
    /// Connects to a listener.
    pub(crate) fn through(listener: &TcpListener) -> Self {
        Self::to(listener, listener.local_addr().unwrap())
    }

    /// Connects to a listener under another address.
    pub(crate) fn to(listener: &TcpListener, address: SocketAddr) -> Self {
        let client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.set_write_timeout(Some(DEADLINE)).unwrap();
        }
        Self { client, server }
    }
}

/// A listener on a free port of loopback.
pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// The listeners' ports.
pub(crate) fn ports(listeners: &[&TcpListener]) -> Vec<u16> {
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// The value of a counter.
pub(crate) fn count(accelerator: &Accelerator, counter: Counter) -> u64 {
    stats(accelerator).get(counter)
}

/// All counters.
pub(crate) fn stats(accelerator: &Accelerator) -> Stats {
    accelerator.stats().unwrap()
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    wait(is_so, || what.to_owned());
}

/// Waits until the counters say so.
pub(crate) fn until_counted(accelerator: &Accelerator, what: &str, is_so: impl Fn(&Stats) -> bool) {
    wait(|| is_so(&stats(accelerator)), || format!("{what}, {:?}", stats(accelerator)));
}

fn wait(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {}", what());
        thread::sleep(PAUSE);
    }
}

/// Bytes of a stream from a position on. They repeat after a prime number, so what is moved is noticed.
pub(crate) fn pattern(position: u64, length: usize) -> Vec<u8> {
    const PERIOD: usize = 1_000_003;
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.u8(..)).take(PERIOD).collect()
    });
    let mut part = Vec::with_capacity(length);
    let mut from = usize::try_from(position % PERIOD as u64).unwrap();
    while part.len() < length {
        let to = PERIOD.min(from + length - part.len());
        part.extend_from_slice(&bytes[from..to]);
        from = 0;
    }
    part
}

/// Makes a cgroup below another one; it goes with the test's.
pub(crate) fn subgroup(cgroup: &Path, name: &str) -> PathBuf {
    let inner = cgroup.join(name);
    fs::create_dir(&inner).unwrap();
    inner
}

/// Moves this process, and what it will make, into a cgroup.
pub(crate) fn move_to(cgroup: &Path) {
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string()).unwrap();
}

/// Does with a socket what Rust's libraries cannot, in Perl, where it is `S`; returns what that prints.
pub(crate) fn perl(socket: &impl AsFd, script: &str) -> String {
    let socket = socket.as_fd().try_clone_to_owned().unwrap();
    let script = format!("open(S, '+<&=', 0) or die $!; {script}");
    let output = Command::new("perl").args(["-e", &script]).stdin(socket).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
