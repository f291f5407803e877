use std::io::Write;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

/// Decodes `body` given in pieces of `size`, into a buffer that grows by `room`.
fn decoded(coding: Coding, body: &[u8], size: usize, room: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflater = Inflater::new(coding)?.unwrap();
    let mut out = Vec::new();
    for mut piece in body.chunks(size) {
        loop {
            out.reserve_exact(room);
            inflater.run(&mut piece, &mut out)?;
            if out.len() < out.capacity() {
                break;
            }
        }
        assert!(piece.is_empty());
    }
    inflater.finish(coding.working_memory(body))?;
    Ok(out)
}

fn sample() -> Vec<u8> {
    (0..10_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect()
}

#[test]
fn every_coding_decodes_however_it_is_cut() {
    let data = sample();
    for (coding, body) in
        [(Coding::Gzip, gzip(&data)), (Coding::Deflate, deflate(&data)), (Coding::Zstd, zstd(&data))]
    {
        for (size, room) in [(1, 1), (1, 1 << 20), (7, 100), (usize::MAX, 1), (usize::MAX, 1 << 20)] {
            assert_eq!(decoded(coding, &body, size, room).unwrap(), data, "{coding:?} {size} {room}");
        }
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    let twice = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(decoded(Coding::Gzip, &twice, 5, 2).unwrap(), b"one two");
    let twice = [zstd(b"one "), zstd(b""), zstd(b"two")].concat();
    assert_eq!(decoded(Coding::Zstd, &twice, 5, 2).unwrap(), b"one two");
}

#[test]
fn a_body_of_empty_members_is_stopped() {
    let flood = gzip(b"").repeat(2000);
    assert!(matches!(decoded(Coding::Gzip, &flood, usize::MAX, 10), Err(InflateError::Members)));
}

#[test]
fn what_ends_early_or_late_or_is_something_else_is_malformed() {
    let data = sample();
    for (coding, body) in
        [(Coding::Gzip, gzip(&data)), (Coding::Deflate, deflate(&data)), (Coding::Zstd, zstd(&data))]
    {
        let cut = &body[..body.len() - 1];
        assert!(matches!(decoded(coding, cut, 100, 100), Err(InflateError::Truncated(_))), "{coding:?}");
        let late = [body.as_slice(), b"late"].concat();
        assert!(decoded(coding, &late, 100, 100).is_err(), "{coding:?}");
        assert!(matches!(decoded(coding, &data, 100, 100), Err(InflateError::Malformed(..))), "{coding:?}");
    }
}

#[test]
fn the_window_of_a_zstd_frame_is_charged_and_bounded() {
    let streamed = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(20).unwrap();
        encoder.write_all(&sample()).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(Coding::Zstd.working_memory(&streamed), ZSTD_STATE + (1 << 20));
    let whole = zstd::bulk::compress(&sample(), 1).unwrap();
    assert_eq!(Coding::Zstd.working_memory(&whole), ZSTD_STATE + sample().len());
    assert_eq!(Coding::Zstd.working_memory(&streamed[..4]), ZSTD_STATE + (1 << MAX_WINDOW_LOG));

    let mut wide = streamed;
    wide[5] = 17 << 3;
    assert_eq!(Coding::Zstd.working_memory(&wide), ZSTD_STATE + (1 << MAX_WINDOW_LOG));
    assert!(matches!(decoded(Coding::Zstd, &wide, 100, 100), Err(InflateError::Malformed(..))));
}

#[test]
fn a_decoder_is_used_again_only_if_it_is_small() {
    let wide = |log| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&sample()).unwrap();
        encoder.finish().unwrap()
    };
    let leaves_one = |body: &[u8]| {
        SPARE.set(None);
        assert_eq!(decoded(Coding::Zstd, body, 100, 100).unwrap(), sample());
        SPARE.take().is_some()
    };
    assert!(leaves_one(&wide(20)));
    assert!(!leaves_one(&wide(21)));
    assert!(!leaves_one(&[zstd(b""), wide(21)].concat()), "behind a small frame");
}

#[test]
fn names_are_known_in_any_case() {
    assert_eq!(Coding::named("GZip"), Some(Coding::Gzip));
    assert_eq!(Coding::named("zlib"), Some(Coding::Deflate));
    assert_eq!(Coding::named("snappy"), None);
}
