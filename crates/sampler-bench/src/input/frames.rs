//! OTLP protobuf: each request behind its length in four bytes, the highest first, as `file` exporters write it; or
//! one request that is the whole file.

use std::io::{self, BufRead, Read};

use bytes::Bytes;

use super::REQUEST_MAX;
use crate::WorkloadBuilder;

/// The tag of `resource_spans`, with which a bare request begins. No length begins with it: it would be 160 MiB.
const RESOURCE_SPANS: u8 = 0x0a;

/// Reads all requests. Where one is cut short or longer than may be, what follows cannot be found.
pub(super) fn read(mut reader: impl BufRead, file: u32, builder: &mut WorkloadBuilder) -> io::Result<()> {
    if reader.fill_buf()?.first() == Some(&RESOURCE_SPANS) {
        let mut request = Vec::new();
        reader.take(REQUEST_MAX as u64 + 1).read_to_end(&mut request)?;
        if request.len() > REQUEST_MAX {
            builder.oddities.oversized_requests += 1;
        } else {
            builder.add(Bytes::from(request), file);
        }
        return Ok(());
    }
    while !reader.fill_buf()?.is_empty() {
        let mut prefix = Vec::with_capacity(4);
        reader.by_ref().take(4).read_to_end(&mut prefix)?;
        let length = prefix.try_into().map_or(u32::MAX, u32::from_be_bytes);
        if length as usize > REQUEST_MAX {
            builder.oddities.oversized_requests += 1;
            return Ok(());
        }
        let mut request = Vec::new();
        reader.by_ref().take(u64::from(length)).read_to_end(&mut request)?;
        if request.len() < length as usize {
            builder.oddities.malformed_requests += 1;
            return Ok(());
        }
        builder.add(Bytes::from(request), file);
    }
    Ok(())
}
