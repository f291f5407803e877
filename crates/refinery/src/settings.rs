//! What of Refinery's own configuration matters here.

use std::time::Duration;

use forebay_config::Table;

/// Settings with an equivalent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) send_delay: Duration,
    pub(crate) trace_timeout: Duration,
    pub(crate) span_limit: u64,
    pub(crate) kept_size: u64,
    pub(crate) dropped_size: u64,
    pub(crate) http_address: Option<String>,
    pub(crate) grpc_address: Option<String>,
    pub(crate) honeycomb: String,
}

impl Default for Settings {
    /// What Refinery does if it is told nothing.
    fn default() -> Self {
        Self {
            send_delay: Duration::from_secs(2),
            trace_timeout: Duration::from_secs(60),
            span_limit: 32_000,
            kept_size: 10_000,
            dropped_size: 1_000_000,
            http_address: Some("0.0.0.0:8080".to_owned()),
            grpc_address: Some("0.0.0.0:4317".to_owned()),
            honeycomb: "https://api.honeycomb.io".to_owned(),
        }
    }
}

/// Groups of which nothing has an equivalent, and why.
const GROUPS: &[(&str, &str)] = &[
    ("General", "it is about Refinery's own files"),
    ("OpAMP", "there is no remote management"),
    ("AccessKeys", "requests are not checked by key: do that in front of it"),
    (
        "RefineryTelemetry",
        "decisions are told by `ot=th`, metrics and `otelcol.processor.adaptive_tail_sampling.*`",
    ),
    ("Debugging", "metrics are under `service: {telemetry}`"),
    ("Logger", "logs are set under `service: {telemetry: {logs}}`"),
    ("HoneycombLogger", "logs are set under `service: {telemetry: {logs}}`"),
    ("StdoutLogger", "logs are set under `service: {telemetry: {logs}}`"),
    ("PrometheusMetrics", "metrics are set under `service: {telemetry: {metrics}}`"),
    ("LegacyMetrics", "metrics are set under `service: {telemetry: {metrics}}`"),
    ("OTelMetrics", "metrics are set under `service: {telemetry: {metrics}}`"),
    ("OTelTracing", "it does not trace itself"),
    ("PeerManagement", "processes do not know each other: send whole traces to one by a load balancer"),
    ("RedisPeerManagement", "processes do not know each other: send whole traces to one by a load balancer"),
    ("BufferSizes", "everything that waits is bounded by `forebay: {memory_limit_mib}`"),
    ("Collection", "everything that waits is bounded by `forebay: {memory_limit_mib}`"),
    ("Specialized", "it is about events of Honeycomb"),
    ("IDFields", "ids are those of OTLP"),
    ("SampleCacheConfig", "it is of an old version"),
    ("StressRelief", "in overload the oldest traces are decided early, on what there is of them"),
];

impl Settings {
    /// Reads Refinery's configuration.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let (traces, cache) = (table.section("Traces"), table.section("SampleCache"));
        let (network, grpc) = (table.section("Network"), table.section("GRPCServerParameters"));
        for (group, why) in GROUPS {
            if let Some(found) = table.table(group) {
                for (_, cursor) in found.entries() {
                    cursor.warning(format!("has no equivalent: {why}"));
                }
            }
        }
        let has_grpc = grpc.bool_or("Enabled", true);
        let settings = Self {
            send_delay: traces.duration_or("SendDelay", default.send_delay),
            trace_timeout: traces.duration_or("TraceTimeout", default.trace_timeout),
            span_limit: traces.integer_or("SpanLimit", .., default.span_limit),
            kept_size: cache.integer_or("KeptSize", .., default.kept_size),
            dropped_size: cache.integer_or("DroppedSize", .., default.dropped_size),
            http_address: network.string("ListenAddr").or(default.http_address),
            grpc_address: grpc.string("ListenAddr").or(default.grpc_address).filter(|_| has_grpc),
            honeycomb: network.string("HoneycombAPI").unwrap_or(default.honeycomb),
        };
        for (group, why) in [
            (traces, "requests are formed, and traces decided, as they come"),
            (cache, "the caches have the sizes of `KeptSize` and `DroppedSize`"),
            (network, "processes do not know each other"),
            (grpc, "see `keepalive` of the receiver `otlp`"),
        ] {
            others(&group, why);
        }
        settings
    }
}

/// What is left of a group of which some settings have been read.
fn others(group: &Table<'_>, why: &str) {
    const READ: [&str; 8] = [
        "SendDelay",
        "TraceTimeout",
        "SpanLimit",
        "KeptSize",
        "DroppedSize",
        "ListenAddr",
        "HoneycombAPI",
        "Enabled",
    ];
    for (key, cursor) in group.entries() {
        if !READ.contains(&key.as_str()) {
            cursor.warning(format!("has no equivalent: {why}"));
        }
    }
}
