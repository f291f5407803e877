//! The content codings, decoded piece by piece into a buffer whose growth somebody else decides.

use std::cell::Cell;

use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// gzip members of one body. Real senders write one; a body of empty ones would cost a decoder every 20 bytes.
const MAX_MEMBERS: u32 = 1024;
/// The largest zstd window: 8 MiB, which RFC 8878 asks every decoder to support.
const MAX_WINDOW_LOG: u32 = 23;
/// What a DEFLATE decoder holds, about.
const DEFLATE_STATE: usize = 48 << 10;
/// The largest window whose decoder is used again.
const SPARE_WINDOW: usize = 1 << 20;
/// What a zstd decoder holds beside its window, about.
const ZSTD_STATE: usize = 384 << 10;
/// All of a zstd frame's header that tells its window.
const ZSTD_HEADER: usize = 18;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    /// RFC 9110's `deflate`: DEFLATE in a zlib wrapping.
    Deflate,
    Zstd,
}

/// The bytes are not what the coding says.
#[derive(Debug, Error)]
pub(crate) enum InflateError {
    #[error("{0} data is malformed: {1}")]
    Malformed(&'static str, String),
    #[error("{0} data ends early")]
    Truncated(&'static str),
    #[error("gzip data has more than {MAX_MEMBERS} members")]
    Members,
}

/// A decoder in the middle of a body.
pub(crate) enum Inflater {
    Deflate {
        state: Box<Decompress>,
        gzip: bool,
        members: u32,
        ended: bool,
    },
    /// `another` frame has come after the first.
    Zstd {
        decoder: Box<Decoder<'static>>,
        ended: bool,
        another: bool,
    },
}

thread_local! {
    /// What has decoded the last body of zstd: to make another takes as long as to decode tens of kilobytes. It is nobody's
    /// charge, so it has to be small.
    static SPARE: Cell<Option<Box<Decoder<'static>>>> = const { Cell::new(None) };
}

impl Coding {
    /// The coding that a header calls `name`, in any case (RFC 9110, 8.4.1).
    pub(crate) fn named(name: &str) -> Option<Self> {
        let names = [
            ("", Self::Identity),
            ("identity", Self::Identity),
            ("none", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("zlib", Self::Deflate),
            ("zstd", Self::Zstd),
        ];
        names.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, coding)| coding)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// Bytes that decoding holds beside what it has decoded; `start` is the beginning of the body.
    pub(crate) fn working_memory(self, start: &[u8]) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip | Self::Deflate => DEFLATE_STATE,
            Self::Zstd => {
                let window = zstd_window(start).unwrap_or(1 << MAX_WINDOW_LOG).min(1 << MAX_WINDOW_LOG);
                ZSTD_STATE.saturating_add(usize::try_from(window).unwrap_or(usize::MAX))
            }
        }
    }
}

impl Inflater {
    /// A decoder for `coding`; `None` for identity.
    pub(crate) fn new(coding: Coding) -> Result<Option<Self>, InflateError> {
        Ok(match coding {
            Coding::Identity => None,
            Coding::Gzip => Some(Self::deflate(true)),
            Coding::Deflate => Some(Self::deflate(false)),
            Coding::Zstd => {
                let unusable = |error: std::io::Error| InflateError::Malformed("zstd", error.to_string());
                let decoder = match SPARE.take() {
                    Some(mut decoder) => {
                        decoder.reinit().map_err(unusable)?;
                        decoder
                    }
                    None => {
                        let mut decoder = Box::new(Decoder::new().map_err(unusable)?);
                        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(unusable)?;
                        decoder
                    }
                };
                Some(Self::Zstd { decoder, ended: false, another: false })
            }
        })
    }

    fn deflate(gzip: bool) -> Self {
        let state = Box::new(if gzip { Decompress::new_gzip(15) } else { Decompress::new(true) });
        Self::Deflate { state, gzip, members: 1, ended: false }
    }

    /// Decodes from the front of `input` into the spare capacity of `out`, and cuts off what it has read.
    ///
    /// When it returns with room left in `out`, all of `input` has been read and nothing more comes of it.
    pub(crate) fn run(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), InflateError> {
        while out.len() < out.capacity() {
            let before = (input.len(), out.len());
            match self {
                Self::Deflate { state, gzip, members, ended } => {
                    if *ended && !input.is_empty() {
                        if !*gzip {
                            return Err(InflateError::Malformed("deflate", "bytes after the end".into()));
                        }
                        if *members == MAX_MEMBERS {
                            return Err(InflateError::Members);
                        }
                        **state = Decompress::new_gzip(15);
                        *members += 1;
                        *ended = false;
                    }
                    *ended |= inflate(state, input, out, if *gzip { "gzip" } else { "deflate" })?;
                }
                Self::Zstd { decoder, ended, another } => {
                    *another |= *ended && !input.is_empty();
                    let mut from = InBuffer::around(input);
                    let start = out.len();
                    let mut to = OutBuffer::around_pos(out, start);
                    let hint = decoder
                        .run(&mut from, &mut to)
                        .map_err(|error| InflateError::Malformed("zstd", error.to_string()))?;
                    let read = from.pos();
                    *input = &input[read..];
                    // Nothing read and nothing written says nothing about where the frame is.
                    if before != (input.len(), out.len()) {
                        *ended = hint == 0;
                    }
                }
            }
            if before == (input.len(), out.len()) {
                break;
            }
        }
        Ok(())
    }

    /// Whether the body may end here. What decoding it has held beside it is `working_memory`.
    pub(crate) fn finish(self, working_memory: usize) -> Result<(), InflateError> {
        match self {
            Self::Deflate { ended: true, .. } => Ok(()),
            Self::Zstd { decoder, ended: true, another } => {
                // Of frames behind the first nobody knows the window.
                if !another && working_memory <= ZSTD_STATE + SPARE_WINDOW {
                    SPARE.set(Some(decoder));
                }
                Ok(())
            }
            Self::Deflate { gzip, .. } => Err(InflateError::Truncated(if gzip { "gzip" } else { "deflate" })),
            Self::Zstd { .. } => Err(InflateError::Truncated("zstd")),
        }
    }
}

/// One call of zlib; whether that was the end of the stream.
fn inflate(
    state: &mut Decompress,
    input: &mut &[u8],
    out: &mut Vec<u8>,
    name: &'static str,
) -> Result<bool, InflateError> {
    let read_before = state.total_in();
    let status = state
        .decompress_vec(input, out, FlushDecompress::None)
        .map_err(|error| InflateError::Malformed(name, error.to_string()))?;
    let read = usize::try_from(state.total_in() - read_before).unwrap_or(input.len());
    *input = &input[read..];
    Ok(status == Status::StreamEnd)
}

/// The window that a zstd frame asks for (RFC 8878, 3.1.1.1), if enough of its header is there.
fn zstd_window(start: &[u8]) -> Option<u64> {
    let mut header = [0; ZSTD_HEADER];
    let known = start.len().min(ZSTD_HEADER);
    header[..known].copy_from_slice(&start[..known]);
    if known < ZSTD_HEADER && start.len() < 6 {
        return None;
    }
    let descriptor = header[4];
    let window = u64::from(header[5]);
    let single_segment = descriptor & 0b10_0000 != 0;
    if !single_segment {
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * (window & 7));
    }
    // The window is the content, whose size follows the dictionary's id.
    let id = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = header.get(5 + id..5 + id + size).filter(|_| known >= 5 + id + size)?;
    let content = field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(if size == 2 { content + 256 } else { content })
}

#[cfg(test)]
mod tests;
