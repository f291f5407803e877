//! The exporter `nop`: takes everything and forgets it.

use std::sync::Arc;

use forebay_config::Table;
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Telemetry};

use crate::account::{Account, PerSignal};
use crate::{BuildError, ExporterContext};

/// `exporters::nop`, which has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NopConfig;

impl NopConfig {
    /// Reads the exporter's mapping, in which every key is unknown.
    #[must_use]
    pub fn read(_: &Table<'_>) -> Self {
        Self
    }
}

/// Makes the exporter `id`.
///
/// # Errors
/// Never.
pub fn build(
    id: &str,
    NopConfig: NopConfig,
    context: &ExporterContext,
) -> Result<Arc<dyn Consumer>, BuildError> {
    Ok(Arc::new(Nop {
        id: id.to_owned(),
        telemetry: context.telemetry.clone(),
        accounts: PerSignal::default(),
    }))
}

struct Nop {
    id: String,
    telemetry: Telemetry,
    accounts: PerSignal<Account>,
}

impl Consumer for Nop {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        self.accounts
            .get_or_init(batch.signal, || Account::new(&self.telemetry, &self.id, batch.signal))
            .delivered(batch.items);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use forebay_pipeline::{Budget, Signal};

    use super::*;

    #[tokio::test]
    async fn everything_is_taken_and_counted() {
        let telemetry = Telemetry::new();
        let context = ExporterContext { budget: Budget::new(1), telemetry: telemetry.clone() };
        let nop = build("nop", NopConfig, &context).unwrap();
        nop.consume(Batch::new(Signal::Logs, Bytes::from("xyz"), 7)).await.unwrap();
        let ledger = telemetry.ledger("exporter/nop", Signal::Logs);
        assert_eq!((ledger.incoming.get(), ledger.outgoing.get()), (7, 7));
    }
}
