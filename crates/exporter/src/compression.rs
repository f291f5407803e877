//! Compressed request bodies.

use std::cell::Cell;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{GzEncoder, ZlibEncoder};
use forebay_config::Table;
use zstd::zstd_safe::{CCtx, CParameter};

/// How a body is compressed, with the level of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip(u32),
    Zlib(u32),
    Zstd(i32),
}

/// Compressing goes on for so many input bytes, well below a millisecond, before other work gets its turn.
const SLICE: usize = 64 * 1024;

/// Recorded traces get 6 % larger than at zlib's default of 6, for less than half of the time, which would
/// otherwise be most of what a span costs here.
const DEFLATE_LEVEL: u32 = 2;

/// What zstd keeps for the next body is not in the memory budget. High levels want more, and begin
/// anew each time.
const SPARE_MAX: usize = 4 << 20;

thread_local! {
    /// What zstd has worked with last: its tables are cleared once, and not for every body.
    static SPARE: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
}

impl Compression {
    pub(crate) const GZIP: Self = Self::Gzip(DEFLATE_LEVEL);
    pub(crate) const ZLIB: Self = Self::Zlib(DEFLATE_LEVEL);
    pub(crate) const ZSTD: Self = Self::Zstd(zstd::DEFAULT_COMPRESSION_LEVEL);

    /// Reads `compression`, out of `known` names; gzip if absent.
    pub(crate) fn read(table: &Table<'_>, known: &[(&str, Self)]) -> Self {
        let unsupported = ["snappy", "x-snappy-framed", "lz4"];
        if let Some(cursor) = table.get("compression")
            && let Some(name) = cursor.string().filter(|name| unsupported.contains(&name.as_str()))
        {
            let message = format!("compression `{name}` is not supported");
            table.error_with_help("compression", message, "use gzip, zstd or none");
            return Self::GZIP;
        }
        table.choice_or("compression", known, Self::GZIP)
    }

    /// The same algorithm at the level in `compression_params`.
    pub(crate) fn with_level(self, params: &Table<'_>) -> Self {
        match self {
            Self::None => {
                params.accept("level", "nothing is compressed");
                Self::None
            }
            // -1 is the default level.
            Self::Gzip(default) => Self::Gzip(deflate_level(params).unwrap_or(default)),
            Self::Zlib(default) => Self::Zlib(deflate_level(params).unwrap_or(default)),
            Self::Zstd(default) => Self::Zstd(params.integer_or("level", 1..=22, default)),
        }
    }

    /// Appends the compressed `pieces` to `out`.
    pub(crate) async fn append(self, out: Vec<u8>, pieces: &[Bytes]) -> io::Result<Vec<u8>> {
        let total: usize = pieces.iter().map(Bytes::len).sum();
        match self {
            Self::None => write_all(out, pieces).await,
            Self::Gzip(level) => {
                let encoder = GzEncoder::new(out, flate2::Compression::new(level));
                write_all(encoder, pieces).await?.finish()
            }
            Self::Zlib(level) => {
                let encoder = ZlibEncoder::new(out, flate2::Compression::new(level));
                write_all(encoder, pieces).await?.finish()
            }
            Self::Zstd(level) => {
                let mut context = SPARE.take().unwrap_or_default();
                let mut encoder = zstd::stream::write::Encoder::with_context(out, &mut context);
                encoder.set_parameter(CParameter::CompressionLevel(level))?;
                // Lets it choose tables no larger than the input.
                encoder.set_pledged_src_size(Some(total as u64))?;
                let out = write_all(encoder, pieces).await?.finish()?;
                SPARE.set(Some(context).filter(|context| context.sizeof() <= SPARE_MAX));
                Ok(out)
            }
        }
    }
}

fn deflate_level(params: &Table<'_>) -> Option<u32> {
    params.integer("level", -1..=9).and_then(|level: i32| u32::try_from(level).ok())
}

async fn write_all<W: Write>(mut encoder: W, pieces: &[Bytes]) -> io::Result<W> {
    let mut since_yield = 0;
    for piece in pieces {
        for slice in piece.chunks(SLICE) {
            encoder.write_all(slice)?;
            since_yield += slice.len();
            if since_yield >= SLICE {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn every_algorithm_gives_back_the_pieces_after_the_prefix() {
        let pieces: Vec<Bytes> = (0..40u8).map(|n| Bytes::from(vec![n; usize::from(n) * 500])).collect();
        let plain = pieces.concat();
        // The second body of zstd is made by what has made the first.
        let zstd = [Compression::ZSTD, Compression::Zstd(1)];
        for compression in [Compression::None, Compression::GZIP, Compression::ZLIB].into_iter().chain(zstd) {
            let out = compression.append(vec![9; 5], &pieces).await.unwrap();
            assert_eq!(out[..5], [9; 5]);
            let mut inflated = Vec::new();
            match compression {
                Compression::None => inflated.extend(&out[5..]),
                Compression::Gzip(_) => {
                    flate2::read::GzDecoder::new(&out[5..]).read_to_end(&mut inflated).map(drop).unwrap();
                }
                Compression::Zlib(_) => {
                    flate2::read::ZlibDecoder::new(&out[5..]).read_to_end(&mut inflated).map(drop).unwrap();
                }
                Compression::Zstd(_) => inflated = zstd::decode_all(&out[5..]).unwrap(),
            }
            assert!(inflated == plain, "{compression:?}");
        }
    }

    #[tokio::test]
    async fn only_a_small_context_is_kept_for_the_next_body() {
        let piece = [Bytes::from(vec![7; 1 << 22])];
        for (level, kept) in [(3, true), (22, false), (1, true)] {
            Compression::Zstd(level).append(Vec::new(), &piece).await.unwrap();
            let context = SPARE.take();
            assert_eq!(context.is_some(), kept, "level {level}");
            SPARE.set(context);
        }
    }
}
