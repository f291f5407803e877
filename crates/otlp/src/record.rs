//! Finding the log records of a request and what decisions need of each.
//!
//! Unlike a span, a log record has few fields that decisions read: the trace that it belongs to, if it does, and
//! attributes, which are looked up where they lie (see [`crate::attribute`]).

use std::ops::Range;

use crate::envelope::{Envelopes, ScanError};
use crate::scan::TraceId;
use crate::wire::{Fields, Value, WireError};

/// One log record of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The trace it belongs to; `None` if it has no id, or one that is not 16 bytes or all zero.
    pub trace_id: Option<TraceId>,
    /// Where the record's message lies in the request, without tag and length.
    pub body: Range<u32>,
    /// Index of its resource and scope in [`LogIndex::envelopes`].
    pub envelope: u32,
}

/// Where the log records of a request lie, and what decisions need of each.
#[derive(Clone, Debug, Default)]
pub struct LogIndex {
    /// The records, in wire order.
    pub records: Vec<LogRecord>,
    /// Their resources and scopes.
    pub envelopes: Envelopes,
}

const TRACE_ID: u32 = 9;

impl LogIndex {
    /// Finds the records of an encoded `ExportLogsServiceRequest`, by protobuf's rules as
    /// [`SpanIndex::scan`](crate::SpanIndex::scan) does.
    ///
    /// # Errors
    /// When the levels around the records, or the fields of a record, do not parse.
    pub fn scan(request: &[u8]) -> Result<Self, ScanError> {
        let mut records = Vec::new();
        let envelopes = Envelopes::walk(request, |envelope, body| {
            let trace_id = trace_id(&request[body.start as usize..body.end as usize]).map_err(|error| {
                ScanError::Wire { level: "log record", error, offset: body.start as usize }
            })?;
            records.push(LogRecord { trace_id, body, envelope });
            Ok(true)
        })?;
        Ok(Self { records, envelopes })
    }

    /// The message of `record`, which is one of this index over `request`.
    #[must_use]
    pub fn body<'a>(&self, request: &'a [u8], record: &LogRecord) -> &'a [u8] {
        &request[record.body.start as usize..record.body.end as usize]
    }
}

fn trace_id(record: &[u8]) -> Result<Option<TraceId>, WireError> {
    let last = Fields::new(record).try_fold(None, |last, field| {
        let field = field?;
        Ok(match field.value {
            Value::Bytes(id) if field.number == TRACE_ID => Some(id),
            _ => last,
        })
    })?;
    let id = last.and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
    Ok(id.filter(|&id| id != 0).map(TraceId))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord as Record, ResourceLogs, ScopeLogs};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn request(resources: Vec<Vec<Vec<Record>>>) -> ExportLogsServiceRequest {
        let scope = |log_records| ScopeLogs { log_records, ..ScopeLogs::default() };
        let resource = |scopes: Vec<_>| ResourceLogs {
            scope_logs: scopes.into_iter().map(scope).collect(),
            ..ResourceLogs::default()
        };
        ExportLogsServiceRequest { resource_logs: resources.into_iter().map(resource).collect() }
    }

    fn record() -> impl Strategy<Value = Record> {
        let id = prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 16),
            1 => Just(vec![0; 16]),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ];
        (id, "[a-z]{0,4}").prop_map(|(trace_id, event_name)| Record {
            trace_id,
            event_name,
            ..Record::default()
        })
    }

    proptest! {
        #[test]
        fn records_are_those_that_prost_reads(
            resources in prop::collection::vec(prop::collection::vec(prop::collection::vec(record(), 0..4), 0..3), 0..3),
        ) {
            let request = request(resources);
            let bytes = request.encode_to_vec();
            let index = LogIndex::scan(&bytes).unwrap();
            let found: Vec<_> = index.records.iter().map(|record| {
                (record.trace_id, Record::decode(index.body(&bytes, record)).unwrap())
            }).collect();
            let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            let expected: Vec<_> = scopes.flat_map(|scope| scope.log_records).map(|record| {
                let id = <[u8; 16]>::try_from(&*record.trace_id).map_or(0, u128::from_be_bytes);
                ((id != 0).then_some(TraceId(id)), record)
            }).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes: Vec<u8>) {
            let _ = LogIndex::scan(&bytes);
        }
    }

    #[test]
    fn the_last_of_several_trace_ids_counts() {
        let [first, second] =
            [1, 2].map(|id| Record { trace_id: vec![id; 16], ..Record::default() }.encode_to_vec());
        let twice = [first, second].concat();
        assert_eq!(trace_id(&twice), Ok(Some(TraceId(u128::from_be_bytes([2; 16])))));
    }

    #[test]
    fn a_record_that_is_no_protobuf_is_an_error() {
        // Request, resource, scope, record, and in it a field that is longer than the record.
        let request = [0x0a, 6, 0x12, 4, 0x12, 2, 0x4a, 16];
        let error = LogIndex::scan(&request).unwrap_err();
        assert_eq!(error, ScanError::Wire { level: "log record", error: WireError::Truncated, offset: 6 });
    }
}
