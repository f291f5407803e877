//! Several gateways with one target: each tells what it has counted, and hears what the others have.
//!
//! Traces per second add up, so nobody has to lead, and no clocks have to agree: a gateway adds what the others
//! have measured last to what it has measured itself, and comes to about the same probabilities as they do. What
//! has not been heard for a while counts no longer; then those that are left sample more, which is the safe side.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use forebay_exporter::BuildError;
use forebay_pipeline::Throttle;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;

use super::ByOperation;
use super::config::MeansConfig;
use super::peers::Peers;
#[cfg(feature = "redis")]
use super::redis::Redis;

/// Where a gateway's counts are.
pub(crate) const COUNTS_PATH: &str = "/forebay/adaptive/counts";

/// Has something for its peers.
pub(crate) trait Counts: Send + Sync + 'static {
    /// The document at [`COUNTS_PATH`].
    fn counts(&self) -> Bytes;
}

/// The other gateways.
pub(crate) struct Fleet {
    /// Tells this gateway's own document from others'.
    instance: u64,
    means: Means,
    /// What each source has told last, and when.
    told: BTreeMap<usize, (Instant, ByOperation)>,
    stale_after: Duration,
    failures: Throttle,
}

/// How documents come and go.
enum Means {
    Peers(Peers),
    #[cfg(feature = "redis")]
    Redis(Box<Redis>),
}

/// What one source has: documents of one or several gateways.
pub(crate) type Heard = Result<Vec<Bytes>, String>;

/// What gateways tell each other.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Document {
    instance: u64,
    /// Traces per second before sampling.
    rates: ByOperation,
}

/// Why a document is not used.
#[derive(Debug, Error)]
enum DocumentError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it holds {0}, which is not a rate")]
    Rate(f64),
}

impl Fleet {
    /// Must be called inside a runtime.
    ///
    /// # Errors
    /// When there is no way to make TLS connections.
    pub(crate) fn new(config: &MeansConfig, stale_after: Duration) -> Result<Self, BuildError> {
        let instance = fastrand::u64(..);
        let means = match config {
            MeansConfig::Peers(urls) => Means::Peers(Peers::new(urls)?),
            #[cfg(feature = "redis")]
            MeansConfig::Redis(config) => Means::Redis(Box::new(Redis::new(config, instance, stale_after))),
        };
        Ok(Self { instance, means, told: BTreeMap::new(), stale_after, failures: Throttle::new() })
    }

    /// What this gateway tells.
    pub(crate) fn document(&self, rates: ByOperation) -> Bytes {
        let document = Document { instance: self.instance, rates };
        serde_json::to_vec(&document).map(Bytes::from).unwrap_or_default()
    }

    /// Tells the others this gateway's document and returns what they have counted, together.
    pub(crate) async fn exchange(&mut self, own: Bytes) -> ByOperation {
        let heard = match &mut self.means {
            Means::Peers(peers) => peers.ask().await,
            #[cfg(feature = "redis")]
            Means::Redis(redis) => vec![redis.exchange(own).await],
        };
        #[cfg(not(feature = "redis"))]
        drop(own);
        let now = Instant::now();
        heard.into_iter().enumerate().for_each(|(source, heard)| self.hear(source, heard, now));
        self.total(now)
    }

    fn hear(&mut self, source: usize, heard: Heard, now: Instant) {
        match heard.and_then(|documents| self.sum(&documents)) {
            Ok(rates) => {
                self.told.insert(source, (now, rates));
            }
            Err(error) => {
                if let Some(withheld) = self.failures.pass() {
                    tracing::warn!(error, withheld, "other gateways' counts cannot be read");
                }
            }
        }
    }

    /// What the documents of others say together.
    fn sum(&self, documents: &[Bytes]) -> Result<ByOperation, String> {
        let mut sum = ByOperation::new();
        for document in documents {
            let document = decode(document).map_err(|error| error.to_string())?;
            if document.instance != self.instance {
                add(&mut sum, &document.rates);
            }
        }
        Ok(sum)
    }

    fn total(&self, now: Instant) -> ByOperation {
        let mut total = ByOperation::new();
        let fresh = |since: Instant| now.saturating_duration_since(since) < self.stale_after;
        let told = self.told.values().filter(|(since, _)| fresh(*since));
        told.for_each(|(_, rates)| add(&mut total, rates));
        total
    }
}

fn add(sum: &mut ByOperation, rates: &ByOperation) {
    for (service, operations) in rates {
        let service = sum.entry(service.clone()).or_default();
        for (operation, rate) in operations {
            *service.entry(operation.clone()).or_default() += rate;
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Document, DocumentError> {
    let document: Document = serde_json::from_slice(bytes)?;
    let mut rates = document.rates.values().flat_map(|operations| operations.values());
    match rates.find(|rate| !(0.0..=f64::MAX).contains(*rate)) {
        Some(wrong) => Err(DocumentError::Rate(*wrong)),
        None => Ok(document),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(rate: f64) -> ByOperation {
        ByOperation::from([("shop".to_owned(), [("GET /".to_owned(), rate)].into())])
    }

    fn fleet() -> Fleet {
        Fleet::new(&MeansConfig::Peers(Vec::new()), Duration::from_secs(45)).unwrap()
    }

    fn document(instance: u64, rate: f64) -> Bytes {
        serde_json::to_vec(&Document { instance, rates: rates(rate) }).unwrap().into()
    }

    #[tokio::test]
    async fn rates_add_up_and_old_ones_count_no_longer() {
        let (mut fleet, now) = (fleet(), Instant::now());
        fleet.hear(0, Ok(vec![document(1, 1.0), document(2, 1.5)]), now);
        fleet.hear(1, Ok(vec![document(3, 2.0)]), now + Duration::from_secs(10));
        fleet.hear(1, Err("away".to_owned()), now + Duration::from_secs(25));
        assert_eq!(fleet.total(now + Duration::from_secs(44)), rates(4.5));
        assert_eq!(fleet.total(now + Duration::from_secs(45)), rates(2.0));
        assert_eq!(fleet.total(now + Duration::from_secs(60)), ByOperation::new());
    }

    #[tokio::test]
    async fn a_gateway_that_hears_itself_does_not_count_twice() {
        let (mut fleet, now) = (fleet(), Instant::now());
        let own = fleet.document(rates(1.0));
        fleet.hear(0, Ok(vec![own]), now);
        assert_eq!(fleet.total(now), ByOperation::new());
    }

    #[test]
    fn what_is_not_a_rate_is_not_used() {
        for text in [
            "",
            "{}",
            r#"{"instance": 1, "rates": {"a": {"b": -1.0}}}"#,
            r#"{"instance": 1, "rates": {"a": {"b": 1e999}}}"#,
            r#"{"instance": 1, "rates": {"a": {"b": null}}}"#,
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
