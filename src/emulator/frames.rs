//! The event-stream message format (reference §7.2): `vnd.amazon.eventstream`, read without copying, written in place.
//!
//! ```text
//! [total length u32][headers length u32][CRC32 of those 8][headers][payload][CRC32 of all before]
//! ```
//!
//! Not the SDK's codec: the judge must not share the client's code, and this path carries every audio chunk.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

const PRELUDE_LEN: usize = 12;
const CRC_LEN: usize = 4;
const MAX_HEADER_VALUE_LEN: usize = 32_767;

/// `PartBody.bytes` holds at most 1,000,000 bytes (reference §4); twice in base64 and two layers of frames stay below this.
pub(super) const MAX_MESSAGE_LEN: usize = 2 * 1024 * 1024;

#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum FrameError {
    #[error("the prelude's checksum does not match")]
    PreludeChecksum,
    #[error("the message's checksum does not match")]
    MessageChecksum,
    #[error("the message's lengths contradict each other")]
    Lengths,
    #[error("a message of {0} bytes is over the limit of {MAX_MESSAGE_LEN}")]
    TooLong(usize),
    #[error("a header is malformed")]
    Header,
}

/// Cuts messages out of DATA frames. Clients flush an event in one DATA frame, so most messages are cut, not copied.
#[derive(Default)]
pub(super) struct Assembler {
    /// What is pushed is one message each, whatever it says of its length.
    by_message: bool,
    whole: Bytes,
    partial: BytesMut,
}

impl Assembler {
    /// For what comes in messages already, as on a WebSocket.
    pub(super) fn of_messages() -> Self {
        Self { by_message: true, ..Self::default() }
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if self.partial.is_empty() && self.whole.is_empty() {
            self.whole = data;
        } else {
            self.keep_rest();
            self.partial.extend_from_slice(&data);
        }
    }

    /// The next complete message, its checksums not yet checked (see [`Message::parse`]).
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.by_message {
            return Ok(Some(std::mem::take(&mut self.whole)).filter(|message| !message.is_empty()));
        }
        let waiting: &[u8] = if self.whole.is_empty() { &self.partial } else { &self.whole };
        match message_len(waiting)? {
            Some(len) if len <= waiting.len() => Ok(Some(if self.whole.is_empty() {
                self.partial.split_to(len).freeze()
            } else {
                self.whole.split_to(len)
            })),
            _ => {
                self.keep_rest();
                Ok(None)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.partial.is_empty()
    }

    fn keep_rest(&mut self) {
        if !self.whole.is_empty() {
            self.partial.extend_from_slice(&self.whole);
            self.whole.clear();
        }
    }
}

/// The length of the message that begins here, once its prelude is complete.
fn message_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(prelude) = bytes.first_chunk::<PRELUDE_LEN>() else { return Ok(None) };
    let mut reader = prelude.as_slice();
    let (total, headers, crc) = (reader.get_u32() as usize, reader.get_u32() as usize, reader.get_u32());
    if crc32fast::hash(prelude.first_chunk::<8>().unwrap_or(&[0; 8])) != crc {
        return Err(FrameError::PreludeChecksum);
    }
    if total > MAX_MESSAGE_LEN {
        return Err(FrameError::TooLong(total));
    }
    if total < PRELUDE_LEN + headers + CRC_LEN {
        return Err(FrameError::Lengths);
    }
    Ok(Some(total))
}

/// One message, borrowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks lengths and checksums of exactly one message.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if message_len(bytes)? != Some(bytes.len()) {
            return Err(FrameError::Lengths);
        }
        let (covered, crc) = bytes.split_last_chunk::<CRC_LEN>().ok_or(FrameError::Lengths)?;
        if crc32fast::hash(covered) != u32::from_be_bytes(*crc) {
            return Err(FrameError::MessageChecksum);
        }
        let mut reader = covered;
        reader.advance(4);
        let headers_len = reader.get_u32() as usize;
        reader.advance(CRC_LEN);
        let (headers, payload) = reader.split_at_checked(headers_len).ok_or(FrameError::Lengths)?;
        Ok(Self { headers, payload })
    }

    pub(super) fn headers(&self) -> Headers<'a> {
        Headers { rest: self.headers }
    }

    pub(super) fn string(&self, name: &str) -> Option<&'a str> {
        self.headers().find_map(|header| match header {
            Ok(Header { name: found, value: Value::String(value), .. }) if found == name => Some(value),
            _ => None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Bytes(&'a [u8]),
    String(&'a str),
    TimestampMs(i64),
    /// Booleans, integers and UUIDs: no header of this operation has one.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) value: Value<'a>,
    /// The header as it is on the wire; signatures cover these bytes.
    pub(super) encoded: &'a [u8],
}

pub(super) struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let header = read_header(self.rest);
        self.rest = header.and_then(|header| self.rest.get(header.encoded.len()..)).unwrap_or_default();
        Some(header.ok_or(FrameError::Header))
    }
}

fn read_header(bytes: &[u8]) -> Option<Header<'_>> {
    let mut rest = bytes;
    let mut take = |len: usize| {
        let (head, tail) = rest.split_at_checked(len)?;
        rest = tail;
        Some(head)
    };
    let name_len = *take(1)?.first()?;
    let name = std::str::from_utf8(take(name_len.into())?).ok()?;
    let kind = *take(1)?.first()?;
    let value = match kind {
        0 | 1 => Value::Other,
        2..=5 | 9 => {
            take(match kind {
                2 => 1,
                3 => 2,
                4 => 4,
                5 => 8,
                _ => 16,
            })?;
            Value::Other
        }
        6 | 7 => {
            let len = u16::from_be_bytes(take(2)?.try_into().ok()?);
            let value = take(len.into())?;
            if kind == 6 { Value::Bytes(value) } else { Value::String(std::str::from_utf8(value).ok()?) }
        }
        8 => Value::TimestampMs(i64::from_be_bytes(take(8)?.try_into().ok()?)),
        _ => return None,
    };
    let encoded_len = bytes.len() - rest.len();
    Some(Header { name, value, encoded: bytes.get(..encoded_len)? })
}

/// Writes `{"bytes": base64 of the event}` as the service frames a chunk, straight into the buffer that goes out.
pub(super) fn put_chunk(out: &mut BytesMut, event: &[u8]) {
    const BEFORE: &[u8] = br#"{"bytes":""#;
    const AFTER: &[u8] = br#""}"#;
    let headers = [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];
    let encoded_len = event.len().div_ceil(3) * 4;
    put_message(out, &headers, BEFORE.len() + encoded_len + AFTER.len(), |out| {
        out.put_slice(BEFORE);
        let start = out.len();
        out.put_bytes(0, encoded_len);
        if let Some(room) = out.get_mut(start..) {
            // Cannot fail: the room is exactly the length that base64 needs.
            let _ = STANDARD.encode_slice(event, room);
        }
        out.put_slice(AFTER);
    });
}

/// A chunk whose payload is whatever is given.
pub(super) fn put_raw_chunk(out: &mut BytesMut, event_type: &str, payload: &[u8]) {
    let headers = [(":event-type", event_type), (":content-type", "application/json"), (":message-type", "event")];
    put_message(out, &headers, payload.len(), |out| out.put_slice(payload));
}

/// An error that no model names (reference §5.1); END_STREAM follows it.
pub(super) fn put_error(out: &mut BytesMut, code: &str, message: &str) {
    let headers = [(":error-code", code), (":error-message", message), (":message-type", "error")];
    put_message(out, &headers, 0, |_| {});
}

/// A modelled exception of reference §5.1; END_STREAM follows it.
pub(super) fn put_exception(out: &mut BytesMut, name: &str, message: &str) {
    let headers = [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    let payload = serde_json::json!({ "message": message }).to_string();
    put_message(out, &headers, payload.len(), |out| out.put_slice(payload.as_bytes()));
}

/// `payload` must write exactly `payload_len` bytes.
fn put_message(out: &mut BytesMut, headers: &[(&str, &str)], payload_len: usize, payload: impl FnOnce(&mut BytesMut)) {
    let headers_len: usize = headers.iter().map(|(name, value)| name.len() + header_value(value).len() + 4).sum();
    let total = PRELUDE_LEN + headers_len + payload_len + CRC_LEN;
    out.reserve(total);
    let start = out.len();
    put_u32(out, total);
    put_u32(out, headers_len);
    put_crc(out, start);
    for (name, value) in headers {
        let value = header_value(value);
        #[allow(clippy::cast_possible_truncation)] // names of ours, and values cut to what a header holds
        {
            out.put_u8(name.len() as u8);
            out.put_slice(name.as_bytes());
            out.put_u8(7);
            out.put_u16(value.len() as u16);
        }
        out.put_slice(value.as_bytes());
    }
    payload(out);
    put_crc(out, start);
}

/// As much of it as a header holds: the texts of faults are anybody's.
fn header_value(value: &str) -> &str {
    value.get(..value.floor_char_boundary(MAX_HEADER_VALUE_LEN)).unwrap_or_default()
}

#[allow(clippy::cast_possible_truncation)] // lengths below are those of one message, far from 4 GiB
fn put_u32(out: &mut BytesMut, value: usize) {
    out.put_u32(value as u32);
}

/// Appends the checksum of everything since `start`.
fn put_crc(out: &mut BytesMut, start: usize) {
    let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.put_u32(crc);
}

#[cfg(test)]
mod tests;
