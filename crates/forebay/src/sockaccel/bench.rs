//! `forebay sockaccel bench`: what acceleration is worth on this host.
//!
//! All transports run in one cgroup at the same time, and take turns: a round measures each once, and what is shown is
//! the median of the rounds, so whatever else the host does happens to all of them. TCP and redirected TCP differ in
//! nothing but the server's port, which the accelerator has been told or not.

mod arena;
mod chart;
mod client;
mod hop;
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

use self::arena::Arena;
use self::report::{Cell, Table, median};
use self::traffic::{Placement, Stream};
use self::transport::{Listeners, Transport};
use crate::commands::fail;
use crate::components::StartError;

/// Bytes of a message: one span is some hundred, a batch some ten thousand.
const SIZES: [usize; 7] = [64, 512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10];

/// Measures so many rounds and prints tables; with a directory, draws them there too.
pub(crate) fn bench(cgroup: &Path, rounds: usize, svg: Option<&Path>) -> ExitCode {
    match measure(cgroup, rounds.max(1), svg) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn measure(cgroup: &Path, rounds: usize, svg: Option<&Path>) -> Result<(), StartError> {
    if let Some(directory) = svg {
        fs::create_dir_all(directory)?;
    }
    // Outside of the cgroup that is accelerated: what is accepted there has no peer in reach.
    let elsewhere = nodes::Nodes::new();
    let arena = Arena::enter(cgroup)?;
    let listeners = Listeners::open()?;
    let accelerated = arena.accelerate(listeners.accelerated_port(), &[])?;
    show(&round_trips(&listeners, Placement::TwoCpus, rounds)?, svg)?;
    show(&round_trips(&listeners, Placement::OneCpu, rounds)?, svg)?;
    show(&throughput(&listeners, Stream::NoDelay, rounds)?, svg)?;
    show(&throughput(&listeners, Stream::Nagle, rounds)?, svg)?;
    show(&throughput(&listeners, Stream::OneWay, rounds)?, svg)?;
    show(&cpu_time(&listeners, rounds)?, svg)?;
    show(&connections(&listeners, rounds)?, svg)?;
    drop(accelerated);
    show(&otlp::export(&arena, rounds)?, svg)?;
    show(&hop::agent_to_gateway(&arena, rounds)?, svg)?;
    // Namespaces need more than the rest, and some hosts refuse them.
    for table in
        [nodes::mesh_leg(&arena, rounds), elsewhere.and_then(|nodes| nodes.throughput(&arena, rounds))]
    {
        match table {
            Ok(table) => show(&table, svg)?,
            Err(error) => writeln!(stderr(), "not measured: {error}")?,
        }
    }
    Ok(())
}

fn show(table: &Table, svg: Option<&Path>) -> Result<(), StartError> {
    writeln!(stdout(), "{table}")?;
    svg.map_or(Ok(()), |directory| chart::draw(table, directory))
}

/// The median over the rounds of what each transport does, which take turns.
fn take_turns(
    rounds: usize,
    mut measure: impl FnMut(Transport) -> Result<f64, StartError>,
) -> Result<[f64; 3], StartError> {
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (samples, transport) in samples.iter_mut().zip(Transport::ALL) {
            samples.push(measure(transport)?);
        }
    }
    Ok(samples.map(median))
}

fn by_size(
    title: &str,
    unit: &'static str,
    rounds: usize,
    mut measure: impl FnMut(usize, Transport) -> Result<f64, StartError>,
) -> Result<Table, StartError> {
    let mut table = Table::new(title, unit);
    for size in SIZES {
        let values = take_turns(rounds, |transport| measure(size, transport))?;
        table.row(&report::bytes(size), values.map(Cell::Measured));
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

fn throughput(listeners: &Listeners, stream: Stream, rounds: usize) -> Result<Table, StartError> {
    by_size(&format!("Throughput by size of messages, {stream}"), "MB/s", rounds, |size, transport| {
        Ok(traffic::stream(listeners.connect(transport)?, size, stream)?.megabytes_per_second())
    })
}

fn cpu_time(listeners: &Listeners, rounds: usize) -> Result<Table, StartError> {
    let mut table = Table::new("CPU time of both ends, messages of 16 KiB", "s/GB");
    let values = take_turns(rounds, |transport| {
        let transfer = traffic::stream(listeners.connect(transport)?, 16 << 10, Stream::NoDelay)?;
        Ok(transfer.cpu_seconds_per_gigabyte())
    })?;
    table.row("16 KiB", values.map(Cell::Measured));
    Ok(table)
}

fn connections(listeners: &Listeners, rounds: usize) -> Result<Table, StartError> {
    let mut table = Table::new("Making and closing a connection, median", "µs");
    table.row(
        "connection",
        take_turns(rounds, |transport| traffic::set_up(listeners, transport))?.map(Cell::Measured),
    );
    Ok(table)
}
