//! A strategy's configuration as a process runs it: what is laid over it so that it listens, and sends, where it should.
//!
//! Whatever receivers and exporters its pipelines for traces have, others take their places. All of it is in the
//! Collector's words, so a Collector understands it too, as far as it knows the strategy's processors.

use std::fmt::Write as _;
use std::net::SocketAddr;

use forebay::embedded::Outline;

/// What a process is connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connections {
    /// Where it listens for OTLP over gRPC.
    pub listen: SocketAddr,
    /// Where it sends what it keeps.
    pub out: SocketAddr,
    /// Where its coordinator listens, or where its agents find theirs.
    pub coordinator: SocketAddr,
    /// How what it sends is compressed.
    pub compression: Compression,
}

/// How exporters compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Each request by zstd.
    Zstd,
}

impl Connections {
    /// What to lay over a configuration of this outline, as YAML.
    pub(super) fn over(&self, outline: &Outline) -> String {
        let Self { listen, out, coordinator, compression } = self;
        let compression = match compression {
            Compression::None => "none",
            Compression::Zstd => "zstd",
        };
        let mut yaml = format!(
            "receivers: {{otlp/bench: {{protocols: {{grpc: {{endpoint: '{listen}'}}}}}}}}\n\
             exporters: {{otlp_grpc/bench: {{endpoint: '{out}', tls: {{insecure: true}}, compression: {compression}}}}}\n"
        );
        let each = |ids: &[String], settings: &str| -> String {
            let entries: Vec<_> = ids.iter().map(|id| format!("{id}: {settings}")).collect();
            entries.join(", ")
        };
        // Writing to a string does not fail.
        if !outline.coordinators.is_empty() {
            let extensions = each(&outline.coordinators, &format!("{{endpoint: '{coordinator}'}}"));
            let _ = writeln!(yaml, "extensions: {{{extensions}}}");
        }
        if !outline.agents.is_empty() {
            let members =
                format!("{{coordinators: {{endpoints: ['{coordinator}'], tls: {{insecure: true}}}}}}");
            let _ = writeln!(yaml, "processors: {{{}}}", each(&outline.agents, &members));
        }
        let pipelines = each(&outline.pipelines, "{receivers: [otlp/bench], exporters: [otlp_grpc/bench]}");
        let extensions = outline.coordinators.join(", ");
        let _ = writeln!(
            yaml,
            "service: {{extensions: [{extensions}], telemetry: {{metrics: {{level: none}}}}, pipelines: {{{pipelines}}}}}"
        );
        yaml
    }
}

#[cfg(test)]
mod tests {
    use forebay::embedded::Program;

    use super::*;
    use crate::{Traffic, builtin};

    #[test]
    fn every_builtin_strategy_can_be_connected() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let connections = Connections {
            listen: address(1),
            out: address(2),
            coordinator: address(3),
            compression: Compression::Zstd,
        };
        let traffic =
            Traffic { traces_per_second: 12.0, spans_per_second: 100.0, slow_ms: 250, decision_wait: 10 };
        for strategy in builtin(&traffic).unwrap() {
            for program in strategy.agent.iter().chain(&strategy.gateway) {
                let over = format!("yaml:{}", connections.over(&program.outline()));
                let connected = Program::read([format!("yaml:{}", program.yaml()), over]).unwrap();
                let yaml = connected.yaml();
                assert!(yaml.contains("127.0.0.1:1") && yaml.contains("127.0.0.1:2"), "{yaml}");
                assert_eq!(yaml.contains("127.0.0.1:3"), strategy.name.contains("retroactive"), "{yaml}");
                assert_eq!(connected.outline(), program.outline());
            }
        }
    }
}
