//! Worked examples that AWS publishes, requests that AWS's SDKs really sent, and forgeries of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, request::Parts};
use serde::Deserialize;
use time::PrimitiveDateTime;

mod presigned;

use super::*;
use crate::emulator::{frames::Message, frames::Value, settings::Settings};

const DOC_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn at(timestamp: &str) -> OffsetDateTime {
    PrimitiveDateTime::parse(timestamp, TIMESTAMP).unwrap().assume_utc()
}

/// "Deriving the signing key", AWS General Reference.
#[test]
fn the_signing_key_is_derived_as_in_awss_worked_example() {
    let key = SigningKey::derive(DOC_SECRET, "20150830", "us-east-1", "iam");
    // The key itself stays inside ring; what it signs tells it apart: the ListUsers example below and its signature.
    let string_to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                          f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    let signature = unhex("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7").unwrap();
    assert!(key.signed(string_to_sign, &signature));
    assert!(!SigningKey::derive(DOC_SECRET, "20150831", "us-east-1", "iam").signed(string_to_sign, &signature));
}

/// IAM's ListUsers in "Create a signed AWS API request", whose canonical request has this hash.
#[test]
fn the_canonical_request_is_the_one_of_awss_worked_example() {
    let (parts, ()) = Request::get("https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers")
        .header("content-type", "application/x-www-form-urlencoded;   charset=utf-8 ")
        .header("host", "iam.amazonaws.com")
        .header("x-amz-date", "20150830T123600Z")
        .body(())
        .unwrap()
        .into_parts();
    let canonical =
        canonical_request(&parts, &["content-type", "host", "x-amz-date"], EMPTY_SHA256, Host::AsSent).unwrap();
    assert_eq!(hex(&sha256(canonical.as_bytes())), "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
}

#[test]
fn the_path_is_encoded_once_more_than_the_wire_has_it() {
    use canonical::encode_path;
    assert_eq!(encode_path("/model/amazon.nova-2-sonic-v1%3A0/x"), "/model/amazon.nova-2-sonic-v1%253A0/x");
    assert_eq!(encode_path("/model/a:b~c_d/é"), "/model/a%3Ab~c_d/%C3%A9");
}

/// What a client of AWS's own sent to this emulator: the request, and the first two events.
#[derive(Deserialize)]
struct Recording {
    client: String,
    #[serde(default)]
    websocket: bool,
    uri: String,
    at: String,
    headers: Vec<(String, String)>,
    events: Vec<String>,
}

fn recordings() -> Vec<Recording> {
    serde_json::from_str(include_str!("recorded.json")).unwrap()
}

impl Recording {
    fn form(&self) -> Form {
        if self.websocket { Form::WebSocket } else { Form::Http2 }
    }

    fn verify(&self, keys: &Keys, now: OffsetDateTime) -> Result<EventChain, Refusal> {
        verify_request(keys, &self.parts(), self.form(), now)
    }

    fn parts(&self) -> Parts {
        let mut request = if self.websocket { Request::get(&self.uri) } else { Request::post(&self.uri) };
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn now(&self) -> OffsetDateTime {
        at(&self.at)
    }

    fn events(&self) -> Vec<Vec<u8>> {
        self.events.iter().map(|event| STANDARD.decode(event).unwrap()).collect()
    }

    fn unsigned(mut self) -> Self {
        self.headers.retain(|(name, _)| name != "authorization");
        self
    }

    fn with_uri(mut self, from: &str, to: &str) -> Self {
        self.uri = self.uri.replace(from, to);
        self
    }

    fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.into(), value.into()));
        self
    }
}

fn keys() -> Keys {
    let Settings { access_key_id, secret_access_key, .. } = Settings::default();
    Keys { access_key_id, secret_access_key }
}

fn verify_event(chain: &mut EventChain, event: &[u8], now: OffsetDateTime) -> Result<(), String> {
    let message = Message::parse(event).unwrap();
    let headers: Vec<_> = message.headers().map(Result::unwrap).collect();
    let (date, date_ms) = headers
        .iter()
        .find_map(|header| match header.value {
            Value::TimestampMs(ms) if header.name == ":date" => Some((header.encoded, ms)),
            _ => None,
        })
        .unwrap();
    let signature = headers
        .iter()
        .find_map(|header| match header.value {
            Value::Bytes(bytes) if header.name == ":chunk-signature" => Some(bytes),
            _ => None,
        })
        .unwrap();
    chain.verify(date, date_ms, message.payload, signature, now)
}

#[test]
fn what_awss_sdks_sent_is_accepted_request_and_events() {
    let recordings = recordings();
    assert_eq!(recordings.len(), 4);
    for recording in recordings {
        let mut chain = recording
            .verify(&keys(), recording.now())
            .unwrap_or_else(|refusal| panic!("{}: {refusal:?}", recording.client));
        for event in recording.events() {
            verify_event(&mut chain, &event, recording.now())
                .unwrap_or_else(|error| panic!("{}: {error}", recording.client));
        }
    }
}

#[test]
fn events_out_of_order_twice_or_altered_break_the_chain() {
    let recording = recordings().remove(0);
    let events = recording.events();
    let chain = || recording.verify(&keys(), recording.now()).unwrap();

    assert_eq!(verify_event(&mut chain(), &events[1], recording.now()), Err(MISMATCH.to_owned()));
    let mut twice = chain();
    verify_event(&mut twice, &events[0], recording.now()).unwrap();
    assert_eq!(verify_event(&mut twice, &events[0], recording.now()), Err(MISMATCH.to_owned()));

    let message = Message::parse(&events[0]).unwrap();
    let header = |name: &str| message.headers().map(Result::unwrap).find(|header| header.name == name).unwrap();
    let (Value::TimestampMs(date_ms), Value::Bytes(signature)) =
        (header(":date").value, header(":chunk-signature").value)
    else {
        panic!("a signed event");
    };
    let mut altered = message.payload.to_vec();
    altered[40] ^= 1;
    assert!(chain().verify(header(":date").encoded, date_ms, &altered, signature, recording.now()).is_err());
    // The header's bytes are signed too, milliseconds and all, though the signed string holds only seconds.
    let mut date = header(":date").encoded.to_vec();
    *date.last_mut().unwrap() ^= 1;
    assert!(chain().verify(&date, date_ms, message.payload, signature, recording.now()).is_err());
}

#[test]
fn an_event_from_another_time_is_refused() {
    let recording = recordings().remove(0);
    let mut chain = recording.verify(&keys(), recording.now()).unwrap();
    let late = recording.now() + Duration::minutes(6);
    let error = verify_event(&mut chain, &recording.events()[0], late).unwrap_err();
    assert!(error.starts_with("Signature expired: "), "{error}");
}

type Forge = fn(Recording) -> Recording;

const NO_SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/bedrock/aws4_request, SignedHeaders=host";
const SHORT_SCOPE: &str = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00";
const REAL_HOST: &str = "bedrock-runtime.eu-north-1.amazonaws.com";

/// What is forged, how, and the exception and words it is refused with.
#[rustfmt::skip]
const FORGERIES: &[(&str, Forge, &str, &str)] = &[
    ("no authorization", Recording::unsigned, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    ("a bearer token", |r| r.with_header("authorization", "Bearer abc"), "AccessDeniedException", "API keys"),
    ("another scheme", |r| r.with_header("authorization", "Basic abc"), "IncompleteSignatureException", "AWS4-HMAC-SHA256"),
    ("no signature", |r| r.with_header("authorization", NO_SIGNATURE), "IncompleteSignatureException", "'Signature'"),
    ("a short scope", |r| r.with_header("authorization", SHORT_SCOPE), "IncompleteSignatureException", "5 slash-delimited"),
    ("another header", |r| r.with_header("content-type", "text/plain"), "InvalidSignatureException", "does not match"),
    ("another payload hash", |r| r.with_header("x-amz-content-sha256", EMPTY_SHA256), "InvalidSignatureException", "does not match"),
    ("no such payload hash", |r| r.with_header("x-amz-content-sha256", "UNSIGNED"), "InvalidSignatureException", "x-amz-content-sha256"),
    ("another path", |r| r.with_uri("nova-2", "nova-3"), "InvalidSignatureException", "does not match"),
    ("another host", |r| r.with_uri("localhost", "example.org"), "InvalidSignatureException", "does not match"),
    ("another region's host", |r| r.with_uri("localhost:18443", REAL_HOST), "InvalidSignatureException", "valid region"),
    ("an unsigned token", |r| r.with_header("x-amz-security-token", "stolen"), "InvalidSignatureException", "x-amz-security-token"),
    ("another day", |r| r.with_header("x-amz-date", "20261122T234806Z"), "InvalidSignatureException", "Date in Credential scope"),
    ("no date", |r| r.with_header("x-amz-date", "yesterday"), "IncompleteSignatureException", "ISO-8601"),
];

#[test]
fn each_forgery_is_refused_by_the_services_name_for_it() {
    for (case, forge, code, message) in FORGERIES {
        let now = recordings().remove(0).now();
        let refusal = forge(recordings().remove(0)).verify(&keys(), now).map(drop).expect_err(case);
        assert_eq!((refusal.status, refusal.code.as_str()), (403, *code), "{case}: {refusal:?}");
        assert!(refusal.message.contains(message), "{case}: {}", refusal.message);
    }
}

#[test]
fn unknown_keys_and_other_services_are_refused() {
    let recording = recordings().remove(0);
    let refusal = |keys: &Keys, now| recording.verify(keys, now).map(drop).unwrap_err();
    let other_id = Keys { access_key_id: "AKIDSOMEONEELSE".into(), ..keys() };
    assert_eq!(refusal(&other_id, recording.now()).code, "UnrecognizedClientException");
    let other_secret = Keys { secret_access_key: "guess".into(), ..keys() };
    assert_eq!(refusal(&other_secret, recording.now()).code, "InvalidSignatureException");

    let other_service = recordings().remove(0);
    let header =
        other_service.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.replace("/bedrock/", "/s3/");
    let other_service = other_service.with_header("authorization", &header);
    let refusal = other_service.verify(&keys(), other_service.now()).map(drop).unwrap_err();
    assert!(refusal.message.contains("correct service: 'bedrock'"), "{}", refusal.message);
}

#[test]
fn temporary_keys_open_nothing_without_their_token() {
    let recording = recordings().remove(0);
    let authorization = &recording.headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
    let asia = authorization.replace("AKIDEMULATORNOTAWS00", "ASIAEMULATORNOTAWS00");
    let keys = Keys { access_key_id: "ASIAEMULATORNOTAWS00".into(), ..keys() };
    let now = recording.now();
    let refusal = recording.with_header("authorization", &asia).verify(&keys, now).map(drop).unwrap_err();
    assert_eq!(refusal.code, "UnrecognizedClientException");
}

#[test]
fn a_clock_may_be_five_minutes_off_and_no_more() {
    let recording = recordings().remove(2);
    let verify = |now| recording.verify(&keys(), now).map(drop);
    for minutes in [-5, 5] {
        verify(recording.now() + Duration::minutes(minutes)).unwrap();
    }
    let slow = verify(recording.now() + Duration::seconds(301)).unwrap_err();
    assert_eq!(slow.code, "InvalidSignatureException");
    assert_eq!(
        slow.message,
        "Signature expired: 20261123T234819Z is now earlier than 20261123T234820Z (20261123T235320Z - 5 min.)"
    );
    let fast = verify(recording.now() - Duration::seconds(301)).unwrap_err();
    assert!(
        fast.message.starts_with("Signature not yet current: 20261123T234819Z is still later than"),
        "{}",
        fast.message
    );
}

/// AWS's own signer signs across midnight UTC; the key changes with the event's day.
#[test]
fn a_stream_across_midnight_changes_its_key() {
    use aws_sigv4::{event_stream::sign_message, sign::v4::SigningParams};
    use aws_smithy_eventstream::frame::write_message_to;

    let identity = aws_credential_types::Credentials::new("AKID", DOC_SECRET, None, None, "test").into();
    let day_one = at("20261231T235959Z");
    let mut chain = EventChain {
        secret_access_key: DOC_SECRET.into(),
        region: "us-east-1".into(),
        prior: "0".repeat(64),
        day: "20261231".into(),
        key: SigningKey::derive(DOC_SECRET, "20261231", "us-east-1", SERVICE),
    };
    let mut prior = chain.prior.clone();
    for now in [day_one, day_one + Duration::seconds(2), day_one + Duration::seconds(3)] {
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(SERVICE)
            .time(now.into())
            .settings(())
            .build()
            .unwrap();
        let inner = aws_smithy_types::event_stream::Message::new(&b"payload"[..]);
        let (signed, signature) = sign_message(&inner, &prior, &params).unwrap().into_parts();
        prior = signature;
        let mut event = Vec::new();
        write_message_to(&signed, &mut event).unwrap();
        verify_event(&mut chain, &event, now).unwrap();
    }
    assert_eq!(chain.day, "20270101");
}
