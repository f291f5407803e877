//! The settings of `sockaccel`.

use std::path::PathBuf;

use forebay_config::Table;
use sockaccel_bpf::{Options, cgroup};

/// Settings of the extension `sockaccel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SockaccelConfig {
    /// Whether to attach, and whether that must succeed.
    pub(crate) mode: Mode,
    /// What to attach to.
    pub(crate) cgroup: PathBuf,
    /// Which connections.
    pub(crate) options: Options,
}

/// What becomes of a host that cannot accelerate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// TCP, and a line in the log.
    Auto,
    /// No start.
    Required,
    /// Nothing is attempted.
    Off,
}

/// OTLP over gRPC and over HTTP.
pub(crate) const PORTS: [u16; 2] = [4317, 4318];

impl SockaccelConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let defaults = Options::default();
        let modes = [("auto", Mode::Auto), ("required", Mode::Required), ("off", Mode::Off)];
        let options = Options {
            ports: ports(table, "ports").unwrap_or_else(|| PORTS.to_vec()),
            mesh_ports: ports(table, "mesh_ports").unwrap_or_default(),
            max_inflight_bytes: table.integer_or("max_inflight_bytes", 1.., defaults.max_inflight_bytes),
            allow_unsafe_kernel: table.bool_or("allow_unsafe_kernel", false),
            ..defaults
        };
        if options.ports.is_empty() {
            table.error("ports", "there are no ports, so nothing would be accelerated");
        }
        if options.ports.len() + options.mesh_ports.len() > Options::MAX_PORTS {
            let most = Options::MAX_PORTS;
            table.error("ports", format!("there are more than {most} ports, together with `mesh_ports`"));
        }
        Self {
            mode: table.choice_or("mode", &modes, Mode::Auto),
            cgroup: table.string("cgroup").map_or_else(default_cgroup, PathBuf::from),
            options,
        }
    }
}

/// All that this process can see.
pub(crate) fn default_cgroup() -> PathBuf {
    cgroup::mount().unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup"))
}

fn ports(table: &Table<'_>, key: &'static str) -> Option<Vec<u16>> {
    Some(table.list(key)?.iter().filter_map(|item| item.integer(1..)).collect())
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn otlp_is_accelerated_where_it_can_be_by_default() {
        let (config, problems) = read_str("{}", SockaccelConfig::read);
        assert!(problems.is_empty(), "{}", problems.render(false));
        assert_eq!(config.mode, Mode::Auto);
        assert_eq!(config.options, Options { ports: vec![4317, 4318], ..Options::default() });
    }

    #[test]
    fn all_keys_are_read() {
        let yaml = "{mode: required, cgroup: /sys/fs/cgroup/kubepods, ports: [4317], mesh_ports: [15001, 15006], \
                    max_inflight_bytes: 1000, allow_unsafe_kernel: true}";
        let (config, problems) = read_str(yaml, SockaccelConfig::read);
        assert!(problems.is_empty(), "{}", problems.render(false));
        let options = Options {
            ports: vec![4317],
            mesh_ports: vec![15001, 15006],
            max_inflight_bytes: 1000,
            allow_unsafe_kernel: true,
            ..Options::default()
        };
        let cgroup = PathBuf::from("/sys/fs/cgroup/kubepods");
        assert_eq!(config, SockaccelConfig { mode: Mode::Required, cgroup, options });
    }

    #[test]
    fn every_mistake_is_recorded() {
        let yaml = "{mode: maybe, ports: [0, 70000], max_inflight_bytes: 0, port: 4317}";
        let (_, problems) = read_str(yaml, SockaccelConfig::read);
        let text = problems.render(false);
        for key in ["mode", "ports[0]", "ports[1]", "max_inflight_bytes"] {
            assert!(text.contains(key), "{key}: {text}");
        }
        let (_, problems) = read_str("{ports: []}", SockaccelConfig::read);
        assert!(problems.render(false).contains("nothing would be accelerated"));
    }
}
