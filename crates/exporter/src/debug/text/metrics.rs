//! Metrics and their data points.

use std::fmt::Write as _;

use super::value::{attributes, key_values};
use super::{Message, Text};

/// The field of a metric that holds its data, which is also its type.
const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL_HISTOGRAM: u32 = 10;
const SUMMARY: u32 = 11;

fn kind(metric: Message<'_>) -> Option<u32> {
    metric.which(&[GAUGE, SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM, SUMMARY])
}

/// A line for each data point.
pub(super) fn lines(out: &mut Text, metric: Message<'_>) {
    let Some(kind) = kind(metric) else { return };
    for point in metric.message(kind).messages(1) {
        let attributes = key_values(point, attributes_field(kind));
        let attributes = attributes.trim_start().replace(' ', ",");
        let mut values = String::new();
        match kind {
            GAUGE | SUM => values = number(point, 4, 6),
            HISTOGRAM => {
                distribution(&mut values, point, &[("sum", 5), ("min", 11), ("max", 12)]);
                let bounds = point.numbers(7, false);
                for (bound, count) in bounds.iter().zip(point.numbers(6, false)) {
                    let _ = write!(values, " le{}={count}", f64::from_bits(*bound));
                }
            }
            EXPONENTIAL_HISTOGRAM => {
                distribution(&mut values, point, &[("sum", 5), ("min", 12), ("max", 13)]);
            }
            _ => {
                distribution(&mut values, point, &[("sum", 5)]);
                for quantile in point.messages(6) {
                    let (q, value) = (quantile.double(1), quantile.double(2));
                    let _ = write!(values, " q{}={}", q.unwrap_or(0.0), value.unwrap_or(0.0));
                }
            }
        }
        out.line(format_args!("{}{{{attributes}}} {values}", metric.text(1)));
    }
}

fn distribution(out: &mut String, point: Message<'_>, fields: &[(&str, u32)]) {
    let _ = write!(out, "count={}", point.number(4));
    for (name, number) in fields {
        if let Some(value) = point.double(*number) {
            let _ = write!(out, " {name}={value}");
        }
    }
}

pub(super) fn metric(out: &mut Text, index: usize, metric: Message<'_>) {
    let kind = kind(metric);
    out.line(format_args!("Metric #{index}"));
    out.line(format_args!("Descriptor:"));
    out.line(format_args!("     -> Name: {}", metric.text(1)));
    out.line(format_args!("     -> Description: {}", metric.text(2)));
    out.line(format_args!("     -> Unit: {}", metric.text(3)));
    let (kind_name, points_name) = match kind {
        Some(GAUGE) => ("Gauge", "NumberDataPoints"),
        Some(SUM) => ("Sum", "NumberDataPoints"),
        Some(HISTOGRAM) => ("Histogram", "HistogramDataPoints"),
        Some(EXPONENTIAL_HISTOGRAM) => ("ExponentialHistogram", "ExponentialHistogramDataPoints"),
        Some(SUMMARY) => ("Summary", "SummaryDataPoints"),
        _ => ("Empty", ""),
    };
    out.line(format_args!("     -> DataType: {kind_name}"));
    let Some(kind) = kind else { return };
    let data = metric.message(kind);
    if kind == SUM {
        out.line(format_args!("     -> IsMonotonic: {}", data.number(3) != 0));
    }
    if matches!(kind, SUM | HISTOGRAM | EXPONENTIAL_HISTOGRAM) {
        out.line(format_args!("     -> AggregationTemporality: {}", temporality(data.number(2))));
    }
    for (index, point) in data.messages(1).enumerate() {
        out.line(format_args!("{points_name} #{index}"));
        attributes(out, "Data point attributes:", point, attributes_field(kind));
        out.line(format_args!("StartTimestamp: {}", point.time(2)));
        out.line(format_args!("Timestamp: {}", point.time(3)));
        match kind {
            GAUGE | SUM => out.line(format_args!("Value: {}", number(point, 4, 6))),
            HISTOGRAM => histogram(out, point),
            EXPONENTIAL_HISTOGRAM => exponential_histogram(out, point),
            _ => summary(out, point),
        }
        if let Some(field) = exemplars_field(kind) {
            exemplars(out, point, field);
        }
    }
}

fn histogram(out: &mut Text, point: Message<'_>) {
    counts(out, point, [("Sum", 5), ("Min", 11), ("Max", 12)]);
    for (index, bound) in point.numbers(7, false).into_iter().enumerate() {
        out.line(format_args!("ExplicitBounds #{index}: {:.6}", f64::from_bits(bound)));
    }
    for (index, count) in point.numbers(6, false).into_iter().enumerate() {
        out.line(format_args!("Buckets #{index}, Count: {count}"));
    }
}

/// Bucket `index` of a scale holds values up to `base^(index + 1)` with `base = 2^(2^-scale)`.
fn exponential_histogram(out: &mut Text, point: Message<'_>) {
    counts(out, point, [("Sum", 5), ("Min", 12), ("Max", 13)]);
    let base = 2_f64.powf(2_f64.powf(-zigzag(point.number(6))));
    for (buckets, sign) in [(point.message(9), -1.0), (point.message(8), 1.0)] {
        let offset = zigzag(buckets.number(1));
        let mut bound = base.powf(offset);
        for count in buckets.numbers(2, true) {
            let (near, far) = (bound, bound * base);
            bound = far;
            if count > 0 {
                let (near, far) = (sign * near, sign * far);
                out.line(format_args!("Bucket ({near:.6}, {far:.6}], Count: {count}"));
            }
        }
        if sign < 0.0 && point.number(7) > 0 {
            out.line(format_args!("Bucket [0, 0], Count: {}", point.number(7)));
        }
    }
}

fn summary(out: &mut Text, point: Message<'_>) {
    counts(out, point, [("Sum", 5)]);
    for (index, quantile) in point.messages(6).enumerate() {
        let (q, value) = (quantile.double(1), quantile.double(2));
        out.line(format_args!(
            "QuantileValue #{index}: Quantile {:.6}, Value {:.6}",
            q.unwrap_or(0.0),
            value.unwrap_or(0.0)
        ));
    }
}

fn counts<const N: usize>(out: &mut Text, point: Message<'_>, fields: [(&str, u32); N]) {
    out.line(format_args!("Count: {}", point.number(4)));
    for (name, number) in fields {
        if let Some(value) = point.double(number) {
            out.line(format_args!("{name}: {value:.6}"));
        }
    }
}

fn exemplars(out: &mut Text, point: Message<'_>, field: u32) {
    for (index, exemplar) in point.messages(field).enumerate() {
        if index == 0 {
            out.line(format_args!("Exemplars:"));
        }
        out.line(format_args!("Exemplar #{index}"));
        out.line(format_args!("     -> Trace ID: {}", exemplar.hex(5)));
        out.line(format_args!("     -> Span ID: {}", exemplar.hex(4)));
        out.line(format_args!("     -> Timestamp: {}", exemplar.time(2)));
        out.line(format_args!("     -> Value: {}", number(exemplar, 3, 6)));
        attributes(out, "     -> FilteredAttributes:", exemplar, 7);
    }
}

/// A value that is a double in one field or an integer in another.
fn number(of: Message<'_>, double: u32, integer: u32) -> String {
    match of.which(&[double, integer]) {
        Some(field) if field == double => format!("{:.6}", of.double(double).unwrap_or(0.0)),
        Some(_) => of.number(integer).cast_signed().to_string(),
        None => String::new(),
    }
}

fn attributes_field(kind: u32) -> u32 {
    match kind {
        HISTOGRAM => 9,
        EXPONENTIAL_HISTOGRAM => 1,
        _ => 7,
    }
}

fn exemplars_field(kind: u32) -> Option<u32> {
    match kind {
        GAUGE | SUM => Some(5),
        HISTOGRAM => Some(8),
        EXPONENTIAL_HISTOGRAM => Some(11),
        _ => None,
    }
}

fn temporality(number: u64) -> &'static str {
    match number {
        1 => "Delta",
        2 => "Cumulative",
        _ => "Unspecified",
    }
}

/// A `sint32`.
fn zigzag(number: u64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "protobuf reads 32 bits off a longer varint")]
    let number = number as u32;
    f64::from((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}
