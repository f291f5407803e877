//! Where strategies come from.

pub(crate) mod document;
pub(crate) mod remote;

use forebay_pipeline::BoxFuture;
use thiserror::Error;

use crate::strategy::Encoded;

/// Knows what services are to be told.
pub(crate) trait Source: Send + Sync + 'static {
    /// What `service` is told now. Services that nobody has heard of are told the default; asking leaves
    /// nothing behind that grows without bound.
    fn strategy<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Encoded, Unavailable>>;
}

/// There is no strategy at the moment.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no sampling strategy at the moment: {0}")]
pub(crate) struct Unavailable(pub(crate) String);
