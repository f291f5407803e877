//! Which coordinators there are: a list, or the addresses that a name has.
//!
//! A name is looked up time and again, as the Collector's `load_balancing` exporter does. One that cannot be looked
//! up, or has no addresses, changes nothing: coordinators that are known are better than none.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::Table;
use forebay_exporter::grpc::ChannelConfig;
use forebay_pipeline::Throttle;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

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
    /// `dns`
    Named(Box<NameConfig>),
}

/// A name that all coordinators have.
#[derive(Clone, Debug)]
pub struct NameConfig {
    hostname: String,
    port: u16,
    /// How often it is looked up.
    interval: Duration,
    /// How long that may take.
    timeout: Duration,
    /// How to reach each of them.
    channel: ChannelConfig,
}

/// Follows the list of coordinators until it is dropped.
#[derive(Debug)]
pub struct Membership {
    members: watch::Receiver<Vec<Member>>,
    task: Option<JoinHandle<()>>,
}

/// As a coordinator listens unless told otherwise.
const PORT: u16 = 4319;
/// Of the Collector's `load_balancing` exporter.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(1);

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
            (None, Some(dns)) => NameConfig::read(&dns, channel).map(|name| Self::Named(Box::new(name))),
            _ => {
                let help = "write `endpoints: [coordinator:4319]` or `dns: {hostname: coordinators}`";
                table.error_with_help("endpoints", "there are no coordinators", help);
                None
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

impl NameConfig {
    fn read(table: &Table<'_>, channel: ChannelConfig) -> Option<Self> {
        let hostname = table.require("hostname", table.string("hostname"));
        let port = table.integer_or("port", 1..=u16::MAX, PORT);
        let positive = |key, default| {
            let duration = table.duration_or(key, default);
            if duration.is_zero() {
                table.error(key, format!("`{key}` must be more than 0"));
            }
            duration
        };
        let (interval, timeout) = (positive("interval", INTERVAL), positive("timeout", TIMEOUT));
        let config = Self { hostname: hostname?, port, interval, timeout, channel };
        if let Err(problem) = config.channel.with_endpoint(&config.name()) {
            table.error("hostname", format!("`{}` {problem}", config.hostname));
            return None;
        }
        Some(config)
    }

    /// What requests and certificates name.
    fn name(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }

    /// The members at these addresses, in order.
    fn members(&self, mut addresses: Vec<SocketAddr>) -> Vec<Member> {
        addresses.sort_unstable();
        addresses.dedup();
        let member = |address: SocketAddr| {
            let channel = self.channel.with_address(&self.name(), address).ok()?;
            Some(Member { address: address.to_string().into(), reach: Reach::Channel(Box::new(channel)) })
        };
        addresses.into_iter().filter_map(member).collect()
    }
}

impl Membership {
    /// Follows the list from now on. Must be called inside a runtime.
    #[must_use]
    pub fn start(config: MembersConfig) -> Self {
        match config {
            MembersConfig::Listed(members) => Self { members: watch::channel(members).1, task: None },
            MembersConfig::Named(config) => {
                let (sender, members) = watch::channel(Vec::new());
                let look_up = async |name: &NameConfig| {
                    Ok(lookup_host((name.hostname.as_str(), name.port)).await?.collect())
                };
                Self { members, task: Some(tokio::spawn(follow(*config, sender, look_up))) }
            }
        }
    }

    /// The coordinators that there are, always up to date; none until a name has been looked up.
    #[must_use]
    pub fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.clone()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Looks a name up whenever it is time, until nobody follows any more.
async fn follow(
    config: NameConfig,
    members: watch::Sender<Vec<Member>>,
    look_up: impl AsyncFn(&NameConfig) -> io::Result<Vec<SocketAddr>>,
) {
    let logged = Throttle::new();
    let mut times = interval(config.interval);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = times.tick() => {}
            () = members.closed() => return,
        }
        let problem = match timeout(config.timeout, look_up(&config)).await {
            Ok(Ok(addresses)) if addresses.is_empty() => "it has no addresses".to_owned(),
            Ok(Ok(addresses)) => {
                let found = config.members(addresses);
                members.send_if_modified(|known| {
                    let same = known
                        .iter()
                        .map(|member| &member.address)
                        .eq(found.iter().map(|member| &member.address));
                    if !same {
                        *known = found;
                    }
                    !same
                });
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", config.timeout),
        };
        if let Some(withheld) = logged.pass() {
            tracing::warn!(hostname = config.hostname, problem, withheld, "cannot look up the coordinators");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

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
        let membership = Membership::start(config.unwrap());
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
            ("dns: {hostname: a, interval: 0s}", "more than 0"),
            ("{endpoints: ['a:1'], endpoint: 'b:1'}", "unknown key"),
        ] {
            let (_, diagnostics) = read_str(yaml, MembersConfig::read);
            assert!(diagnostics.render(false).contains(problem), "{yaml}: {}", diagnostics.render(false));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_followed_and_failures_change_nothing() {
        let (config, _) = read_str("dns: {hostname: coordinators}", MembersConfig::read);
        let Some(MembersConfig::Named(config)) = config else { panic!("{config:?}") };
        let at = |last| SocketAddr::from(([10, 0, 0, last], 4319));
        let answers = Mutex::new(VecDeque::from([
            Err(io::ErrorKind::NotFound.into()),
            Ok(vec![at(2), at(1), at(2)]),
            Ok(vec![]),
            Ok(vec![at(1), at(2)]),
            Ok(vec![at(1), at(3)]),
        ]));
        let (sender, mut members) = watch::channel(Vec::new());
        let begun = tokio::time::Instant::now();
        let answer = || answers.lock().unwrap().pop_front();
        let look_up = async |_: &NameConfig| match answer() {
            Some(answer) => answer,
            None => std::future::pending().await,
        };
        let watching = async {
            members.changed().await.unwrap();
            assert_eq!(addresses(&members.borrow_and_update()), ["10.0.0.1:4319", "10.0.0.2:4319"]);
            assert_eq!(begun.elapsed(), Duration::from_secs(5));
            members.changed().await.unwrap();
            assert_eq!(addresses(&members.borrow_and_update()), ["10.0.0.1:4319", "10.0.0.3:4319"]);
            assert_eq!(begun.elapsed(), Duration::from_secs(20));
            drop(members);
        };
        tokio::join!(follow(*config, sender, look_up), watching);
    }
}
