//! The reader, differential against `prost`: what `prost` accepts reads the same, and nothing
//! panics.

#![no_main]

#[path = "../../crates/otlp/tests/oracle/mod.rs"]
mod oracle;

use forebay_otlp::attribute::{Attribute, resource_attribute_messages};
use forebay_otlp::{SpanIndex, SpanView};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
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
