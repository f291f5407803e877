//! The reader, differential against `prost`: what `prost` accepts reads the same, and nothing
//! panics.

#![no_main]

#[path = "../../crates/otlp/tests/oracle/mod.rs"]
mod oracle;

use forebay_otlp::attribute::{Attribute, resource_attribute_messages};
use forebay_otlp::{LogIndex, SpanIndex, SpanView};
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;

fuzz_target!(|request: &[u8]| {
    check_records(request);
    if oracle::assert_reads_like_prost(request).is_some() {
        return;
    }
    // Less is checked on admission than `prost` checks, so what lies deeper may be anything.
    let Ok(index) = SpanIndex::scan(request) else { return };
    for span in &index.spans {
        let view = SpanView::new(index.body(request, span));
        let _ = (view.name(), view.kind(), view.attributes().count());
        let resource: Vec<_> = index.envelopes.resource_parts(request, span.envelope).collect();
        resource_attribute_messages(&resource.concat()).for_each(|message| {
            let _ = Attribute::parse(message);
        });
    }
});

/// Log records are found where `prost` finds them.
fn check_records(request: &[u8]) {
    let (Ok(index), Ok(decoded)) = (LogIndex::scan(request), ExportLogsServiceRequest::decode(request))
    else {
        return;
    };
    let scopes = decoded.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    let ids = scopes.flat_map(|scope| &scope.log_records).map(|record| {
        let id = <[u8; 16]>::try_from(&*record.trace_id).map_or(0, u128::from_be_bytes);
        (id != 0).then_some(id)
    });
    let found = index.records.iter().map(|record| record.trace_id.map(|id| id.0));
    assert!(found.eq(ids));
}
