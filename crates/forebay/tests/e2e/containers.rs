//! In a container's limits, which are cgroups.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_otlp::Signal;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::{Backend, Forebay, request_of, span};

const MIB: usize = 1 << 20;
const LIMIT: usize = 32 * MIB;
/// 1,000 spans a second.
const SPANS: u128 = 50;
const EVERY: Duration = Duration::from_millis(50);
const REQUESTS: u128 = 100;

/// A memory cgroup, removed when it is dropped.
struct Group(PathBuf);

impl Group {
    /// One with a limit; none where this process may not make one.
    fn limited(bytes: usize) -> Option<Self> {
        let name = format!("forebay-test-{}", std::process::id());
        // Version 2, or 1. Only a group with a controller has its files.
        for (mount, limit) in
            [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
        {
            let group = Path::new(mount).join(&name);
            if fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            if group.0.join(limit).exists() && fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }

    fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its process has ended, or is about to be killed: then the directory stays, empty.
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_sidecar_lives_in_32_mib_with_a_thousand_spans_a_second() {
    let Some(group) = Group::limited(LIMIT) else {
        eprintln!("skipped: this process may not make memory cgroups");
        return;
    };
    let backend = Backend::start().await;
    let config = format!(
        "--config=yaml:{{processors: {{probabilistic_sampler: {{sampling_percentage: 100, mode: equalizing}}}}, \
         exporters: {{otlp_grpc: {{endpoint: 'http://{}'}}}}, \
         service: {{pipelines: {{traces: {{receivers: [otlp], processors: [probabilistic_sampler], exporters: [otlp_grpc]}}}}}}}}",
        backend.address
    );
    let process = Forebay::start_in(&group.processes(), &[&config]).await;
    let client = process.client();
    let mut times = interval(EVERY);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for request in 0..REQUESTS {
        times.tick().await;
        let spans = (1..=SPANS).map(|number| span(request * SPANS + number));
        client.export(Signal::Traces, request_of(spans)).await.unwrap();
    }
    let sent = usize::try_from(REQUESTS * SPANS).unwrap();
    backend.until_spans(sent).await;
    let peak = process.peak_memory();
    assert!(peak < LIMIT, "{} MiB", peak / MIB);
    // Who is killed for want of memory does not stop in order.
    process.stop().await;
}
