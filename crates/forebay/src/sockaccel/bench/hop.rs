//! Forebay's own hop: an agent and its gateway, two processes as in production.
//!
//! The agent answers a client once the gateway has answered the agent, so the time of an export has the hop in it.
//! The client comes by a Unix socket in all cases: only the hop differs.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::arena::Arena;
use super::client::exports;
use super::otlp::by_spans;
use super::report::Table;
use super::sockets::Sockets;
use super::transport::Transport;
use crate::components::StartError;
use crate::ports;
use crate::run::runtime;

/// A process of Forebay's, which ends when this is dropped.
struct Process(Child);

const GATEWAY: &str = include_str!("hop/gateway.yaml");
const AGENT: &str = include_str!("hop/agent.yaml");
/// What is logged once spans are taken.
const READY: &str = "everything is ready";

/// The median time of an export through an agent to a gateway, by the transport between them.
pub(super) fn agent_to_gateway(arena: &Arena, rounds: usize) -> Result<Table, StartError> {
    let sockets = Sockets::new("hop")?;
    let [plain, accelerated] = ports::free()?;
    let _accelerated = arena.accelerate([accelerated], &[])?;
    let start = |configuration| Process::start(configuration, &sockets, plain, accelerated);
    let (_gateway, _agent) = (start(GATEWAY)?, start(AGENT)?);
    let client = runtime(1)?;
    by_spans("Export through an agent to a gateway (two processes), median", rounds, |request, transport| {
        let agent = match transport {
            Transport::Tcp => "plain",
            Transport::Redirected => "accelerated",
            Transport::Unix => "unix",
        };
        client.block_on(exports(&sockets.endpoint(agent), request))
    })
}

impl Process {
    /// Returns when it is ready.
    fn start(configuration: &str, sockets: &Sockets, plain: u16, accelerated: u16) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(format!("--config=yaml:{configuration}")).stderr(Stdio::piped());
        command.env("SOCKETS", sockets.path());
        command.env("PLAIN", plain.to_string()).env("ACCELERATED", accelerated.to_string());
        let mut process = Self(command.spawn()?);
        let log = process.0.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains(READY)) {
            return Err(io::Error::other("an agent or a gateway does not start"));
        }
        // What it still says must go somewhere.
        thread::spawn(move || lines.for_each(drop));
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It holds nothing that anybody waits for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::Loader;

    use super::*;
    use crate::gates::Gates;
    use crate::settings::Settings;

    #[test]
    fn agent_and_gateway_have_configurations_without_mistakes() {
        let variable = |name: &str| Some(if name == "PLAIN" { "4317" } else { "4318" }.to_owned());
        for configuration in [GATEWAY, AGENT] {
            let loader = Loader::new(variable).config(format!("yaml:{configuration}"));
            let (node, diagnostics) = loader.load();
            let _ = Settings::read(&node.unwrap(), Gates::default(), &diagnostics);
            assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        }
    }
}
