//! Processes pinned to a core, which do not outlive the run.

use std::{
    ffi::OsStr,
    io,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use forebay::ports;

use super::Error;

/// A command that will run on `core` only. `taskset` replaces itself by the program, so the pid is the program's.
pub fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(core.to_string()).arg(program).stdin(Stdio::null());
    command
}

/// So many addresses on loopback where nobody listens.
///
/// # Errors
/// If there are no more.
pub fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    Ok(ports::free()?.map(|port| (Ipv4Addr::LOCALHOST, port).into()))
}

/// A child process that does not outlive its owner.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Self, Error> {
        let name = name.into();
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { child, name })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's standard output, once, if it is a pipe.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until `ready`, for `patience` at most.
    ///
    /// # Errors
    /// If the process ends before, or the time does.
    pub fn wait_until(&mut self, patience: Duration, mut ready: impl FnMut() -> bool) -> Result<(), Error> {
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended before its time: {status}", self.name).into());
            }
            if started.elapsed() > patience {
                return Err(format!("waited in vain for {} for {patience:?}", self.name).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Asks the process to end and waits for that, for `patience` at most.
    ///
    /// # Errors
    /// If it does not end, or not with success.
    pub fn terminate(mut self, patience: Duration) -> Result<(), Error> {
        // The standard library can only kill.
        Command::new("kill").arg("-TERM").arg(self.id().to_string()).status()?;
        let started = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("{} ended with {status}", self.name).into()),
                None if started.elapsed() > patience => {
                    return Err(format!("{} still runs {patience:?} after SIGTERM", self.name).into());
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_early_is_not_waited_for() {
        let mut process = Process::start("true", &mut Command::new("true")).unwrap();
        let error = process.wait_until(Duration::from_secs(60), || false).unwrap_err();
        assert!(error.to_string().contains("ended before its time"), "{error}");
    }

    #[test]
    fn a_terminated_process_is_reported_as_such() {
        let process = Process::start("sleep", Command::new("sleep").arg("60")).unwrap();
        assert!(process.terminate(Duration::from_secs(60)).is_err(), "sleep does not handle SIGTERM");
    }
}
