//! How long to wait before trying again: `retry_on_failure`.

use std::time::Duration;

use fastrand::Rng;
use forebay_config::Table;

/// Exponential back-off with jitter, as the Collector's `configretry`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// The first pause, before jitter.
    pub initial_interval: Duration,
    /// Each pause is this many times the one before; at least 1.
    pub multiplier: f64,
    /// A pause is drawn evenly from `interval × (1 ± randomization_factor)`; 0 to 1.
    pub randomization_factor: f64,
    /// The longest pause, before jitter.
    pub max_interval: Duration,
    /// A request that could not be delivered for so long is given up; `None` tries for ever.
    pub max_elapsed_time: Option<Duration>,
}

const MAX_ELAPSED_TIME: Duration = Duration::from_secs(300);

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(5),
            multiplier: 1.5,
            randomization_factor: 0.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Some(MAX_ELAPSED_TIME),
        }
    }
}

impl RetryConfig {
    /// Reads `retry_on_failure`; `None` when it is not enabled.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let default = Self::default();
        let enabled = table.bool_or("enabled", true);
        let config = Self {
            initial_interval: table.duration_or("initial_interval", default.initial_interval),
            multiplier: table.float_or("multiplier", 1.0..=1000.0, default.multiplier),
            randomization_factor: table.float_or(
                "randomization_factor",
                0.0..=1.0,
                default.randomization_factor,
            ),
            max_interval: table.duration_or("max_interval", default.max_interval),
            max_elapsed_time: Some(table.duration_or("max_elapsed_time", MAX_ELAPSED_TIME))
                .filter(|limit| !limit.is_zero()),
        };
        for (key, interval) in
            [("initial_interval", config.initial_interval), ("max_interval", config.max_interval)]
        {
            if interval.is_zero() {
                table.error(key, format!("`{key}` must be more than 0"));
            }
            if config.max_elapsed_time.is_some_and(|limit| interval > limit) {
                let message = format!("`max_elapsed_time` is less than `{key}` ({interval:?})");
                table.error("max_elapsed_time", message);
            }
        }
        enabled.then_some(config)
    }
}

/// The pauses of one request, or of one connection.
#[derive(Debug)]
pub struct Backoff<'a> {
    config: &'a RetryConfig,
    interval: Duration,
}

impl<'a> Backoff<'a> {
    /// Begins with the first.
    #[must_use]
    pub fn new(config: &'a RetryConfig) -> Self {
        Self { config, interval: config.initial_interval.min(config.max_interval) }
    }

    /// The next pause.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let factor = self.config.randomization_factor;
        let pause = self.interval.mul_f64(1.0 - factor + 2.0 * factor * rng.f64());
        self.interval = self.interval.mul_f64(self.config.multiplier).min(self.config.max_interval);
        pause
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn pauses_grow_by_the_multiplier_up_to_the_maximum() {
        let config = RetryConfig { randomization_factor: 0.0, ..RetryConfig::default() };
        let mut backoff = Backoff::new(&config);
        let mut rng = Rng::with_seed(1);
        let pauses: Vec<f64> = (0..7).map(|_| backoff.next(&mut rng).as_secs_f64()).collect();
        assert_eq!(pauses, [5.0, 7.5, 11.25, 16.875, 25.3125, 30.0, 30.0]);
    }

    #[test]
    fn jitter_stays_within_the_factor_and_follows_the_seed() {
        let config = RetryConfig::default();
        let pauses = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..200).map(|_| Backoff::new(&config).next(&mut rng)).collect::<Vec<_>>()
        };
        let (low, high) = (Duration::from_millis(2500), Duration::from_millis(7500));
        assert!(pauses(7).iter().all(|pause| (low..=high).contains(pause)));
        assert!(pauses(7).iter().any(|pause| *pause < Duration::from_secs(3)));
        assert!(pauses(7).iter().any(|pause| *pause > Duration::from_secs(7)));
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
    }

    #[test]
    fn defaults_and_zero_are_the_collectors() {
        let (config, diagnostics) = read_str("{}", RetryConfig::read);
        assert_eq!(config, Some(RetryConfig::default()));
        assert!(diagnostics.is_empty());
        let (config, _) = read_str("max_elapsed_time: 0s", RetryConfig::read);
        assert_eq!(config.unwrap().max_elapsed_time, None);
        let (config, _) = read_str("enabled: false", RetryConfig::read);
        assert_eq!(config, None);
    }

    #[test]
    fn times_that_cannot_work_are_errors() {
        for (yaml, problem) in [
            ("max_elapsed_time: 10s", "less than `max_interval`"),
            ("initial_interval: 0s", "must be more than 0"),
            ("multiplier: 0.5", "multiplier"),
            ("randomization_factor: 2", "randomization_factor"),
        ] {
            let (_, diagnostics) = read_str(yaml, RetryConfig::read);
            assert!(diagnostics.has_errors(), "{yaml}");
            assert!(diagnostics.render(false).contains(problem), "{}", diagnostics.render(false));
        }
    }
}
