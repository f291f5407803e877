//! `opentelemetry/proto/metrics/v1`

use super::Kind::{Bool, Double, Enum, Fixed64, Id, Nested, Sfixed64, Sint32, String, Uint32, Uint64};
use super::common::{KEY_VALUE, RESOURCE, SCOPE};
use super::{Message, oneof, optional, repeated, single};

pub(super) static RESOURCE_METRICS: Message = Message::new(
    "ResourceMetrics",
    &[
        single(1, "resource", Nested(&RESOURCE)),
        repeated(2, "scopeMetrics", Nested(&SCOPE_METRICS)),
        single(3, "schemaUrl", String),
    ],
);

static SCOPE_METRICS: Message = Message::new(
    "ScopeMetrics",
    &[
        single(1, "scope", Nested(&SCOPE)),
        repeated(2, "metrics", Nested(&METRIC)),
        single(3, "schemaUrl", String),
    ],
);

static METRIC: Message = Message::new(
    "Metric",
    &[
        single(1, "name", String),
        single(2, "description", String),
        single(3, "unit", String),
        oneof(5, "gauge", Nested(&GAUGE)),
        oneof(7, "sum", Nested(&SUM)),
        oneof(9, "histogram", Nested(&HISTOGRAM)),
        oneof(10, "exponentialHistogram", Nested(&EXPONENTIAL_HISTOGRAM)),
        oneof(11, "summary", Nested(&SUMMARY)),
        repeated(12, "metadata", Nested(&KEY_VALUE)),
    ],
);

static GAUGE: Message = Message::new("Gauge", &[repeated(1, "dataPoints", Nested(&NUMBER_DATA_POINT))]);

static SUM: Message = Message::new(
    "Sum",
    &[
        repeated(1, "dataPoints", Nested(&NUMBER_DATA_POINT)),
        single(2, "aggregationTemporality", Enum(AGGREGATION_TEMPORALITY)),
        single(3, "isMonotonic", Bool),
    ],
);

static HISTOGRAM: Message = Message::new(
    "Histogram",
    &[
        repeated(1, "dataPoints", Nested(&HISTOGRAM_DATA_POINT)),
        single(2, "aggregationTemporality", Enum(AGGREGATION_TEMPORALITY)),
    ],
);

static EXPONENTIAL_HISTOGRAM: Message = Message::new(
    "ExponentialHistogram",
    &[
        repeated(1, "dataPoints", Nested(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        single(2, "aggregationTemporality", Enum(AGGREGATION_TEMPORALITY)),
    ],
);

static SUMMARY: Message = Message::new("Summary", &[repeated(1, "dataPoints", Nested(&SUMMARY_DATA_POINT))]);

const AGGREGATION_TEMPORALITY: &[(&str, i32)] = &[
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
];

static NUMBER_DATA_POINT: Message = Message::new(
    "NumberDataPoint",
    &[
        repeated(7, "attributes", Nested(&KEY_VALUE)),
        single(2, "startTimeUnixNano", Fixed64),
        single(3, "timeUnixNano", Fixed64),
        oneof(4, "asDouble", Double),
        oneof(6, "asInt", Sfixed64),
        repeated(5, "exemplars", Nested(&EXEMPLAR)),
        single(8, "flags", Uint32),
    ],
);

static HISTOGRAM_DATA_POINT: Message = Message::new(
    "HistogramDataPoint",
    &[
        repeated(9, "attributes", Nested(&KEY_VALUE)),
        single(2, "startTimeUnixNano", Fixed64),
        single(3, "timeUnixNano", Fixed64),
        single(4, "count", Fixed64),
        optional(5, "sum", Double),
        repeated(6, "bucketCounts", Fixed64),
        repeated(7, "explicitBounds", Double),
        repeated(8, "exemplars", Nested(&EXEMPLAR)),
        single(10, "flags", Uint32),
        optional(11, "min", Double),
        optional(12, "max", Double),
    ],
);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message::new(
    "ExponentialHistogramDataPoint",
    &[
        repeated(1, "attributes", Nested(&KEY_VALUE)),
        single(2, "startTimeUnixNano", Fixed64),
        single(3, "timeUnixNano", Fixed64),
        single(4, "count", Fixed64),
        optional(5, "sum", Double),
        single(6, "scale", Sint32),
        single(7, "zeroCount", Fixed64),
        single(8, "positive", Nested(&BUCKETS)),
        single(9, "negative", Nested(&BUCKETS)),
        single(10, "flags", Uint32),
        repeated(11, "exemplars", Nested(&EXEMPLAR)),
        optional(12, "min", Double),
        optional(13, "max", Double),
        single(14, "zeroThreshold", Double),
    ],
);

static BUCKETS: Message = Message::new(
    "ExponentialHistogramDataPoint.Buckets",
    &[single(1, "offset", Sint32), repeated(2, "bucketCounts", Uint64)],
);

static SUMMARY_DATA_POINT: Message = Message::new(
    "SummaryDataPoint",
    &[
        repeated(7, "attributes", Nested(&KEY_VALUE)),
        single(2, "startTimeUnixNano", Fixed64),
        single(3, "timeUnixNano", Fixed64),
        single(4, "count", Fixed64),
        single(5, "sum", Double),
        repeated(6, "quantileValues", Nested(&VALUE_AT_QUANTILE)),
        single(8, "flags", Uint32),
    ],
);

static VALUE_AT_QUANTILE: Message = Message::new(
    "SummaryDataPoint.ValueAtQuantile",
    &[single(1, "quantile", Double), single(2, "value", Double)],
);

static EXEMPLAR: Message = Message::new(
    "Exemplar",
    &[
        repeated(7, "filteredAttributes", Nested(&KEY_VALUE)),
        single(2, "timeUnixNano", Fixed64),
        oneof(3, "asDouble", Double),
        oneof(6, "asInt", Sfixed64),
        single(4, "spanId", Id),
        single(5, "traceId", Id),
    ],
);
