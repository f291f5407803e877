//! `sockaccel` as an extension: attached while the pipelines run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_pipeline::{BoxFuture, Telemetry};
use sockaccel_bpf::{Accelerator, AttachError};
use tokio::time::Instant;

use super::config::{Mode, SockaccelConfig};
use super::metrics;
use crate::components::{Extension, StartError};

/// The extension `sockaccel`.
pub(crate) struct Sockaccel {
    /// None where this host cannot accelerate.
    accelerator: Shared,
}

/// The accelerator, until it is detached.
pub(super) type Shared = Arc<Mutex<Option<Accelerator>>>;

/// How long connections of others may take to go back to TCP. Those that are silent stay redirected, which harms
/// nobody.
const DETACHING: Duration = Duration::from_millis(500);

impl Sockaccel {
    /// Attaches as the settings say, under the extension's id. Must be called inside a runtime.
    ///
    /// # Errors
    /// When this must succeed and does not, or metrics cannot be registered.
    pub(crate) async fn start(
        id: &str,
        config: SockaccelConfig,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let accelerator = match config.mode {
            Mode::Off => None,
            Mode::Auto => match attach(config).await? {
                Ok(accelerator) => Some(accelerator),
                Err(error) => {
                    tracing::warn!(%error, "{id}: connections on this host stay TCP");
                    None
                }
            },
            Mode::Required => Some(attach(config).await??),
        };
        let accelerator = Arc::new(Mutex::new(accelerator));
        metrics::register(id, &accelerator, telemetry)?;
        Ok(Self { accelerator })
    }
}

/// Attaching tests the kernel, which takes some milliseconds.
async fn attach(config: SockaccelConfig) -> Result<Result<Accelerator, AttachError>, StartError> {
    let attach = move || {
        let accelerator = Accelerator::attach(&config.cgroup, &config.options)?;
        let SockaccelConfig { cgroup, options, .. } = config;
        tracing::info!(cgroup = %cgroup.display(), ports = ?options.ports, "connections on this host are accelerated");
        Ok(accelerator)
    };
    Ok(tokio::task::spawn_blocking(attach).await?)
}

impl Extension for Sockaccel {
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let attached = self.accelerator.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(accelerator) = attached else { return };
            let patience = deadline.saturating_duration_since(Instant::now()).min(DETACHING);
            // What detaching could not do, the end of the accelerator does.
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || accelerator.detach(patience)).await {
                tracing::warn!(%error, "redirected connections stay so until they close");
            }
        })
    }
}
