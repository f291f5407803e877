//! Which peers there are: a list, or the addresses that a name has.
//!
//! A name is looked up time and again, as the Collector's `load_balancing` exporter does. One that cannot be looked
//! up, or has no addresses, changes nothing: peers that are known are better than none.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use forebay_config::Table;
use forebay_pipeline::Throttle;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A name that all peers have: `hostname`, `port`, `interval` and `timeout`.
#[derive(Clone, Debug)]
pub struct NameConfig {
    hostname: String,
    port: u16,
    /// How often it is looked up.
    interval: Duration,
    /// How long that may take.
    timeout: Duration,
}

/// Follows the list of peers until it is dropped.
#[derive(Debug)]
pub struct Membership<M> {
    members: watch::Receiver<Vec<M>>,
    task: Option<JoinHandle<()>>,
}

/// Of the Collector's `load_balancing` exporter.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(1);

impl NameConfig {
    /// Reads the mapping; without `port` it is the one given. `None` after a reported mistake.
    #[must_use]
    pub fn read(table: &Table<'_>, port: u16) -> Option<Self> {
        let hostname = table.require("hostname", table.string("hostname"));
        let port = table.integer_or("port", 1..=u16::MAX, port);
        let positive = |key, default| {
            let duration = table.duration_or(key, default);
            if duration.is_zero() {
                table.error(key, format!("`{key}` must be more than 0"));
            }
            duration
        };
        let (interval, timeout) = (positive("interval", INTERVAL), positive("timeout", TIMEOUT));
        Some(Self { hostname: hostname?, port, interval, timeout })
    }

    /// What requests and certificates name: `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }

    /// The name without its port.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.hostname
    }
}

impl<M: Send + Sync + 'static> Membership<M> {
    /// Peers that are always the same.
    #[must_use]
    pub fn listed(members: Vec<M>) -> Self {
        Self::following(watch::channel(members).1)
    }

    /// Peers that somebody else finds.
    #[must_use]
    pub fn following(members: watch::Receiver<Vec<M>>) -> Self {
        Self { members, task: None }
    }

    /// Looks a name up from now on; `member` says who is at an address. Must be called inside a runtime.
    #[must_use]
    pub fn named(name: NameConfig, member: impl Fn(SocketAddr) -> Option<M> + Send + Sync + 'static) -> Self {
        let (sender, members) = watch::channel(Vec::new());
        let look_up =
            async |name: &NameConfig| Ok(lookup_host((name.hostname.as_str(), name.port)).await?.collect());
        Self { members, task: Some(tokio::spawn(follow(name, sender, member, look_up))) }
    }

    /// The peers that there are, always up to date; none until a name has been looked up.
    #[must_use]
    pub fn members(&self) -> watch::Receiver<Vec<M>> {
        self.members.clone()
    }
}

impl<M> Drop for Membership<M> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Looks a name up whenever it is time, until nobody follows any more.
async fn follow<M>(
    name: NameConfig,
    members: watch::Sender<Vec<M>>,
    member: impl Fn(SocketAddr) -> Option<M>,
    look_up: impl AsyncFn(&NameConfig) -> io::Result<Vec<SocketAddr>>,
) {
    let logged = Throttle::new();
    let mut known = Vec::new();
    let mut times = interval(name.interval);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = times.tick() => {}
            () = members.closed() => return,
        }
        let problem = match timeout(name.timeout, look_up(&name)).await {
            Ok(Ok(addresses)) if addresses.is_empty() => "it has no addresses".to_owned(),
            Ok(Ok(mut addresses)) => {
                addresses.sort_unstable();
                addresses.dedup();
                if addresses != known {
                    members.send_replace(addresses.iter().copied().filter_map(&member).collect());
                    known = addresses;
                }
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", name.timeout),
        };
        if let Some(withheld) = logged.pass() {
            tracing::warn!(hostname = name.hostname, problem, withheld, "cannot look up the peers");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use forebay_config::read_str;

    use super::*;

    fn read(yaml: &str) -> (Option<NameConfig>, String) {
        let (config, diagnostics) = read_str(yaml, |table| NameConfig::read(table, 4319));
        (config, diagnostics.render(false))
    }

    #[tokio::test]
    async fn a_list_is_what_it_is() {
        assert_eq!(*Membership::listed(vec!["b", "a"]).members().borrow(), ["b", "a"]);
    }

    #[test]
    fn mistakes_are_told() {
        for (yaml, problem) in
            [("{}", "`hostname` is required"), ("{hostname: a, interval: 0s}", "more than 0")]
        {
            let (_, told) = read(yaml);
            assert!(told.contains(problem), "{yaml}: {told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_followed_and_failures_change_nothing() {
        let (config, _) = read("hostname: peers");
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
            assert_eq!(*members.borrow_and_update(), [at(1), at(2)]);
            assert_eq!(begun.elapsed(), Duration::from_secs(5));
            members.changed().await.unwrap();
            assert_eq!(*members.borrow_and_update(), [at(1), at(3)]);
            assert_eq!(begun.elapsed(), Duration::from_secs(20));
            drop(members);
        };
        tokio::join!(follow(config.unwrap(), sender, Some, look_up), watching);
    }
}
