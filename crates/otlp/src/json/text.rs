//! Strings, ids and bytes between JSON and the wire.

use std::fmt;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use base64::{Engine as _, alphabet};
use hex::FromHexError;
use serde::Deserializer;
use serde::de::{Error, Visitor};

use super::scalar::put_value;
use crate::schema::Kind;

/// Reads a string, and appends what it stands for without a tag. False for null.
pub(super) struct Text<'d> {
    pub(super) out: &'d mut Vec<u8>,
    pub(super) kind: &'static Kind,
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Bytes => "a string of base64",
            Kind::Id => "a string of hex digits",
            _ => "a string",
        })
    }

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    /// As bytes, in which `serde_json` has lone surrogates, where it would refuse to make them a
    /// `str`.
    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_bytes(self)
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<bool, E> {
        match self.kind {
            Kind::Id => put_hex(text, self.out),
            Kind::Bytes => put_base64(text, self.out),
            _ => put_utf8(text, self.out),
        }
        .map(|()| true)
    }
}

fn put_utf8<E: Error>(text: &[u8], out: &mut Vec<u8>) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(text);
    if str::from_utf8(text).is_ok() {
        return Ok(());
    }
    // A surrogate is ED, A0 to BF, 80 to BF, and as long as the replacement character.
    let put = &mut out[start..];
    for at in 0..put.len().saturating_sub(2) {
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf] = put[at..at + 3] {
            put[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
        }
    }
    str::from_utf8(put).map(|_| ()).map_err(|error| E::custom(format_args!("string is not UTF-8: {error}")))
}

fn put_hex<E: Error>(text: &[u8], out: &mut Vec<u8>) -> Result<(), E> {
    let start = out.len();
    out.resize(start + text.len() / 2, 0);
    hex::decode_to_slice(text, &mut out[start..]).map_err(|error| match error {
        FromHexError::InvalidHexCharacter { c, index } => {
            E::custom(format_args!("expected hex digits, found {c:?} at {index}"))
        }
        _ => E::custom(format_args!("expected an even number of hex digits, found {}", text.len())),
    })
}

fn put_base64<E: Error>(text: &[u8], out: &mut Vec<u8>) -> Result<(), E> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    engine.decode_vec(text, out).map_err(|error| E::custom(format_args!("expected base64: {error}")))
}

/// Appends the JSON string of what is not a message and length-delimited.
pub(super) fn put_text(kind: &Kind, bytes: &[u8], out: &mut Vec<u8>) {
    match kind {
        Kind::Id => put_value(&hex::encode(bytes), out),
        Kind::Bytes => put_value(&BASE64_STANDARD.encode(bytes), out),
        _ => put_value(&String::from_utf8_lossy(bytes), out),
    }
}
