//! Spans on their way into requests.
//!
//! Each service instance sends what has ended within a second as one request, as an SDK's batch processor does.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_otlp::TraceId;

use super::encode::{request, string_attribute};
use super::graph::Description;
use crate::population::number;
use crate::{Workload, WorkloadBuilder};

const SECOND: u64 = 1_000_000_000;

/// Collects spans until nothing more can come for their second.
pub(super) struct Requests {
    name: String,
    faults: Vec<String>,
    /// By second, and by service and instance.
    open: BTreeMap<(u64, usize, u32), Vec<Vec<u8>>>,
    /// For each service, its name.
    services: Vec<String>,
    /// What has been said of traces whose spans may still be open.
    verdicts: Vec<(TraceId, Option<u32>)>,
    builder: WorkloadBuilder,
}

impl Requests {
    pub(super) fn new(description: &Description, span_limit: usize) -> Self {
        Self {
            name: description.name.clone(),
            faults: description.faults.iter().map(|fault| fault.name.clone()).collect(),
            open: BTreeMap::new(),
            services: description.services.iter().map(|service| service.name.clone()).collect(),
            verdicts: Vec::new(),
            builder: WorkloadBuilder::new(span_limit),
        }
    }

    /// Adds a span of an instance that ends at `end`, in nanoseconds since 1970.
    pub(super) fn add(&mut self, service: usize, instance: u32, end: u64, span: Vec<u8>) {
        self.open.entry((end / SECOND, service, instance)).or_default().push(span);
    }

    /// Says what was wrong with a trace all of whose spans have been added.
    pub(super) fn ends(&mut self, trace: TraceId, fault: Option<usize>) {
        self.verdicts.push((trace, fault.map(number)));
    }

    /// Sends what ended before the second of `time`: all that is still to come begins later.
    pub(super) fn settle_before(&mut self, time: u64) {
        let later = self.open.split_off(&(time / SECOND, 0, 0));
        for ((_, service, instance), spans) in std::mem::replace(&mut self.open, later) {
            let mut resource = Vec::new();
            let name = &self.services[service];
            string_attribute(&mut resource, 1, "service.name", name);
            string_attribute(&mut resource, 1, "service.instance.id", &format!("{name}-{instance}"));
            string_attribute(&mut resource, 1, "telemetry.sdk.language", "rust");
            self.builder.add(Bytes::from(request(&resource, "sampler-bench", &spans)), 0);
        }
    }

    pub(super) fn finish(mut self) -> Workload {
        self.settle_before(u64::MAX);
        for (trace, fault) in self.verdicts {
            // One beyond the span limit is not there.
            self.builder.label(trace, fault);
        }
        self.builder.finish(self.name, Some(self.faults))
    }
}
