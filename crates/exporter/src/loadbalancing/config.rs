//! The keys of the exporter `loadbalancing`.

use forebay_config::Table;
use forebay_membership::{Membership, NameConfig};

use super::fleet::Member;
use crate::grpc::{ChannelConfig, GrpcConfig};
use crate::queue::QueueConfig;
use crate::retry::RetryConfig;
use crate::settings::SendingConfig;

/// `exporters::loadbalancing`, with the Collector's keys.
#[derive(Clone, Debug)]
pub struct LoadBalancingConfig {
    pub(super) routing_key: RoutingKey,
    pub(super) resolver: Resolver,
    /// How to reach a member, but for its address.
    pub(super) member: GrpcConfig,
    /// The queue in front, and the time limit of an attempt on one member.
    pub(super) sending: SendingConfig,
}

/// What spans that go to the same member have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingKey {
    /// `traceID`: their trace.
    TraceId,
    /// `service`: their resource's `service.name`.
    Service,
}

/// Where members are listed.
#[derive(Clone, Debug)]
pub(super) enum Resolver {
    /// `static`
    Static(Vec<Member>),
    /// `dns`
    Dns(NameConfig),
}

/// As a receiver `otlp` listens.
const PORT: u16 = 4317;

impl LoadBalancingConfig {
    /// Reads the exporter's mapping. `None` after a reported mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let routing_key = table.choice_or(
            "routing_key",
            &[("traceID", RoutingKey::TraceId), ("service", RoutingKey::Service)],
            RoutingKey::TraceId,
        );
        table.accept("timeout", "an attempt on one member has `protocol::otlp::timeout`");
        let otlp = table.section("protocol").section("otlp");
        otlp.accept("endpoint", "`resolver` says where members are");
        let member = GrpcConfig::read_settings(&otlp);
        let resolver = Resolver::read(&table.section("resolver"), &member.channel);
        let mut sending = member.sending.clone();
        // The Collector has a queue in front and one for each member; here they are one.
        if let Some(retry) = table.table("retry_on_failure") {
            sending.retry = RetryConfig::read(&retry);
        }
        if let Some(queue) = table.table("sending_queue") {
            sending.queue = QueueConfig::read(&queue);
        }
        Some(Self { routing_key, resolver: resolver?, member, sending })
    }
}

impl Resolver {
    fn read(table: &Table<'_>, channel: &ChannelConfig) -> Option<Self> {
        let help = "write `dns: {hostname: …}` with the name of a headless service";
        table.refuse_with_help("k8s", "the Kubernetes API is not asked for members", help);
        table.refuse_with_help("aws_cloud_map", "AWS Cloud Map is not asked for members", help);
        let listed = table.table("static").map(|list| Self::read_list(&list, channel));
        let named = table.table("dns").map(|dns| Self::read_name(&dns, channel));
        match (listed, named) {
            (Some(_), Some(_)) => {
                table.error("dns", "there are both `static` and `dns`");
                None
            }
            (Some(resolver), None) | (None, Some(resolver)) => resolver,
            (None, None) => {
                let help = "write `static: {hostnames: [gateway:4317]}` or `dns: {hostname: gateways}`";
                table.error_with_help("static", "nothing says where members are", help);
                None
            }
        }
    }

    fn read_list(table: &Table<'_>, channel: &ChannelConfig) -> Option<Self> {
        let mut members: Vec<Member> = Vec::new();
        for hostname in table.require("hostnames", table.strings("hostnames"))? {
            let endpoint = if has_port(&hostname) { hostname } else { format!("{hostname}:{PORT}") };
            let channel = channel
                .with_endpoint(&endpoint)
                .map_err(|problem| table.error("hostnames", format!("`{endpoint}` {problem}")))
                .ok()?;
            if members.iter().any(|member| *member.name == *endpoint) {
                table.error("hostnames", format!("`{endpoint}` is there twice"));
                return None;
            }
            members.push(Member { name: endpoint.into(), channel });
        }
        if members.is_empty() {
            table.error("hostnames", "there are no members");
            return None;
        }
        Some(Self::Static(members))
    }

    fn read_name(table: &Table<'_>, channel: &ChannelConfig) -> Option<Self> {
        let name = NameConfig::read(table, PORT)?;
        if let Err(problem) = channel.with_endpoint(&name.authority()) {
            table.error("hostname", format!("`{}` {problem}", name.hostname()));
            return None;
        }
        Some(Self::Dns(name))
    }

    /// Follows the list from now on. Must be called inside a runtime.
    pub(super) fn follow(self, channel: &ChannelConfig) -> Membership<Member> {
        match self {
            Self::Static(members) => Membership::listed(members),
            Self::Dns(name) => {
                let (authority, channel) = (name.authority(), channel.clone());
                Membership::named(name, move |address| {
                    let channel = channel.with_address(&authority, address).ok()?;
                    Some(Member { name: address.to_string().into(), channel })
                })
            }
        }
    }
}

/// Whether there is something behind the last colon that is not part of an address in brackets, or of a path.
fn has_port(hostname: &str) -> bool {
    hostname.rsplit_once(':').is_some_and(|(_, port)| !port.contains([']', '/']))
        || hostname.starts_with("unix:")
}
