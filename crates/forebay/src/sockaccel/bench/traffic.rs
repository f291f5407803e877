//! What goes over a connection while it is measured.

use std::fmt;
use std::io::{self, Read, Write};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::report::median;
use super::transport::{Listeners, Pair, Transport};
use crate::components::StartError;

/// Where the two ends run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placement {
    OneCpu,
    TwoCpus,
}

/// How a stream is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// As HTTP/2 does: without Nagle's algorithm, and no further ahead than the receiver has allowed.
    NoDelay,
    /// The same with Nagle's algorithm, which lets TCP join small messages.
    Nagle,
    /// As fast as the transport takes it.
    OneWay,
}

/// A stream that has been sent and received.
pub(super) struct Transfer {
    bytes: u32,
    elapsed: Duration,
    cpu: Duration,
}

const TRIPS: usize = 2000;
const CONNECTIONS: usize = 200;
/// Of a stream, at most so many messages and so many bytes.
const MESSAGES: usize = 100_000;
const BYTES: usize = 256 << 20;
/// How far a sender may be ahead, and how much of it is allowed again at once.
const WINDOW: usize = 512 << 10;
const GRANT: usize = 128 << 10;
/// A WINDOW_UPDATE frame.
const UPDATE: [u8; 13] = [0; 13];

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneCpu => "both ends on one CPU",
            Self::TwoCpus => "each end on its own CPU",
        })
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDelay => "TCP_NODELAY, window as of HTTP/2",
            Self::Nagle => "Nagle, window as of HTTP/2",
            Self::OneWay => "TCP_NODELAY, nothing comes back",
        })
    }
}

impl Transfer {
    pub(super) fn megabytes_per_second(&self) -> f64 {
        f64::from(self.bytes) / 1e6 / self.elapsed.as_secs_f64()
    }

    pub(super) fn cpu_milliseconds_per_gigabyte(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / (f64::from(self.bytes) / 1e9)
    }
}

/// The median time in microseconds until a message has come back.
pub(super) fn round_trip(pair: Pair, size: usize, placement: Placement) -> Result<f64, StartError> {
    pair.set_nodelay(true)?;
    let trips = (TRIPS * 4096 / size.max(4096)).max(50);
    let Pair { mut client, mut server } = pair;
    let cpus = Cpus::allowed()?;
    let (here, there) = cpus.of(placement);
    thread::scope(|scope| {
        let echo = scope.spawn(move || {
            there.pin()?;
            let mut message = vec![0; size];
            for _ in 0..trips {
                server.read_exact(&mut message)?;
                server.write_all(&message)?;
            }
            io::Result::Ok(())
        });
        here.pin()?;
        let times = ping(&mut client, size, trips);
        cpus.unpin()?;
        join(echo)?;
        Ok(median(times?))
    })
}

/// How long each of so many messages takes to come back, in microseconds.
pub(super) fn ping(client: &mut (impl Read + Write), size: usize, trips: usize) -> io::Result<Vec<f64>> {
    let mut message = vec![7; size];
    let mut times = Vec::with_capacity(trips);
    for _ in 0..trips {
        let begin = Instant::now();
        client.write_all(&message)?;
        client.read_exact(&mut message)?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Sends a stream in messages of a size, and receives it.
pub(super) fn stream(
    pair: Pair,
    size: usize,
    stream: Stream,
    placement: Placement,
) -> Result<Transfer, StartError> {
    pair.set_nodelay(!matches!(stream, Stream::Nagle))?;
    let total = (size * MESSAGES).min(BYTES) / size * size;
    let windowed = !matches!(stream, Stream::OneWay);
    let Pair { mut client, mut server } = pair;
    let cpus = Cpus::allowed()?;
    let (here, there) = cpus.of(placement);
    let (begin, cpu) = (Instant::now(), process_time());
    thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            there.pin()?;
            let mut buffer = vec![0; WINDOW / 2];
            let (mut received, mut granted) = (0, 0);
            while received < total {
                received += match server.read(&mut buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    length => length,
                };
                while windowed && received - granted >= GRANT {
                    server.write_all(&UPDATE)?;
                    granted += GRANT;
                }
            }
            Ok(())
        });
        here.pin()?;
        let message = vec![7; size];
        let mut allowed = if windowed { WINDOW } else { usize::MAX };
        for sent in (0..total).step_by(size) {
            while allowed < sent + size {
                client.read_exact(&mut [0; UPDATE.len()])?;
                allowed += GRANT;
            }
            client.write_all(&message)?;
        }
        cpus.unpin()?;
        join(receiver)?;
        let elapsed = begin.elapsed();
        Ok(Transfer { bytes: u32::try_from(total)?, elapsed, cpu: process_time().saturating_sub(cpu) })
    })
}

/// The median time in microseconds until a connection has been made, carried a byte and been closed.
pub(super) fn set_up(listeners: &Listeners, transport: Transport) -> Result<f64, StartError> {
    let mut times = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let begin = Instant::now();
        let Pair { mut client, mut server } = listeners.connect(transport)?;
        client.write_all(&[0])?;
        server.read_exact(&mut [0])?;
        // The server first, so that the client's port does not wait to be used again.
        drop(server);
        drop(client);
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

/// The CPUs of this process.
pub(super) struct Cpus {
    all: CpuSet,
}

/// Where a thread is to run.
#[derive(Clone, Copy)]
pub(super) struct Place(CpuSet);

impl Cpus {
    pub(super) fn allowed() -> io::Result<Self> {
        Ok(Self { all: sched_getaffinity(None)? })
    }

    /// One place for each end.
    pub(super) fn of(&self, placement: Placement) -> (Place, Place) {
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| self.all.is_set(cpu));
        let first = cpus.next().unwrap_or_default();
        let second = match placement {
            Placement::OneCpu => first,
            Placement::TwoCpus => cpus.next().unwrap_or(first),
        };
        (Place::on(first), Place::on(second))
    }

    fn unpin(&self) -> io::Result<()> {
        Place(self.all).pin()
    }
}

impl Place {
    fn on(cpu: usize) -> Self {
        let mut set = CpuSet::new();
        set.set(cpu);
        Self(set)
    }

    /// Keeps this thread here.
    pub(super) fn pin(self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.0)?)
    }
}

fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What a thread has come to.
pub(super) fn join<T>(thread: ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a measuring thread has panicked")))
}
