//! Where kept traces arrive.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{net::TcpListener, time::Instant};
use tonic::transport::{Server, server::TcpIncoming};

use crate::{Error, compare::TraceId, grpc::OtlpService, sink::trace_id, walk::for_each_span};

/// A backend that remembers what has come of each trace.
#[derive(Clone, Debug, Default)]
pub(super) struct Backend(Arc<Mutex<BTreeMap<TraceId, Arrived>>>);

/// What has come of a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) spans: u32,
    /// When its last span came.
    pub(super) at: Instant,
}

const MAX_MESSAGE: usize = 64 << 20;

impl Backend {
    pub(super) async fn start() -> Result<(Self, SocketAddr), Error> {
        let backend = Self::default();
        let service = OtlpService::new(MAX_MESSAGE, {
            let backend = backend.clone();
            move |request: Bytes| backend.take(&request)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(Server::builder().serve_with_incoming(service, TcpIncoming::from(listener)));
        Ok((backend, address))
    }

    /// All traces that have come.
    pub(super) fn traces(&self) -> BTreeMap<TraceId, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, request: &[u8]) {
        let at = Instant::now();
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is malformed is missing afterwards.
        let _ = for_each_span(request, |_, span| {
            let arrived = traces.entry(trace_id(span)?).or_insert(Arrived { spans: 0, at });
            *arrived = Arrived { spans: arrived.spans + 1, at };
            Ok(())
        });
    }
}
