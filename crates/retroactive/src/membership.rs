//! Which coordinators there are, and how to reach each of them.

use std::sync::Arc;

use forebay_config::Table;
use forebay_exporter::grpc::ChannelConfig;
use forebay_membership::{Membership, NameConfig};

use crate::loopback::Loopback;

/// A coordinator that agents may connect to.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id for ownership: the endpoint as it is configured, or the address that a name has.
    pub address: Arc<str>,
    /// How to reach it.
    pub reach: Reach,
}

/// How to reach a coordinator.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Over the network.
    Channel(Box<ChannelConfig>),
    /// In this process.
    Loopback(Loopback),
}

/// Where coordinators are listed.
#[derive(Clone, Debug)]
pub enum MembersConfig {
    /// `endpoints`
    Listed(Vec<Member>),
    /// `dns`, and how to reach each of the addresses
    Named(Box<(NameConfig, ChannelConfig)>),
}

/// As a coordinator listens unless told otherwise.
const PORT: u16 = 4319;

impl MembersConfig {
    /// Reads `endpoints` or `dns`, and beside them what gRPC clients have. `None` after a reported mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        table.accept("compression", "reports are columns that do not compress any further");
        let channel = ChannelConfig::read_settings(table);
        match (table.strings("endpoints"), table.table("dns")) {
            (Some(_), Some(_)) => {
                table.error("dns", "there are both `endpoints` and `dns`");
                None
            }
            (Some(endpoints), None) if !endpoints.is_empty() => listed(table, &endpoints, &channel),
            (None, Some(dns)) => named(&dns, channel),
            _ => {
                let help = "write `endpoints: [coordinator:4319]` or `dns: {hostname: coordinators}`";
                table.error_with_help("endpoints", "there are no coordinators", help);
                None
            }
        }
    }

    /// Follows the list from now on. Must be called inside a runtime.
    #[must_use]
    pub fn follow(self) -> Membership<Member> {
        match self {
            Self::Listed(members) => Membership::listed(members),
            Self::Named(named) => {
                let (name, channel) = *named;
                let authority = name.authority();
                Membership::named(name, move |address| {
                    let channel = channel.with_address(&authority, address).ok()?;
                    Some(Member {
                        address: address.to_string().into(),
                        reach: Reach::Channel(Box::new(channel)),
                    })
                })
            }
        }
    }
}

fn listed(table: &Table<'_>, endpoints: &[String], channel: &ChannelConfig) -> Option<MembersConfig> {
    let mut members: Vec<Member> = Vec::new();
    for endpoint in endpoints {
        let channel = channel
            .with_endpoint(endpoint)
            .map_err(|problem| table.error("endpoints", format!("endpoint `{endpoint}` {problem}")))
            .ok()?;
        if members.iter().any(|member| *member.address == **endpoint) {
            table.error("endpoints", format!("`{endpoint}` is there twice"));
            return None;
        }
        members.push(Member { address: endpoint.as_str().into(), reach: Reach::Channel(Box::new(channel)) });
    }
    Some(MembersConfig::Listed(members))
}

fn named(table: &Table<'_>, channel: ChannelConfig) -> Option<MembersConfig> {
    let name = NameConfig::read(table, PORT)?;
    if let Err(problem) = channel.with_endpoint(&name.authority()) {
        table.error("hostname", format!("`{}` {problem}", name.hostname()));
        return None;
    }
    Some(MembersConfig::Named(Box::new((name, channel))))
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    fn addresses(members: &[Member]) -> Vec<&str> {
        members.iter().map(|member| &*member.address).collect()
    }

    #[tokio::test]
    async fn a_list_is_what_it_is() {
        let yaml =
            "{endpoints: ['b:4319', 'a:4319'], tls: {insecure: true}, headers: {authorization: Bearer x}}";
        let (config, diagnostics) = read_str(yaml, MembersConfig::read);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let membership = config.unwrap().follow();
        assert_eq!(addresses(&membership.members().borrow()), ["b:4319", "a:4319"]);
    }

    #[test]
    fn mistakes_are_told() {
        for (yaml, problem) in [
            ("{}", "no coordinators"),
            ("endpoints: []", "no coordinators"),
            ("endpoints: [nowhere]", "has no port"),
            ("endpoints: ['a:1', 'a:1']", "twice"),
            ("{endpoints: ['a:1'], dns: {hostname: a}}", "both"),
            ("dns: {}", "`hostname` is required"),
            ("dns: {hostname: 'a b'}", "is not a host"),
            ("{endpoints: ['a:1'], endpoint: 'b:1'}", "unknown key"),
        ] {
            let (_, diagnostics) = read_str(yaml, MembersConfig::read);
            assert!(diagnostics.render(false).contains(problem), "{yaml}: {}", diagnostics.render(false));
        }
    }
}
