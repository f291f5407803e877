//! Gateways that are asked one by one, over HTTP.

use std::sync::Arc;
use std::time::Duration;

use forebay_exporter::BuildError;
use forebay_exporter::fetch::Fetcher;
use forebay_tls::ClientTls;
use http::Uri;
use tokio::task::JoinSet;

use super::fleet::{COUNTS_PATH, Heard};

/// A list of gateways, which may hold this one too.
pub(crate) struct Peers {
    fetcher: Arc<Fetcher>,
    urls: Vec<Uri>,
}

/// How long a peer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than the most operations that gateways remember.
const MOST: usize = 32 << 20;

/// The place of a peer's counts, of which the scheme, the host and the port are configured.
pub(crate) fn url(peer: &str) -> Result<Uri, String> {
    let expected = || format!("`{peer}` is not the address of a gateway: write http://host:5778");
    let base = peer.strip_suffix('/').unwrap_or(peer);
    let rest = base.strip_prefix("http://").or(base.strip_prefix("https://")).ok_or_else(expected)?;
    if rest.is_empty() || rest.contains(['/', '?', '#']) {
        return Err(expected());
    }
    format!("{base}{COUNTS_PATH}").parse().map_err(|_| expected())
}

impl Peers {
    /// Must be called inside a runtime.
    ///
    /// # Errors
    /// When there is no way to make TLS connections.
    pub(crate) fn new(urls: &[Uri]) -> Result<Self, BuildError> {
        let fetcher = Fetcher::new(&ClientTls::default(), TIMEOUT, MOST)?;
        Ok(Self { fetcher: Arc::new(fetcher), urls: urls.to_vec() })
    }

    /// What each of them says, in the order of the list.
    pub(crate) async fn ask(&self) -> Vec<Heard> {
        let mut asked = JoinSet::new();
        for (index, url) in self.urls.iter().enumerate() {
            let (fetcher, url) = (Arc::clone(&self.fetcher), url.clone());
            asked.spawn(async move { (index, fetcher.fetch(&url).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_unstable_by_key(|(index, _)| *index);
        let heard = answers.into_iter().zip(&self.urls).map(|((_, answer), url)| match answer {
            Ok(document) => Ok(vec![document]),
            Err(error) => Err(format!("{url}: {error}")),
        });
        heard.collect()
    }
}
