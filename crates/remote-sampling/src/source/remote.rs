//! Strategies of another sampling server, asked over gRPC on behalf of clients.
//!
//! Answers are remembered: within the reload interval they spare the server the question, and afterwards they
//! are what clients get while it does not answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_exporter::BuildError;
use forebay_exporter::grpc::{Channel, ChannelConfig};
use forebay_pipeline::{BoxFuture, Throttle};
use tokio::time::Instant;

use super::{Source, Unavailable};
use crate::strategy::Encoded;
use crate::wire::{self, METHOD};

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Services whose answers are remembered.
const SERVICES_MAX: usize = 10_000;

/// Another server.
#[derive(Clone, Debug)]
pub(crate) struct RemoteConfig {
    pub(crate) channel: ChannelConfig,
    /// How long an answer is good for; zero asks each time.
    pub(crate) reload_interval: Duration,
}

/// The source `remote`.
pub(crate) struct RemoteSource {
    channel: Channel,
    answers: Mutex<Answers>,
    failures: Throttle,
}

/// What was answered, and when.
struct Answers {
    by_service: HashMap<String, (Instant, Encoded)>,
    good_for: Duration,
    most: usize,
}

impl RemoteSource {
    /// Asks a server from now on. Must be called inside a runtime.
    ///
    /// # Errors
    /// When its TLS settings cannot be used.
    pub(crate) fn start(config: &RemoteConfig) -> Result<Self, BuildError> {
        Ok(Self {
            channel: Channel::new(&config.channel, Some(TIMEOUT))?,
            answers: Mutex::new(Answers::new(config.reload_interval, SERVICES_MAX)),
            failures: Throttle::new(),
        })
    }

    async fn ask(&self, service: &str) -> Result<Encoded, String> {
        let request = Bytes::from(wire::encode_request(service));
        let answer = self.channel.call(METHOD, request).await.map_err(|error| error.to_string())?;
        // Read and written again, because clients are picky about the JSON, and a wrong rate goes no further.
        wire::decode(&answer).map(|strategy| strategy.encode()).map_err(|error| error.to_string())
    }

    fn with_answers<T>(&self, look: impl FnOnce(&mut Answers) -> T) -> T {
        look(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source for RemoteSource {
    fn strategy<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Encoded, Unavailable>> {
        Box::pin(async move {
            if let Some(fresh) = self.with_answers(|answers| answers.fresh(service, Instant::now())) {
                return Ok(fresh);
            }
            match self.ask(service).await {
                Ok(answer) => {
                    self.with_answers(|answers| answers.remember(service, answer.clone(), Instant::now()));
                    Ok(answer)
                }
                Err(error) => {
                    if let Some(withheld) = self.failures.pass() {
                        tracing::warn!(error, withheld, "the remote sampling server does not answer");
                    }
                    self.with_answers(|answers| answers.last(service)).ok_or(Unavailable(error))
                }
            }
        })
    }
}

impl Answers {
    fn new(good_for: Duration, most: usize) -> Self {
        Self { by_service: HashMap::new(), good_for, most }
    }

    fn fresh(&self, service: &str, now: Instant) -> Option<Encoded> {
        let (since, answer) = self.by_service.get(service)?;
        (now.saturating_duration_since(*since) < self.good_for).then(|| answer.clone())
    }

    fn last(&self, service: &str) -> Option<Encoded> {
        self.by_service.get(service).map(|(_, answer)| answer.clone())
    }

    /// When there is no room, those that are no longer good make some; if all are, the answer is not kept.
    fn remember(&mut self, service: &str, answer: Encoded, now: Instant) {
        if self.by_service.len() >= self.most && !self.by_service.contains_key(service) {
            let good_for = self.good_for;
            self.by_service.retain(|_, (since, _)| now.saturating_duration_since(*since) < good_for);
            if self.by_service.len() >= self.most {
                return;
            }
        }
        self.by_service.insert(service.to_owned(), (now, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Strategy;

    #[test]
    fn an_answer_is_good_for_the_interval_and_a_fallback_after_it() {
        let (now, answer) = (Instant::now(), Strategy::probabilistic(0.5).encode());
        let mut answers = Answers::new(Duration::from_secs(10), 2);
        answers.remember("a", answer.clone(), now);
        assert_eq!(answers.fresh("a", now + Duration::from_secs(9)), Some(answer.clone()));
        assert_eq!(answers.fresh("a", now + Duration::from_secs(10)), None);
        assert_eq!(answers.last("a"), Some(answer));
        assert_eq!(answers.last("b"), None);
    }

    #[test]
    fn a_flood_of_services_is_not_remembered() {
        let (now, answer) = (Instant::now(), Strategy::probabilistic(0.5).encode());
        let mut answers = Answers::new(Duration::from_secs(10), 2);
        for service in ["a", "b", "c"] {
            answers.remember(service, answer.clone(), now);
        }
        assert_eq!((answers.by_service.len(), answers.last("c")), (2, None));
        answers.remember("c", answer.clone(), now + Duration::from_secs(10));
        assert_eq!((answers.by_service.len(), answers.last("c")), (1, Some(answer)));
    }
}
