//! `forebay sockaccel bench`: what acceleration is worth on this host.
//!
//! All transports run in one cgroup at the same time, and take turns: a round measures each once, and what is shown is
//! the median of the rounds, so whatever else the host does happens to all of them. TCP and redirected TCP differ in
//! nothing but the server's port, which the accelerator has been told or not.

mod arena;
mod chart;
mod client;
mod hop;
mod host;
mod namespace;
mod nodes;
mod otlp;
mod report;
mod sockets;
mod traffic;
mod transport;

use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use self::arena::Arena;
use self::report::{Samples, Table};
use self::traffic::{Placement, Stream};
use self::transport::{Listeners, Transport};
use crate::commands::fail;
use crate::components::StartError;

/// Bytes of a message: one span is some hundred, a batch some ten thousand.
const SIZES: [usize; 7] = [64, 512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10];

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Round trips of messages.
    RoundTrip,
    /// Streams of messages.
    Throughput,
    /// CPU time of a stream.
    Cpu,
    /// Making and closing connections.
    Connection,
    /// Exports of tonic's client to Forebay.
    Export,
    /// Exports through an agent to its gateway.
    Hop,
    /// Through a mesh's proxy.
    Mesh,
    /// To another node.
    Node,
}

/// Measures some parts so many rounds and prints tables; with a directory, draws them there too.
pub(crate) fn bench(cgroup: &Path, parts: &[Part], rounds: usize, svg: Option<&Path>) -> ExitCode {
    match measure(cgroup, parts, rounds.max(1), svg) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn measure(cgroup: &Path, parts: &[Part], rounds: usize, svg: Option<&Path>) -> Result<(), StartError> {
    if let Some(directory) = svg {
        fs::create_dir_all(directory)?;
    }
    // Outside of the cgroup that is accelerated: what is accepted there has no peer in reach.
    let elsewhere = nodes::Nodes::new();
    let arena = Arena::enter(cgroup)?;
    let listeners = Listeners::open()?;
    writeln!(stdout(), "{}\n", host::Host::read())?;
    for &part in parts {
        // Namespaces need more than the rest, and some hosts refuse them.
        let tables = match (part, &elsewhere) {
            (Part::Mesh, _) => nodes::mesh_leg(&arena, rounds).map(|table| vec![table]),
            (Part::Node, Ok(nodes)) => nodes.throughput(&arena, rounds).map(|table| vec![table]),
            (Part::Node, Err(error)) => Err(error.to_string().into()),
            _ => Ok(local(part, &arena, &listeners, rounds)?),
        };
        match tables {
            Ok(tables) => tables.iter().try_for_each(|table| show(table, svg))?,
            Err(error) => writeln!(stderr(), "not measured: {error}")?,
        }
    }
    Ok(())
}

/// The parts that stay on this host, in this network namespace.
fn local(part: Part, arena: &Arena, listeners: &Listeners, rounds: usize) -> Result<Vec<Table>, StartError> {
    let accelerate = || arena.accelerate(listeners.accelerated_port(), &[]);
    Ok(match part {
        Part::RoundTrip => {
            let _accelerated = accelerate()?;
            let table = |placement| round_trips(listeners, placement, rounds);
            vec![table(Placement::TwoCpus)?, table(Placement::OneCpu)?]
        }
        Part::Throughput => {
            let _accelerated = accelerate()?;
            let table = |stream, placement| throughput(listeners, stream, placement, rounds);
            vec![
                table(Stream::NoDelay, Placement::TwoCpus)?,
                table(Stream::NoDelay, Placement::OneCpu)?,
                table(Stream::Nagle, Placement::TwoCpus)?,
                table(Stream::OneWay, Placement::TwoCpus)?,
            ]
        }
        Part::Cpu => {
            let _accelerated = accelerate()?;
            vec![cpu_time(listeners, rounds)?]
        }
        Part::Connection => {
            let _accelerated = accelerate()?;
            vec![connections(listeners, rounds)?]
        }
        Part::Export => {
            let table = |placement| otlp::export(arena, placement, rounds);
            vec![table(Placement::TwoCpus)?, table(Placement::OneCpu)?]
        }
        Part::Hop => vec![hop::agent_to_gateway(arena, rounds)?],
        Part::Mesh | Part::Node => Vec::new(),
    })
}

fn show(table: &Table, svg: Option<&Path>) -> Result<(), StartError> {
    writeln!(stdout(), "{table}")?;
    svg.map_or(Ok(()), |directory| chart::draw(table, directory))
}

/// What each transport does in each round. They take turns, in one order and in the other: what comes first may find
/// another host than what follows it.
fn take_turns(
    rounds: usize,
    transports: &[Transport],
    mut measure: impl FnMut(Transport) -> Result<f64, StartError>,
) -> Result<Samples, StartError> {
    let mut samples = [const { Vec::new() }; 3];
    let mut order = transports.to_vec();
    for _ in 0..rounds {
        for &transport in &order {
            samples[transport as usize].push(measure(transport)?);
        }
        order.reverse();
    }
    Ok(samples)
}

fn by_size(
    title: &str,
    unit: &'static str,
    rounds: usize,
    mut measure: impl FnMut(usize, Transport) -> Result<f64, StartError>,
) -> Result<Table, StartError> {
    let mut table = Table::new(title, unit);
    for size in SIZES {
        table.row(
            &report::bytes(size),
            take_turns(rounds, &Transport::ALL, |transport| measure(size, transport))?,
        );
    }
    Ok(table)
}

fn round_trips(listeners: &Listeners, placement: Placement, rounds: usize) -> Result<Table, StartError> {
    let title = format!("Round trip of a message, median, {placement}");
    by_size(&title, "µs", rounds, |size, transport| {
        let pair = listeners.connect(transport)?;
        traffic::round_trip(pair, size, placement)
    })
}

fn throughput(
    listeners: &Listeners,
    stream: Stream,
    placement: Placement,
    rounds: usize,
) -> Result<Table, StartError> {
    let title = format!("Throughput by size of messages, {stream}, {placement}");
    by_size(&title, "MB/s", rounds, |size, transport| {
        let pair = listeners.connect(transport)?;
        Ok(traffic::stream(pair, size, stream, placement)?.megabytes_per_second())
    })
}

fn cpu_time(listeners: &Listeners, rounds: usize) -> Result<Table, StartError> {
    let mut table = Table::new("CPU time of both ends, messages of 16 KiB", "ms/GB");
    for (name, placement) in [("two CPUs", Placement::TwoCpus), ("one CPU", Placement::OneCpu)] {
        let samples = take_turns(rounds, &Transport::ALL, |transport| {
            let pair = listeners.connect(transport)?;
            Ok(traffic::stream(pair, 16 << 10, Stream::NoDelay, placement)?.cpu_milliseconds_per_gigabyte())
        })?;
        table.row(name, samples);
    }
    Ok(table)
}

fn connections(listeners: &Listeners, rounds: usize) -> Result<Table, StartError> {
    let mut table = Table::new("Making and closing a connection, median", "µs");
    table.row(
        "connection",
        take_turns(rounds, &Transport::ALL, |transport| traffic::set_up(listeners, transport))?,
    );
    Ok(table)
}
