//! How many items a request holds, from its outer levels alone.

use crate::Signal;
use crate::wire::{Field, Fields, Value, WireError};

/// `resource_…` in a request, `scope_…` in those, and the spans, metrics or log records in those.
const LEVELS: [u32; 3] = [1, 2, 2];
/// The members of the oneof `Metric.data`, each of which has its `data_points` under 1.
const METRIC_DATA: [u32; 5] = [5, 7, 9, 10, 11];

/// The spans, data points or log records in an export request.
///
/// # Errors
/// When one of the levels that have to be walked is not protobuf. What lies below an item is not
/// looked at.
pub fn count_items(signal: Signal, request: &[u8]) -> Result<usize, WireError> {
    count(request, &LEVELS, &|item| item_weight(signal, item))
}

/// What one span, metric or log record counts as: a metric is its data points.
pub(crate) fn item_weight(signal: Signal, item: &[u8]) -> Result<usize, WireError> {
    match signal {
        Signal::Traces | Signal::Logs => Ok(1),
        Signal::Metrics => data_points(item),
    }
}

/// Sums `leaf` over the messages that the field numbers in `path` lead to.
fn count(
    message: &[u8],
    path: &[u32],
    leaf: &impl Fn(&[u8]) -> Result<usize, WireError>,
) -> Result<usize, WireError> {
    let Some((&number, path)) = path.split_first() else {
        return leaf(message);
    };
    let mut sum = 0;
    for field in Fields::new(message) {
        let field = field?;
        if let Value::Bytes(inner) = field.value
            && field.number == number
        {
            sum += count(inner, path, leaf)?;
        }
    }
    Ok(sum)
}

/// The data points of a metric. Of a oneof the last member stands, merged with what it directly
/// repeats.
fn data_points(metric: &[u8]) -> Result<usize, WireError> {
    let (mut member, mut sum) = (0, 0);
    for field in Fields::new(metric) {
        let Field { number, value: Value::Bytes(data), .. } = field? else {
            continue;
        };
        if METRIC_DATA.contains(&number) {
            let points = count(data, &[1], &|_| Ok(1))?;
            sum = if number == member { sum + points } else { points };
            member = number;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::put_bytes;

    /// Wraps the contents in one message after another, the innermost number first.
    fn wrapped(contents: &[u8], numbers: &[u32]) -> Vec<u8> {
        numbers.iter().fold(contents.to_vec(), |inner, &number| {
            let mut outer = Vec::new();
            put_bytes(&mut outer, number, &inner);
            outer
        })
    }

    #[test]
    fn spans_and_log_records_are_counted_across_resources_and_scopes() {
        let one = wrapped(b"not looked at", &[2, 2, 1]);
        let two = wrapped(&wrapped(b"", &[2]).repeat(2), &[2, 1]);
        for signal in [Signal::Traces, Signal::Logs] {
            assert_eq!(count_items(signal, &[one.clone(), two.clone()].concat()), Ok(3));
            assert_eq!(count_items(signal, b""), Ok(0));
        }
    }

    #[test]
    fn the_points_of_the_metrics_last_kind_count() {
        let gauge = wrapped(&wrapped(b"", &[1]).repeat(2), &[5]);
        let sum = wrapped(b"", &[1, 7]);
        let count = |metric: &[u8]| count_items(Signal::Metrics, &wrapped(metric, &[2, 2, 1]));
        assert_eq!(count(&gauge), Ok(2));
        assert_eq!(count(&gauge.repeat(2)), Ok(4));
        assert_eq!(count(&[gauge.clone(), sum.clone()].concat()), Ok(1));
        assert_eq!(count(&[sum, gauge].concat()), Ok(2));
    }

    #[test]
    fn broken_levels_are_errors() {
        assert_eq!(count_items(Signal::Traces, &wrapped(b"\x12\x05", &[2, 1])), Err(WireError::Truncated));
        assert_eq!(
            count_items(Signal::Metrics, &wrapped(b"\x2a\x05", &[2, 2, 1])),
            Err(WireError::Truncated)
        );
    }
}
