//! The emulator on the wire: what any client of the service would see.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use novasonic::emulator::{
    BrainAction, BrainChoice, BrainHost, BrainNotice, Emulator, HeadersAt, Settings, TurnRequest,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use crate::raw_client::{Connection, Received, Signer, audio_input, ended, opening, tls_socket};

fn echo() -> Settings {
    Settings { brain: BrainChoice::Echo, ..Settings::default() }
}

fn unverified() -> Settings {
    Settings { verify: false, ..echo() }
}

#[tokio::test]
async fn a_signed_conversation_ends_clean_and_is_reported() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::new().in_region("eu-north-1"))).await;
    stream.begin();
    for _ in 0..3 {
        stream.audio(&[1; 1024]);
        assert_eq!(stream.next_audio().await, [1; 1024]);
    }
    stream.finish();
    assert!(matches!(stream.rest().await, Received::End));

    let report = ended(&emulator).await;
    assert_eq!(report.ended.as_deref(), Some("clean"));
    assert_eq!(
        report.events,
        ["sessionStart", "promptStart", "contentStart", "audioInput", "contentEnd", "promptEnd", "sessionEnd"]
    );
    assert_eq!((report.audio_bytes, report.output_audio_bytes), (3072, 3072));
    assert_eq!((report.model_id.as_str(), report.region.as_str()), ("amazon.nova-2-sonic-v1:0", "eu-north-1"));
    assert_eq!(report.access_key_id, Some(Settings::default().access_key_id));
    assert_eq!((report.stream_id, report.connection_id), (1, 1));
}

#[tokio::test]
async fn every_name_of_the_certificate_is_served_over_tls() {
    let real = "bedrock-runtime.us-east-1.amazonaws.com";
    let emulator = Emulator::start(Settings { sans: vec![real.into()], ..echo() }).unwrap();
    for name in ["localhost", "127.0.0.1", real] {
        let connection = Connection::tls(&emulator, name).await.unwrap();
        let mut stream = connection.open(Some(Signer::new())).await;
        stream.begin();
        stream.audio(&[2; 640]);
        assert_eq!(stream.next_audio().await, [2; 640]);
        stream.finish();
        assert!(matches!(stream.rest().await, Received::End));
    }
    tls_socket(emulator.https_addr(), emulator.ca_pem(), "::1", &["h2"]).await.unwrap();
    let error = tls_socket(emulator.https_addr(), emulator.ca_pem(), "example.org", &["h2"]).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let other = Emulator::start(echo()).unwrap();
    let error = tls_socket(emulator.https_addr(), other.ca_pem(), "localhost", &["h2"]).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn headers_come_after_the_first_event_unless_asked_at_once() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::new())).await;
    // A second stream's answer shows that the first one's headers had their chance.
    let mut second = connection.open(Some(Signer::new())).await;
    second.begin();
    assert_eq!(second.head().await.unwrap().status(), 200);
    assert!(timeout(Duration::from_millis(200), stream.head()).await.is_err(), "headers before any event");

    let emulator = Emulator::start(Settings { headers: HeadersAt::Immediately, ..echo() }).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let head = connection.open(Some(Signer::new())).await.head().await.unwrap();
    assert_eq!(head.headers()["content-type"], "application/vnd.amazon.eventstream");
    assert!(head.headers().contains_key("x-amzn-requestid"));
}

#[tokio::test]
async fn who_signs_wrongly_is_refused_in_the_services_words() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let Settings { access_key_id, secret_access_key, .. } = Settings::default();
    let mut slow = Signer::new();
    slow.time = SystemTime::now() - Duration::from_mins(10);
    let cases = [
        (Some(Signer::with_keys(&access_key_id, "guess", None)), "InvalidSignatureException", "does not match"),
        (
            Some(Signer::with_keys("AKIDUNKNOWN", &secret_access_key, None)),
            "UnrecognizedClientException",
            "security token",
        ),
        (Some(slow), "InvalidSignatureException", "Signature expired"),
        (None, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    ];
    for (signer, name, message) in cases {
        let refusal = connection.open(signer).await.refusal().await;
        assert_eq!((refusal.0, refusal.1.as_str()), (403, name), "{refusal:?}");
        assert!(refusal.2.contains(message), "{refusal:?}");
    }
    let mut bearer = connection.request();
    bearer.headers_mut().insert("authorization", "Bearer bedrock-api-key-abc".parse().unwrap());
    let refusal = connection.send(bearer, None).await.refusal().await;
    assert_eq!((refusal.0, refusal.1.as_str()), (403, "AccessDeniedException"));
    assert!(emulator.streams().is_empty(), "a refused request is no stream");

    // The connection lives on, and temporary keys with their token are as good as any.
    let token = Signer::with_keys(&access_key_id, &secret_access_key, Some("session-token"));
    let mut stream = connection.open(Some(token)).await;
    stream.begin();
    stream.audio(&[3; 320]);
    assert_eq!(stream.next_audio().await, [3; 320]);
}

#[tokio::test]
async fn requests_for_anything_else_are_refused() {
    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut other = connection.request();
    *other.uri_mut() =
        format!("http://{}/model/amazon.nova-2-sonic-v1%3A0/invoke", emulator.http_addr()).parse().unwrap();
    assert_eq!(connection.send(other, None).await.refusal().await.1, "UnknownOperationException");
    let mut json = connection.request();
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(connection.send(json, None).await.refusal().await.0, 415);
}

#[tokio::test]
async fn an_event_signed_wrongly_ends_the_stream_with_a_validation_exception() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::new())).await;
    stream.begin();
    // Signed in its place in the chain, and never sent: the next one no longer fits.
    let _lost = stream.encode(&audio_input(&[0; 320]));
    stream.audio(&[0; 320]);
    let (name, message) = stream.rest().await.exception();
    assert_eq!(name, "validationException");
    assert!(message.contains("signature we calculated does not match"), "{message}");
    assert!(matches!(stream.next().await, Received::End));
    stream.end_stream();
    let ended = ended(&emulator).await.ended.unwrap();
    assert!(ended.starts_with("event 4 refused: "), "{ended}");
}

#[tokio::test]
async fn unsigned_events_are_refused_or_taken_as_asked() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut request = connection.request();
    Signer::new().sign_request(&mut request);
    let mut stream = connection.send(request, None).await;
    stream.event(&opening()[0]);
    let (name, message) = stream.rest().await.exception();
    assert_eq!(name, "validationException");
    assert!(message.contains("not signed"), "{message}");

    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.audio(&[4; 640]);
    assert_eq!(stream.next_audio().await, [4; 640]);
    stream.finish();
    assert!(matches!(stream.rest().await, Received::End));
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("clean"));
}

#[tokio::test]
async fn signatures_nobody_checks_may_be_wrong() {
    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::with_keys("AKIDOTHER", "guess", None))).await;
    stream.begin();
    stream.audio(&[5; 640]);
    assert_eq!(stream.next_audio().await, [5; 640]);
    assert_eq!(emulator.streams()[0].access_key_id.as_deref(), Some("AKIDOTHER"));
}

/// The Python SDK 0.4.0 sends no signed empty message.
#[tokio::test]
async fn end_stream_alone_ends_a_signed_stream_too() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::new())).await;
    stream.begin();
    stream.audio(&[0; 320]);
    for event in crate::raw_client::closing() {
        stream.event(&event);
    }
    stream.end_stream();
    assert!(matches!(stream.rest().await, Received::End));
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("clean"));
}

#[tokio::test]
async fn what_comes_after_session_end_is_judged_too() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::new())).await;
    stream.begin();
    stream.audio(&[0; 320]);
    for event in crate::raw_client::closing() {
        stream.event(&event);
    }
    stream.audio(&[0; 320]);
    stream.end_stream();
    assert!(matches!(stream.rest().await, Received::End));
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("an event came after sessionEnd"));
}

#[tokio::test]
async fn bytes_that_are_no_event_are_refused_and_harm_nobody() {
    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut neighbour = connection.open(None).await;
    neighbour.begin();

    let unknown = br#"{"bytes":"#;
    let cases: [(&str, Vec<u8>); 3] = [
        ("garbage", b"this is no event-stream message".to_vec()),
        ("half a chunk", raw_chunk("chunk", unknown)),
        ("another event type", raw_chunk("shout", b"{}")),
    ];
    for (case, bytes) in cases {
        let mut stream = connection.open(None).await;
        stream.bytes(bytes);
        let (name, message) = stream.rest().await.exception();
        assert_eq!(name, "validationException", "{case}: {message}");
        assert!(matches!(stream.next().await, Received::End), "{case}");
    }
    let mut cut = connection.open(None).await;
    let event = cut.encode(&opening()[0]);
    cut.bytes(event.slice(..event.len() - 1));
    cut.end_stream();
    assert!(cut.rest().await.exception().1.contains("inside a message"));

    neighbour.audio(&[6; 640]);
    assert_eq!(neighbour.next_audio().await, [6; 640]);
}

fn raw_chunk(event_type: &'static str, payload: &'static [u8]) -> Vec<u8> {
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    let message = Message::new(payload).add_header(Header::new(":event-type", HeaderValue::String(event_type.into())));
    let mut bytes = Vec::new();
    aws_smithy_eventstream::frame::write_message_to(&message, &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_client_that_stops_reading_is_stopped_and_its_neighbour_is_not() {
    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut deaf = connection.open(None).await;
    deaf.begin();
    let pcm = [7; 16_000];
    let event = deaf.encode(&audio_input(&pcm));
    // As much as the emulator lets in: its window, and what it holds for a client that reads nothing.
    let mut sent = 0;
    while sent < 1000 {
        deaf.sending.reserve_capacity(event.len());
        let granted = async {
            while deaf.sending.capacity() < event.len() {
                std::future::poll_fn(|cx| deaf.sending.poll_capacity(cx)).await.unwrap().unwrap();
            }
        };
        if timeout(Duration::from_millis(500), granted).await.is_err() {
            break;
        }
        deaf.bytes(event.clone());
        sent += 1;
    }
    let in_flight = sent * event.len();
    assert!((500_000..3_000_000).contains(&in_flight), "{in_flight} bytes were let in");
    let taken = emulator.streams()[0].output_audio_bytes;
    assert!(taken < 1_000_000, "{taken} bytes of speech were made for nobody");

    let mut neighbour = connection.open(None).await;
    neighbour.begin();
    neighbour.audio(&[8; 640]);
    assert_eq!(neighbour.next_audio().await, [8; 640]);

    // Nothing was lost on the way.
    for _ in 0..sent {
        assert_eq!(deaf.next_audio().await.len(), pcm.len());
    }
}

#[tokio::test]
async fn the_stream_limit_is_announced() {
    let emulator = Emulator::start(Settings { max_streams_per_connection: 3, ..unverified() }).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.head().await.unwrap();
    assert_eq!(connection.max_streams(), 3);
}

#[tokio::test]
async fn other_ends_are_told_apart() {
    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.head().await.unwrap();
    stream.sending.send_reset(h2::Reason::CANCEL);
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("reset by the client: CANCEL"));

    let emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.head().await.unwrap();
    connection.ended.abort();
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("connection lost"));

    let mut emulator = Emulator::start(unverified()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.head().await.unwrap();
    emulator.stop();
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("the emulator stopped"));
    assert!(matches!(stream.rest().await, Received::Failed(_)));
}

#[tokio::test]
async fn http_1_is_turned_away_with_a_word() {
    let emulator = Emulator::start(unverified()).unwrap();
    let mut socket = TcpStream::connect(emulator.http_addr()).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 ") && answer.contains("prior knowledge"), "{answer}");
}

#[tokio::test]
async fn the_log_says_what_this_is_and_nothing_that_was_said() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let on_log = move |line: &str| sink.lock().unwrap().push(line.to_owned());
    let emulator = Emulator::start(Settings { on_log: Some(Arc::new(on_log)), ..echo() }).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    connection.open(None).await.refusal().await;
    let mut stream = connection.open(Some(Signer::new())).await;
    stream.begin();
    stream.event(&json!({"event": {"spokenSecret": {}}}));
    stream.rest().await;
    stream.end_stream();
    ended(&emulator).await;
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines.iter() {
        assert!(line.starts_with("EMULATOR, not AWS: "), "{line}");
        assert!(!line.contains(&Settings::default().secret_access_key), "{line}");
    }
}

struct Host(mpsc::UnboundedSender<BrainNotice>);

impl BrainHost for Host {
    fn notice(&self, notice: BrainNotice) {
        let _ = self.0.send(notice);
    }
}

async fn next_notice(notices: &mut mpsc::UnboundedReceiver<BrainNotice>) -> BrainNotice {
    timeout(Duration::from_secs(10), notices.recv()).await.unwrap().unwrap()
}

/// Runs a typed turn up to the host's being asked.
async fn ask(
    emulator: &Emulator,
    notices: &mut mpsc::UnboundedReceiver<BrainNotice>,
) -> (crate::raw_client::Stream, TurnRequest) {
    let connection = Connection::cleartext(emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.audio(&[0; 3200]);
    let block = json!({"promptName": "p", "contentName": "t"});
    let mut start = block.clone();
    start["type"] = json!("TEXT");
    start["role"] = json!("USER");
    start["interactive"] = json!(true);
    start["textInputConfiguration"] = json!({"mediaType": "text/plain"});
    let mut text = block.clone();
    text["content"] = json!("hello");
    for (name, body) in [("contentStart", start), ("textInput", text), ("contentEnd", block)] {
        stream.event(&json!({"event": {name: body}}));
    }
    loop {
        if let BrainNotice::Turn(turn) = next_notice(notices).await {
            return (stream, turn);
        }
    }
}

#[tokio::test]
async fn a_host_brain_answers_and_is_cancelled_with_its_stream() {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let brain = BrainChoice::Host(Arc::new(Host(sender)));
    let emulator = Emulator::start(Settings { brain, speed: 20.0, ..unverified() }).unwrap();

    let (mut stream, turn) = ask(&emulator, &mut notices).await;
    assert_eq!(turn.text.as_deref(), Some("hello"));
    assert!(!emulator.act(turn.turn_id + 1000, BrainAction::Done), "a turn nobody asked for");
    assert!(emulator.act(turn.turn_id, BrainAction::Say { text: "Hi.".into(), pcm: None }));
    assert!(emulator.act(turn.turn_id, BrainAction::Done));
    assert!(!stream.next_audio().await.is_empty());
    assert!(!emulator.act(turn.turn_id, BrainAction::Done), "the turn is over");
    // The end of the audio follows Done. A stream dropped before that cancels its turn after all.
    loop {
        match stream.next().await {
            Received::Event(event) if event["event"]["contentEnd"]["type"] == "AUDIO" => break,
            Received::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(stream);

    let (stream, turn) = ask(&emulator, &mut notices).await;
    drop(stream);
    let cancelled = loop {
        if let BrainNotice::Cancel { turn_id } = next_notice(&mut notices).await {
            break turn_id;
        }
    };
    assert_eq!(cancelled, turn.turn_id);
    assert!(!emulator.act(turn.turn_id, BrainAction::Done));
}
