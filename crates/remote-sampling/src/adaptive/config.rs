//! The settings of adaptive sampling: Jaeger's keys and defaults, and some of our own.

use std::path::PathBuf;
use std::time::Duration;

use forebay_config::Table;
use http::Uri;

use super::formula::Goals;
use super::peers;
#[cfg(feature = "redis")]
use super::redis::RedisConfig;

/// The settings of the source `adaptive`.
#[derive(Clone, Debug)]
pub struct AdaptiveConfig {
    pub(crate) goals: Goals,
    /// What survives a restart.
    pub(crate) state_file: Option<PathBuf>,
    /// How to hear of other gateways that count traces of the same services.
    pub(crate) means: MeansConfig,
}

/// Where other gateways' counts are.
#[derive(Clone, Debug)]
pub(crate) enum MeansConfig {
    /// With each of them; none if there are no others.
    Peers(Vec<Uri>),
    #[cfg(feature = "redis")]
    Redis(RedisConfig),
}

/// The least interval: below, clients know nothing of most probabilities.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const REDIS_PREFIX: &str = "forebay:adaptive";
/// No target is larger.
const RATE_MAX: f64 = 1e9;

impl Default for AdaptiveConfig {
    fn default() -> Self {
        let goals = Goals {
            per_operation: 1.0,
            per_service: None,
            initial: 0.001,
            least: 1e-5,
            lower_bound: 1.0 / 60.0,
            tolerance: 0.3,
            interval: Duration::from_secs(60),
            max_services: 500,
            max_operations: 200,
        };
        Self { goals, state_file: None, means: MeansConfig::Peers(Vec::new()) }
    }
}

impl AdaptiveConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let rate = |key, default: f64| table.float_or(key, f64::MIN_POSITIVE..=RATE_MAX, default);
        let probability = |key, default: f64| table.float_or(key, f64::MIN_POSITIVE..=1.0, default);
        let goals = Goals {
            per_operation: rate("target_samples_per_second", default.goals.per_operation),
            per_service: table.float("target_samples_per_second_per_service", f64::MIN_POSITIVE..=RATE_MAX),
            initial: probability("initial_sampling_probability", default.goals.initial),
            least: probability("min_sampling_probability", default.goals.least),
            lower_bound: table.float_or("min_samples_per_second", 0.0..=RATE_MAX, default.goals.lower_bound),
            tolerance: table.float_or("delta_tolerance", 0.0..=1.0, default.goals.tolerance),
            interval: table.duration_or("calculation_interval", default.goals.interval),
            max_services: table.integer_or("max_services", 1.., default.goals.max_services),
            max_operations: table.integer_or("max_operations", 1.., default.goals.max_operations),
        };
        if goals.interval < INTERVAL_MIN {
            table.error("calculation_interval", "is below 1s: clients ask once a minute");
        }
        if goals.least > goals.initial {
            table.error("min_sampling_probability", "is above `initial_sampling_probability`");
        }
        table.accept("sampling_store", "counts are held in memory and shared with `peers`");
        table.accept("delay", "there is no store that could lag behind");
        for key in ["aggregation_buckets", "calculation_buckets"] {
            table.accept(key, "the last `calculation_interval` counts");
        }
        for key in ["leader_lease_refresh_interval", "follower_lease_refresh_interval"] {
            table.accept(key, "every gateway calculates for itself, from the counts of all");
        }
        Self {
            goals,
            state_file: table.string("state_file").filter(|path| !path.is_empty()).map(PathBuf::from),
            means: MeansConfig::read(table),
        }
    }
}

impl MeansConfig {
    fn read(table: &Table<'_>) -> Self {
        let peers = table.strings("peers").unwrap_or_default();
        let peers: Vec<_> = peers
            .iter()
            .filter_map(|peer| peers::url(peer).map_err(|problem| table.error("peers", problem)).ok())
            .collect();
        let redis = table.get("redis").filter(|redis| !redis.is_null()).and_then(|redis| redis.table());
        let Some(redis) = redis else { return Self::Peers(peers) };
        if table.has("peers") {
            table.error("redis", "gateways meet in Redis or ask their `peers`, not both");
        }
        let url = redis.require("url", redis.string("url"));
        redis.default("prefix", REDIS_PREFIX);
        let prefix = redis.string("prefix").unwrap_or_else(|| REDIS_PREFIX.to_owned());
        url.and_then(|url| open_redis(&redis, &url, prefix)).unwrap_or(Self::Peers(peers))
    }
}

#[cfg(feature = "redis")]
fn open_redis(table: &Table<'_>, url: &str, prefix: String) -> Option<MeansConfig> {
    let client = redis::Client::open(url).map_err(|error| {
        table.error("url", format!("is not the address of a Redis server (redis://host:6379): {error}"));
    });
    Some(MeansConfig::Redis(RedisConfig { client: client.ok()?, prefix }))
}

#[cfg(not(feature = "redis"))]
fn open_redis(table: &Table<'_>, _url: &str, _prefix: String) -> Option<MeansConfig> {
    table.error("url", "this build has no Redis: build it with `--features redis`, or use `peers`");
    None
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn the_defaults_are_jaegers() {
        let (config, diagnostics) = read_str("{}", AdaptiveConfig::read);
        assert!(diagnostics.is_empty());
        assert_eq!(config.goals, AdaptiveConfig::default().goals);
        assert!(matches!(config.means, MeansConfig::Peers(peers) if peers.is_empty()));
    }

    #[test]
    fn jaegers_keys_are_known() {
        let (config, diagnostics) = read_str(
            "{sampling_store: memory, initial_sampling_probability: 0.1, target_samples_per_second: 5, \
             delta_tolerance: 0.2, calculation_interval: 30s, aggregation_buckets: 10, calculation_buckets: 1, \
             delay: 2m, min_sampling_probability: 0.001, min_samples_per_second: 0.5, \
             leader_lease_refresh_interval: 5s, follower_lease_refresh_interval: 60s}",
            AdaptiveConfig::read,
        );
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        let goals = config.goals;
        assert_eq!((goals.initial, goals.per_operation, goals.tolerance), (0.1, 5.0, 0.2));
        assert_eq!((goals.least, goals.lower_bound, goals.interval), (0.001, 0.5, Duration::from_secs(30)));
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for yaml in [
            "target_samples_per_second: 0",
            "target_samples_per_second: .nan",
            "target_samples_per_second_per_service: -1",
            "initial_sampling_probability: 1.5",
            "{initial_sampling_probability: 0.001, min_sampling_probability: 0.01}",
            "min_sampling_probability: 0",
            "calculation_interval: 10ms",
            "max_operations: 0",
            "peers: ['gateway:5778']",
            "peers: ['http://gateway:5778/path']",
            "redis: {url: 'http://gateway'}",
            "{peers: ['http://gateway:5778'], redis: {url: 'redis://localhost'}}",
        ] {
            let (_, diagnostics) = read_str(yaml, AdaptiveConfig::read);
            assert!(diagnostics.has_errors(), "{yaml}");
        }
    }
}
