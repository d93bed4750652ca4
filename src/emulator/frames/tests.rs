//! AWS's own codec as the witness, and bytes that no codec would write.

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::{
    DateTime,
    event_stream::{Header as SdkHeader, HeaderValue, Message as SdkMessage},
};
use proptest::prelude::*;

use super::*;

fn written(message: &SdkMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_message_to(message, &mut bytes).unwrap();
    bytes
}

fn signed(payload: &'static [u8]) -> Vec<u8> {
    written(
        &SdkMessage::new(payload)
            .add_header(SdkHeader::new(":date", HeaderValue::Timestamp(DateTime::from_millis(1_700_000_000_123))))
            .add_header(SdkHeader::new(":chunk-signature", HeaderValue::ByteArray(vec![7; 32].into()))),
    )
}

fn assemble(assembler: &mut Assembler, data: &[u8]) -> Vec<Bytes> {
    assembler.push(Bytes::copy_from_slice(data));
    std::iter::from_fn(|| assembler.next().unwrap()).collect()
}

#[test]
fn headers_of_every_type_are_read() {
    let bytes = written(
        &SdkMessage::new(&b"p"[..])
            .add_header(SdkHeader::new("yes", HeaderValue::Bool(true)))
            .add_header(SdkHeader::new("no", HeaderValue::Bool(false)))
            .add_header(SdkHeader::new("byte", HeaderValue::Byte(1)))
            .add_header(SdkHeader::new("short", HeaderValue::Int16(2)))
            .add_header(SdkHeader::new("int", HeaderValue::Int32(3)))
            .add_header(SdkHeader::new("long", HeaderValue::Int64(4)))
            .add_header(SdkHeader::new("uuid", HeaderValue::Uuid(5)))
            .add_header(SdkHeader::new("bytes", HeaderValue::ByteArray(vec![1, 2].into())))
            .add_header(SdkHeader::new(":date", HeaderValue::Timestamp(DateTime::from_millis(1_234))))
            .add_header(SdkHeader::new(":event-type", HeaderValue::String("chunk".into()))),
    );
    let message = Message::parse(&bytes).unwrap();
    let headers: Vec<_> =
        message.headers().map(|header| header.map(|header| (header.name, header.value)).unwrap()).collect();
    let others = ["yes", "no", "byte", "short", "int", "long", "uuid"].map(|name| (name, Value::Other));
    assert_eq!(headers[..7], others);
    assert_eq!(
        headers[7..],
        [
            ("bytes", Value::Bytes(&[1, 2])),
            (":date", Value::TimestampMs(1_234)),
            (":event-type", Value::String("chunk"))
        ]
    );
    assert_eq!(message.string(":event-type"), Some("chunk"));
    assert_eq!(message.string(":date"), None);
    assert_eq!(message.payload, b"p");
}

#[test]
fn a_header_keeps_its_wire_form_for_the_signature() {
    let bytes = signed(b"x");
    let date = Message::parse(&bytes).unwrap().headers().next().unwrap().unwrap();
    let mut expected = b"\x05:date\x08".to_vec();
    expected.extend(1_700_000_000_123_i64.to_be_bytes());
    assert_eq!(date.encoded, expected);
}

#[test]
fn a_chunk_is_written_as_awss_codec_reads_it() {
    for event in [&b""[..], b"{", b"{}", b"{\"event\":{\"x\":{}}}"] {
        let mut out = BytesMut::from(&b"before"[..]);
        put_chunk(&mut out, event);
        let mut bytes = out.split_off(6);
        let message = read_message_from(&mut bytes).unwrap();
        assert!(bytes.is_empty());
        let headers: Vec<_> = message
            .headers()
            .iter()
            .map(|header| (header.name().as_str(), header.value().as_string().unwrap().as_str()))
            .collect();
        assert_eq!(
            headers,
            [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")]
        );
        let payload: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
        assert_eq!(STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap(), event);
    }
}

#[test]
fn an_exception_is_written_as_awss_codec_reads_it() {
    let mut out = BytesMut::new();
    put_exception(&mut out, "validationException", "a \"quoted\" reason\n");
    let message = read_message_from(&mut out).unwrap();
    let header = |name: &str| {
        message
            .headers()
            .iter()
            .find(|header| header.name().as_str() == name)
            .unwrap()
            .value()
            .as_string()
            .unwrap()
            .as_str()
            .to_owned()
    };
    assert_eq!(header(":message-type"), "exception");
    assert_eq!(header(":exception-type"), "validationException");
    let payload: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    assert_eq!(payload["message"], "a \"quoted\" reason\n");
}

#[test]
fn damage_is_named() {
    let good = signed(b"payload");
    let flip = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        Message::parse(&bytes).map(drop)
    };
    assert_eq!(flip(0), Err(FrameError::PreludeChecksum));
    assert_eq!(flip(9), Err(FrameError::PreludeChecksum));
    assert_eq!(flip(20), Err(FrameError::MessageChecksum));
    assert_eq!(flip(good.len() - 1), Err(FrameError::MessageChecksum));
    assert_eq!(Message::parse(&good[..good.len() - 1]).map(drop), Err(FrameError::Lengths));
    assert_eq!(Message::parse(&good[..5]).map(drop), Err(FrameError::Lengths));
}

/// A prelude whose checksum is right and whose lengths are not.
fn prelude(total: u32, headers: u32) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(total);
    bytes.put_u32(headers);
    put_crc(&mut bytes, 0);
    bytes.freeze()
}

#[test]
fn impossible_lengths_are_refused_before_anything_is_buffered() {
    let first = |bytes: Bytes| {
        let mut assembler = Assembler::default();
        assembler.push(bytes);
        assembler.next()
    };
    assert_eq!(first(prelude(u32::MAX, 0)), Err(FrameError::TooLong(u32::MAX as usize)));
    assert_eq!(first(prelude(15, 0)), Err(FrameError::Lengths));
    assert_eq!(first(prelude(100, 85)), Err(FrameError::Lengths));
    assert_eq!(first(prelude(100, u32::MAX)), Err(FrameError::Lengths));
    assert_eq!(first(prelude(100, 84)), Ok(None));
}

#[test]
fn a_header_that_runs_over_its_block_is_malformed() {
    for headers in [&b"\x05:dat"[..], b"\x01a\x07\x00\x05abc", b"\x01a\x63", b"\x01\xff\x00", b"\x01a\x08\x00"] {
        let mut reader = Headers { rest: headers };
        assert_eq!(reader.next(), Some(Err(FrameError::Header)), "{headers:?}");
        assert_eq!(reader.next(), None);
    }
}

proptest! {
    /// However a stream is cut into DATA frames, the same messages come out.
    #[test]
    fn messages_survive_any_cutting(sizes in prop::collection::vec(0_usize..600, 1..8), cuts in prop::collection::vec(1_usize..700, 1..40)) {
        let messages: Vec<Vec<u8>> = sizes.iter().map(|size| written(&SdkMessage::new(vec![0x5a; *size]))).collect();
        let stream = messages.concat();
        let mut assembler = Assembler::default();
        let mut out = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            rest = tail;
            out.extend(assemble(&mut assembler, head).iter().map(|message| message.to_vec()));
        }
        prop_assert_eq!(out, messages);
        prop_assert!(assembler.is_empty());
    }

    /// No bytes make the parser panic.
    #[test]
    fn junk_is_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&bytes).map(|message| message.headers().count());
        for header in (Headers { rest: &bytes }) {
            let _ = header;
        }
    }
}
