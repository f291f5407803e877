//! The process's log lines, on standard error.

use tracing_subscriber::fmt;

use crate::settings::{LogFormat, Telemetry};

/// Begins logging. Only the first call has an effect.
pub(crate) fn start(settings: &Telemetry) {
    let lines = fmt().with_max_level(settings.log_level).with_writer(std::io::stderr).with_target(false);
    // A second subscriber cannot be set, and need not be: the first goes on.
    let _ = match settings.log_format {
        LogFormat::Console => {
            lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
