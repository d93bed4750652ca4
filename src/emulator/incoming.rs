//! A client's message on its way to the dialogue: signature checked, both layers off, the event's JSON decoded.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    frames::{FrameError, Message, Value},
    signature::EventChain,
};

/// Takes the envelope off: checks the signature (by a clock that is ahead by `skew`), if there are signatures, and gives
/// the message within. None where the envelope is empty, as the last one is.
pub(super) fn unseal<'a>(
    chain: Option<&mut EventChain>,
    message: &'a [u8],
    skew: time::Duration,
) -> Result<Option<Message<'a>>, String> {
    let outer = Message::parse(message).map_err(|error| malformed(&error))?;
    let (mut date, mut signature) = (None, None);
    for header in outer.headers() {
        let header = header.map_err(|error| malformed(&error))?;
        match (header.name, header.value) {
            (":date", Value::TimestampMs(ms)) => date = Some((header.encoded, ms)),
            (":chunk-signature", Value::Bytes(bytes)) => signature = Some(bytes),
            _ => {}
        }
    }
    match (chain, date, signature) {
        (Some(chain), Some((encoded, ms)), Some(signature)) => {
            chain.verify(encoded, ms, outer.payload, signature, OffsetDateTime::now_utc() + skew)?;
        }
        (Some(_), ..) => return Err("The event is not signed: it needs :date and :chunk-signature.".into()),
        // Unsigned, as clients with a bearer token send: no envelope at all.
        (None, _, None) => return Ok(Some(outer)),
        (None, _, Some(_)) => {}
    }
    if outer.payload.is_empty() {
        return Ok(None);
    }
    Message::parse(outer.payload).map(Some).map_err(|error| malformed(&error))
}

/// `{"bytes": base64}` to the event's own JSON.
pub(super) fn decode_chunk(chunk: &Message<'_>, event: &mut Vec<u8>) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        bytes: Cow<'a, str>,
    }
    let kind = chunk.string(":event-type").unwrap_or_default();
    if kind != "chunk" {
        return Err(format!("Unknown event type '{kind}', expected 'chunk'."));
    }
    let part: Option<Part<'_>> = serde_json::from_slice(chunk.payload).ok();
    event.clear();
    part.filter(|part| STANDARD.decode_vec(part.bytes.as_bytes(), event).is_ok())
        .map(drop)
        .ok_or_else(|| "Unable to parse input chunk. Please check input format contains correct format.".to_owned())
}

pub(super) fn malformed(error: &FrameError) -> String {
    format!("Invalid event bytes: {error}.")
}
