//! What of this host the figures depend on.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

/// What the kernel says of itself.
pub(super) struct Host {
    release: Option<String>,
    congestion_control: Option<String>,
    /// How long an idle CPU of a virtual machine waits for work before it goes to sleep, in nanoseconds. To wake one that
    /// sleeps takes tens of microseconds.
    halt_poll: Option<String>,
}

const RELEASE: &str = "/proc/sys/kernel/osrelease";
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const HALT_POLL: &str = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";

impl Host {
    /// What cannot be read is left out.
    pub(super) fn read() -> Self {
        let word = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            release: word(RELEASE),
            congestion_control: word(CONGESTION_CONTROL),
            halt_poll: word(HALT_POLL),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPUs", available_parallelism().map_or(1, usize::from))?;
        for (name, value) in [
            ("Linux", &self.release),
            ("congestion control", &self.congestion_control),
            ("guest_halt_poll_ns", &self.halt_poll),
        ] {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let host = Host { release: Some("6.6.68".to_owned()), congestion_control: None, halt_poll: None };
        let text = host.to_string();
        assert!(text.ends_with(" CPUs, Linux 6.6.68"), "{text}");
    }
}
