//! What Linux knows about a process.

use std::{fs, time::Duration};

use nix::{time::ClockId, unistd::Pid};

use super::Error;

/// `/proc/stat` counts hundredths of a second on every Linux a collector runs on (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// User and system CPU time that process `pid` has used, to the nanosecond; of its dead children nothing.
///
/// # Errors
/// If the process is gone.
pub fn cpu_time(pid: u32) -> Result<Duration, Error> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into()?))?;
    Ok(clock.now()?.into())
}

/// CPU time that `core` has spent on anything but idling and waiting for disks.
///
/// # Errors
/// If there is no such core.
pub fn core_time(core: usize) -> Result<Duration, Error> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let line = stat
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut fields| (fields.next()? == name).then_some(fields));
    let fields: Vec<_> = line.ok_or_else(|| format!("there is no core {core}"))?.collect();
    // user nice system idle iowait irq softirq steal
    let ticks = ticks(
        fields
            .iter()
            .enumerate()
            .filter(|(index, _)| matches!(index, 0..=2 | 5..=7))
            .map(|(_, ticks)| *ticks),
    )?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

fn ticks<'a>(fields: impl Iterator<Item = &'a str>) -> Result<u64, Error> {
    Ok(fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

/// Resident memory of process `pid` in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most it ever was.
    pub peak: u64,
}

/// How much memory process `pid` has and had.
///
/// # Errors
/// If the process is gone.
pub fn memory(pid: u32) -> Result<Memory, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let bytes = |key: &str| -> Result<u64, Error> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .ok_or_else(|| format!("no {key} in /proc/PID/status"))?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    Ok(Memory { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_uses_cpu_and_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
        let spent = cpu_time(std::process::id()).unwrap();
        assert!(spent > Duration::ZERO && spent < core_time(0).unwrap() + Duration::from_secs(3600));
        assert!(cpu_time(std::process::id()).unwrap() > spent);
    }
}
