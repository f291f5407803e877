//! From a request's bytes to the pipelines, for both protocols.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use forebay_otlp::response::PartialSuccess;
use forebay_otlp::{Span, admit, check, count_items};
use forebay_pipeline::{Batch, Budget, Charge, Consumer, Refusal, Signal, Telemetry, Throttle};
use tokio_util::task::TaskTracker;

use crate::Outputs;
use crate::body::{Allowance, Payload};
use crate::metrics::{Metrics, Transport};
use crate::reject::{Kind, Reject};

/// What one protocol's requests go through.
pub(crate) struct Intake {
    receiver: String,
    transport: Transport,
    allowance: Allowance,
    lanes: [Option<Arc<Lane>>; 3],
    /// Deliveries outlive the requests that began them.
    deliveries: TaskTracker,
    refusals_logged: Throttle,
    mistakes_logged: Throttle,
}

/// The way of one signal.
pub(crate) struct Lane {
    signal: Signal,
    consumer: Arc<dyn Consumer>,
    metrics: Metrics,
}

/// What the intake needs to know of its surroundings.
pub(crate) struct Surroundings<'a> {
    pub(crate) receiver: &'a str,
    pub(crate) outputs: &'a Outputs,
    pub(crate) budget: &'a Budget,
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) deliveries: &'a TaskTracker,
}

impl Intake {
    /// `limit` bounds a request's bytes after decoding; the configuration calls it `limit_key`.
    pub(crate) fn new(
        surroundings: &Surroundings<'_>,
        transport: Transport,
        limit: usize,
        limit_key: &'static str,
    ) -> Self {
        let Surroundings { receiver, outputs, budget, telemetry, deliveries } = surroundings;
        let lanes = Signal::ALL.map(|signal| {
            let consumer = Arc::clone(outputs.of(signal)?);
            let metrics = Metrics::new(telemetry, receiver, signal, transport);
            Some(Arc::new(Lane { signal, consumer, metrics }))
        });
        Self {
            receiver: (*receiver).to_owned(),
            transport,
            allowance: Allowance::new((*budget).clone(), limit, limit_key),
            lanes,
            deliveries: (*deliveries).clone(),
            refusals_logged: Throttle::new(),
            mistakes_logged: Throttle::new(),
        }
    }

    /// The bounds that bodies are read within.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The way of `signal`, if any pipeline takes it.
    pub(crate) fn lane(&self, signal: Signal) -> Option<&Arc<Lane>> {
        self.lanes.iter().flatten().find(|lane| lane.signal == signal)
    }

    /// Hands a whole request to the pipelines.
    pub(crate) async fn submit(&self, lane: &Arc<Lane>, payload: Payload) -> Result<PartialSuccess, Reject> {
        let Payload { bytes, charge } = payload;
        let (batch, partial) = match lane.signal {
            Signal::Traces => admit_spans(lane, bytes, charge)?,
            signal => {
                check(signal, &bytes).map_err(|fault| Reject::bad_data(fault.to_string()))?;
                let items =
                    count_items(signal, &bytes).map_err(|error| Reject::bad_data(error.to_string()))?;
                (Batch::new(signal, bytes, items).charged(charge), PartialSuccess::default())
            }
        };
        if batch.items > 0 {
            self.deliver(lane, batch).await?;
        }
        Ok(partial)
    }

    /// Counts and logs how a request ended.
    pub(crate) fn record<T>(&self, lane: &Lane, outcome: &Result<T, Reject>) {
        let rejected = outcome.as_ref().err();
        lane.metrics.answered(rejected.map(|reject| reject.kind));
        let Some(reject) = rejected else { return };
        let (throttle, what) = match reject.kind {
            Kind::Gone => return,
            Kind::Overloaded => (&self.refusals_logged, "refused a request for now"),
            _ => (&self.mistakes_logged, "rejected a request"),
        };
        if let Some(withheld) = throttle.pass() {
            tracing::warn!(
                receiver = self.receiver,
                transport = self.transport.as_str(),
                signal = lane.signal.as_str(),
                reason = reject.message,
                withheld,
                "{what}",
            );
        }
    }

    /// A client that goes away must not leave a batch half delivered, nor uncounted: a delivery that is
    /// not done at once goes on in a task of its own.
    async fn deliver(&self, lane: &Arc<Lane>, batch: Batch) -> Result<(), Reject> {
        let mut delivery = Box::pin(Arc::clone(lane).deliver(batch));
        let first = std::future::poll_fn(|context| Poll::Ready(delivery.as_mut().poll(context))).await;
        match first {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                let delivered = self.deliveries.spawn(delivery).await;
                delivered.unwrap_or_else(|error| Err(Refusal::retryable(error.to_string()).into()))
            }
        }
    }
}

impl Lane {
    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    async fn deliver(self: Arc<Self>, batch: Batch) -> Result<(), Reject> {
        let items = batch.items;
        let outcome = self.consumer.consume(batch).await;
        self.metrics.offered(items, outcome.is_ok());
        outcome.map_err(Reject::from)
    }
}

/// The good spans of a request, and word of the others.
fn admit_spans(lane: &Lane, bytes: Bytes, mut charge: Charge) -> Result<(Batch, PartialSuccess), Reject> {
    let admitted = admit(bytes).map_err(|error| Reject::bad_data(error.to_string()))?;
    let mut partial = PartialSuccess::default();
    if !admitted.rejected.is_empty() {
        let rejected = admitted.rejected.spans();
        lane.metrics.malformed(rejected);
        partial = PartialSuccess { rejected: rejected as u64, message: admitted.rejected.to_string() };
    }
    charge.resize(admitted.bytes.len() + admitted.index.spans.len() * size_of::<Span>());
    Ok((Batch::scanned(admitted.bytes, admitted.index).charged(charge), partial))
}
