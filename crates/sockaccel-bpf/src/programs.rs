//! The kernel's side: loaded, configured and attached.

use std::fs::File;

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, SockHash};
use aya::programs::{CgroupAttachMode, CgroupSockopt, Program, ProgramError, SkMsg, SockOps};
use aya::{Ebpf, EbpfError, EbpfLoader};
use thiserror::Error;

use crate::options::Options;
use crate::stats::Stats;

/// Programs that are attached until this is dropped, or the process ends in whatever way.
///
/// Connections that are redirected then stay so until they close: the programs live on in their sockets.
pub(crate) struct Programs {
    config: Array<MapData, Config>,
    stats: PerCpuArray<MapData, u64>,
    /// The programs, and what attaches them.
    loaded: Ebpf,
}

/// Why the programs cannot be used.
#[derive(Debug, Error)]
pub enum ProgramsError {
    /// The kernel does not take the object.
    #[error("the kernel does not load the programs: {0}")]
    Load(#[from] EbpfError),
    /// The kernel's verifier does not take a program, in most cases because the kernel is older than what it calls.
    #[error("this kernel does not run `{program}`: {reason}; use Linux 6.6.68, 6.12.7, 6.13 or newer")]
    Refused {
        /// Which.
        program: &'static str,
        /// What the verifier says.
        reason: String,
    },
    /// The kernel does not take a program, or does not attach it.
    #[error("the kernel does not run the programs: {0}")]
    Program(#[from] ProgramError),
    /// A map cannot be read or written.
    #[error("the programs' tables cannot be used: {0}")]
    Map(#[from] MapError),
    /// The object is not the one that this was written for.
    #[error("the object has no `{0}`: it is not of this version")]
    Missing(&'static str),
}

/// `struct config` of `bpf/sockaccel.h`: enabled, mesh, max_unread, netns.
type Config = [u64; 4];
/// `struct key` of `bpf/sockaccel.bpf.c`.
type Key = [u32; 3];

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SOCKACCEL_OBJECT"));

impl Programs {
    /// Loads the programs and attaches them to a cgroup.
    pub(crate) fn attach(cgroup: &File, options: &Options) -> Result<Self, ProgramsError> {
        Self::attach_object(OBJECT, cgroup, options)
    }

    fn attach_object(object: &[u8], cgroup: &File, options: &Options) -> Result<Self, ProgramsError> {
        let mut loaded = EbpfLoader::new()
            .map_max_entries("SOCKETS", options.max_sockets)
            .map_max_entries("PEERS", options.max_sockets)
            .load(object)?;
        let mut ports: HashMap<MapData, u16, u8> = take(&mut loaded, "PORTS")?;
        for port in options.ports.iter().chain(&options.mesh_ports) {
            ports.insert(port, 1, 0)?;
        }
        let mut programs =
            Self { config: take(&mut loaded, "CONFIG")?, stats: take(&mut loaded, "STATS")?, loaded };
        programs.configure(true, options)?;
        programs.run(cgroup)?;
        Ok(programs)
    }

    /// Sets what may change while the programs run.
    pub(crate) fn configure(&mut self, enabled: bool, options: &Options) -> Result<(), ProgramsError> {
        let mesh = !options.mesh_ports.is_empty();
        let netns = options.network_namespace.unwrap_or_default();
        let config = [u64::from(enabled), u64::from(mesh), options.max_inflight_bytes, netns];
        Ok(self.config.set(0, config, 0)?)
    }

    /// What has been counted so far.
    pub(crate) fn stats(&self) -> Result<Stats, ProgramsError> {
        Stats::read(|counter| Ok(self.stats.get(&(counter as u32), 0)?.iter().sum()))
    }

    fn run(&mut self, cgroup: &File) -> Result<(), ProgramsError> {
        let sockets: SockHash<MapData, Key> = take(&mut self.loaded, "SOCKETS")?;
        let messages: &mut SkMsg = program(&mut self.loaded, "sockaccel_message")?;
        messages.load().map_err(|error| refused("sockaccel_message", error))?;
        messages.attach(sockets.fd())?;
        // Links to a cgroup always allow others beside them, whatever this mode says.
        let mode = CgroupAttachMode::Single;
        let options: &mut CgroupSockopt = program(&mut self.loaded, "sockaccel_option")?;
        options.load().map_err(|error| refused("sockaccel_option", error))?;
        options.attach(cgroup, mode)?;
        // Last: from here on, sockets come.
        let connections: &mut SockOps = program(&mut self.loaded, "sockaccel_connection")?;
        connections.load().map_err(|error| refused("sockaccel_connection", error))?;
        connections.attach(cgroup, mode)?;
        Ok(())
    }
}

/// Puts a verifier's log, which may be long, in few words.
fn refused(program: &'static str, error: ProgramError) -> ProgramsError {
    let ProgramError::LoadError { verifier_log, .. } = &error else { return error.into() };
    match reason(&verifier_log.to_string()) {
        Some(reason) => ProgramsError::Refused { program, reason: reason.to_owned() },
        None => error.into(),
    }
}

/// The last words of a verifier's log but for its statistics.
fn reason(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 3] = ["processed ", "stack depth ", "verification time "];
    let is_reason = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start));
    log.lines().map(str::trim).rfind(is_reason)
}

fn take<T: TryFrom<aya::maps::Map, Error = MapError>>(
    loaded: &mut Ebpf,
    name: &'static str,
) -> Result<T, ProgramsError> {
    Ok(loaded.take_map(name).ok_or(ProgramsError::Missing(name))?.try_into()?)
}

fn program<'a, T>(loaded: &'a mut Ebpf, name: &'static str) -> Result<T, ProgramsError>
where
    T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    Ok(loaded.program_mut(name).ok_or(ProgramsError::Missing(name))?.try_into()?)
}

#[cfg(test)]
mod tests;
