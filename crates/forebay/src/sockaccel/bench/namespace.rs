//! A network namespace that ends with this process.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace with a shell in it, whose end ends the namespace.
pub(super) struct Namespace {
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Namespace {
    /// A new one, with a loopback device.
    ///
    /// # Errors
    /// When that is not allowed, or `unshare` and `ip` are not installed.
    pub(super) fn new() -> io::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn()?;
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let output = BufReader::new(shell.stdout.take().ok_or_else(broken)?);
        let mut namespace = Self { input: shell.stdin.take(), output, shell };
        namespace.run("ip link set lo up")?;
        Ok(namespace)
    }

    /// Runs a command line in it.
    pub(super) fn run(&mut self, line: &str) -> io::Result<()> {
        let failed = || io::Error::other(format!("in a network namespace: {line}"));
        writeln!(self.input.as_mut().ok_or_else(failed)?, "{line} && echo done || echo failed")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        if answer == "done\n" { Ok(()) } else { Err(failed()) }
    }

    /// The process in it, by which others can name it.
    pub(super) fn process(&self) -> u32 {
        self.shell.id()
    }

    /// Moves this thread into it.
    pub(super) fn enter(&self) -> io::Result<()> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.shell.id()))?;
        Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The shell ends with its input.
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}
