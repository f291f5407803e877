//! What the process tells systemd of its life (`sd_notify`): that it is ready, reads its configuration again, or ends.
//! Where no service manager wants to know, all of it does nothing.
//!
//! With `WatchdogSec=` in the unit it also says that it is alive, from the runtime that everything else runs on: a
//! process that cannot serve any more cannot say so either, and is started again.

use sd_notify::NotifyState;

/// The pipelines run.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] follows, whatever comes of it.
pub(crate) fn reloading() {
    // The time is how systemd tells this reload from one before.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// What is pending is being decided and delivered, and then the process ends.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Says again and again that the process lives, twice in the time after which it would be taken for dead. Ends at once
/// where nobody asks for it.
pub(crate) async fn alive() {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else { return };
    let mut ticks = tokio::time::interval(patience / 2);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
