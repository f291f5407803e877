//! What the demo tells.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;

use forebay_otlp::TraceId;
use forebay_pipeline::{Ledger, Telemetry};

use super::backend::KeptTrace;

/// How far the sampler is, from its own accounts.
pub(super) struct Progress {
    taken: u64,
    pending: i64,
    kept: u64,
    not_sampled: u64,
}

/// Kept traces that are listed.
const LISTED: usize = 15;

impl Progress {
    pub(super) fn of(sampler: &Ledger) -> Self {
        Self {
            taken: sampler.incoming.get(),
            pending: sampler.buffered.get(),
            kept: sampler.outgoing.get(),
            not_sampled: sampler.dropped("not_sampled").get(),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, pending, kept, not_sampled } = self;
        write!(
            f,
            "  spans in {taken:>6} │ pending {pending:>6} │ kept {kept:>6} │ not sampled {not_sampled:>6}"
        )
    }
}

/// The kept traces, why, and how the numbers add up.
pub(super) fn report(
    kept: &[(TraceId, KeptTrace)],
    sampler: &Ledger,
    telemetry: &Telemetry,
    sent: u64,
) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_report(&mut text, kept, sampler, telemetry, sent);
    text
}

fn write_report(
    out: &mut String,
    kept: &[(TraceId, KeptTrace)],
    sampler: &Ledger,
    telemetry: &Telemetry,
    sent: u64,
) -> fmt::Result {
    writeln!(out, "\nKept traces, as the backend received them (the first {LISTED} of {}):\n", kept.len())?;
    writeln!(
        out,
        "  {:<32} {:<9} {:>5} {:>9}  {:<8}  root",
        "trace", "policy", "spans", "duration", "services"
    )?;
    for (id, trace) in kept.iter().take(LISTED) {
        #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
        let milliseconds = trace.end.saturating_sub(trace.start) as f64 / 1e6;
        let KeptTrace { spans, policy, root, services, .. } = trace;
        writeln!(out, "  {id} {policy:<9} {spans:>5} {milliseconds:>6.0} ms  {:<8}  {root}", services.len())?;
    }
    let mut policies = BTreeMap::<&str, (usize, usize)>::new();
    for (_, trace) in kept {
        let (traces, spans) = policies.entry(&trace.policy).or_default();
        *traces += 1;
        *spans += trace.spans;
    }
    writeln!(out, "\nBy the policy that kept them (the first in order of the configuration):")?;
    for (policy, (traces, spans)) in policies {
        writeln!(out, "  {policy:<9} {traces:>5} traces  {spans:>6} spans")?;
    }
    let decisions = telemetry.counters(
        "otelcol_processor_tail_sampling_global_count_traces_sampled",
        "",
        &["processor", "sampled", "decision"],
    );
    let dropped_traces = decisions.with_label_values(&["tail_sampling", "false", "not_sampled"]).get();
    let Progress { taken, pending, kept: handed_on, not_sampled } = Progress::of(sampler);
    let refused = sampler.dropped("refused").get() + sampler.dropped("shutdown").get();
    let received: usize = kept.iter().map(|(_, trace)| trace.spans).sum();
    writeln!(out, "\nDropped: {dropped_traces} traces, {not_sampled} spans: no policy asked for them.")?;
    writeln!(out, "\nThe spans add up:")?;
    writeln!(out, "  sent by the client       {sent:>7}")?;
    writeln!(
        out,
        "  taken by the sampler     {taken:>7}  = kept {handed_on} + not sampled {not_sampled} + pending {pending} + lost {refused}"
    )?;
    writeln!(out, "  received by the backend  {received:>7}")?;
    let adds_up = sent == taken
        && i128::from(taken)
            == i128::from(handed_on) + i128::from(not_sampled) + i128::from(pending) + i128::from(refused)
        && received as u64 == handed_on;
    writeln!(
        out,
        "{}",
        if adds_up { "  Everything is accounted for." } else { "  THE NUMBERS DO NOT ADD UP." }
    )
}
