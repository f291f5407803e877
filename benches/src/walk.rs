//! Finding the spans of an encoded request.
//!
//! The comparison counts with its own few lines rather than with the scanner it is there to judge; of Forebay
//! it uses the protobuf framing only.

use forebay_otlp::wire::{Fields, Value, WireError};

/// Calls `visit` with the offset and the bytes of every span in an `ExportTraceServiceRequest`.
pub(crate) fn for_each_span(
    request: &[u8],
    mut visit: impl FnMut(usize, &[u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    const RESOURCE_SPANS: u32 = 1;
    const SCOPE_SPANS: u32 = 2;
    const SPANS: u32 = 2;
    for_each_message(0, request, |field, offset, resource_spans| match field {
        RESOURCE_SPANS => {
            for_each_message(offset, resource_spans, |field, offset, scope_spans| match field {
                SCOPE_SPANS => for_each_message(offset, scope_spans, |field, offset, span| match field {
                    SPANS => visit(offset, span),
                    _ => Ok(()),
                }),
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    })
}

/// Calls `visit` for every length-delimited field of `message`, which lies at `offset`, with the field's number
/// and the offset and bytes of its content.
pub(crate) fn for_each_message(
    offset: usize,
    message: &[u8],
    mut visit: impl FnMut(u32, usize, &[u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    for field in Fields::new(message) {
        let field = field?;
        if let Value::Bytes(content) = field.value {
            visit(field.number, offset + field.end - content.len(), content)?;
        }
    }
    Ok(())
}
