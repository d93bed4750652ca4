//! The WebSocket form of the operation on the wire: a conversation, who is let in, what breaks it, and the faults.

use std::{
    io,
    time::{Duration, Instant},
};

use novasonic::emulator::{BrainChoice, Emulator, Fault, FaultKind, Junk, Place, Scope, Settings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error, Message, protocol::frame::coding::CloseCode};

use crate::{
    raw_client::{Received, Signer, audio_input, ended},
    websocket_client::{Heard, PATH, WebSocket, request, signer_of},
};

fn echo() -> Settings {
    Settings { brain: BrainChoice::Echo, ..Settings::default() }
}

fn unverified(faults: Vec<Fault>) -> Emulator {
    Emulator::start(Settings { verify: false, faults, ..echo() }).unwrap()
}

/// After the opening events and one chunk of audio.
const MID_STREAM: u64 = 4;

async fn talking(emulator: &Emulator) -> WebSocket {
    let mut socket = WebSocket::open(emulator, None).await;
    socket.begin().await;
    socket.audio(&[1; 640]).await;
    assert_eq!(socket.next_audio().await, [1; 640]);
    socket
}

/// A stream that has met a fault after its first chunk of audio came back.
async fn broken_by(kind: FaultKind) -> (Emulator, WebSocket) {
    let emulator = unverified(vec![Fault::after_input(MID_STREAM, kind)]);
    let socket = talking(&emulator).await;
    (emulator, socket)
}

async fn verdict(emulator: &Emulator) -> String {
    ended(emulator).await.ended.unwrap()
}

#[tokio::test]
async fn a_presigned_conversation_goes_both_ways_at_once_and_ends_clean() {
    let emulator = Emulator::start(echo()).unwrap();
    let mut socket = WebSocket::open(&emulator, Some(Signer::new().in_region("eu-north-1"))).await;
    socket.begin().await;
    for n in 0..20 {
        socket.audio(&[n; 1024]).await;
        assert_eq!(socket.next_audio().await, [n; 1024]);
    }
    socket.finish().await;
    assert_eq!(socket.rest().await.code(), 1000);

    let report = ended(&emulator).await;
    assert_eq!(report.ended.as_deref(), Some("clean"));
    assert!(report.websocket);
    assert_eq!((report.model_id.as_str(), report.region.as_str()), ("amazon.nova-2-sonic-v1:0", "eu-north-1"));
    assert_eq!((report.audio_bytes, report.output_audio_bytes), (20 * 1024, 20 * 1024));
    assert_eq!(report.access_key_id, Some(Settings::default().access_key_id));
}

#[tokio::test]
async fn tls_serves_it_beside_http_2_whatever_the_client_says_of_protocols() {
    for alpn in [&["http/1.1"] as &[&str], &[]] {
        let emulator = Emulator::start(echo()).unwrap();
        let mut socket = WebSocket::tls(&emulator, alpn).await;
        socket.begin().await;
        socket.audio(&[1; 640]).await;
        assert_eq!(socket.next_audio().await, [1; 640]);
        socket.finish().await;
        assert_eq!(socket.rest().await.code(), 1000);
        assert_eq!(verdict(&emulator).await, "clean");
    }
}

#[tokio::test]
async fn temporary_keys_bring_their_token_in_the_query() {
    let settings = Settings { access_key_id: "ASIAEMULATOR".into(), ..echo() };
    let emulator = Emulator::start(settings.clone()).unwrap();
    let keys = |token| Some(Signer::with_keys("ASIAEMULATOR", &settings.secret_access_key, token));
    assert_eq!(status(WebSocket::try_open(&emulator, keys(None)).await), (403, "UnrecognizedClientException".into()));
    let mut socket = WebSocket::open(&emulator, keys(Some("a/to+ken=="))).await;
    socket.begin().await;
    socket.audio(&[1; 640]).await;
    assert_eq!(socket.next_audio().await, [1; 640]);
}

/// Of a handshake that was refused.
fn status(opened: Result<WebSocket, Error>) -> (u16, String) {
    match opened.map(drop) {
        Err(Error::Http(response)) => {
            let kind = response.headers().get("x-amzn-errortype").map_or("", |kind| kind.to_str().unwrap());
            (response.status().as_u16(), kind.split(':').next().unwrap().to_owned())
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_by_a_status_before_the_upgrade() {
    let settings = Settings::default();
    let emulator = Emulator::start(echo()).unwrap();
    let wrong_secret = Signer::with_keys(&settings.access_key_id, "a guess", None);
    let stranger = Signer::with_keys("AKIDSOMEONE", &settings.secret_access_key, None);
    for (case, signer, code) in [
        ("nothing signed", None, "MissingAuthenticationTokenException"),
        ("a wrong secret", Some(wrong_secret), "InvalidSignatureException"),
        ("an unknown key", Some(stranger), "UnrecognizedClientException"),
        ("expired", Some(signer_of(Duration::from_secs(61))), "InvalidSignatureException"),
        ("another service", Some(Signer::new().for_service("transcribe")), "InvalidSignatureException"),
    ] {
        assert_eq!(status(WebSocket::try_open(&emulator, signer).await), (403, code.into()), "{case}");
    }
    let unknown = request(&emulator, &PATH.replace("nova-2-sonic", "titan"));
    assert_eq!(status(WebSocket::send(&emulator, unknown, None).await), (400, "ValidationException".into()));
    let http2_only = request(&emulator, PATH.strip_suffix("-websocket").unwrap());
    assert_eq!(status(WebSocket::send(&emulator, http2_only, None).await), (505, String::new()));
    assert_eq!(emulator.streams(), []);
}

/// The first line of the answer to a request that is no WebSocket's.
async fn answer_to(emulator: &Emulator, head: &str) -> String {
    let mut socket = TcpStream::connect(emulator.http_addr()).await.unwrap();
    socket.write_all(format!("{head}\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn its_address_is_for_websockets_only() {
    let emulator = unverified(vec![]);
    assert_eq!(answer_to(&emulator, &format!("GET {PATH} HTTP/1.1")).await, "HTTP/1.1 426 Upgrade Required");
    assert_eq!(answer_to(&emulator, &format!("POST {PATH} HTTP/1.1")).await, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(emulator.streams(), []);
}

#[tokio::test]
async fn without_verification_neither_request_nor_messages_need_a_signature() {
    let emulator = unverified(vec![]);
    let mut socket = talking(&emulator).await;
    socket.finish().await;
    assert_eq!(socket.rest().await.code(), 1000);
    assert_eq!(verdict(&emulator).await, "clean");
}

#[tokio::test]
async fn a_message_that_is_altered_left_out_or_sent_twice_ends_the_stream() {
    type Forge = fn(Vec<u8>, Vec<u8>) -> Vec<Vec<u8>>;
    let forgeries: [(&str, Forge); 4] = [
        ("another byte", |mut first, _| {
            let middle = first.len() / 2;
            first[middle] ^= 1;
            vec![first]
        }),
        ("left out", |_, second| vec![second]),
        ("twice", |first, _| vec![first.clone(), first]),
        ("two in one", |first, second| vec![[first, second].concat()]),
    ];
    for (case, forge) in forgeries {
        let emulator = Emulator::start(echo()).unwrap();
        let mut socket = WebSocket::open(&emulator, Some(Signer::new())).await;
        socket.begin().await;
        let (first, second) = (socket.encode(&audio_input(&[1; 64])), socket.encode(&audio_input(&[2; 64])));
        for message in forge(first.to_vec(), second.to_vec()) {
            socket.message(Message::Binary(message.into())).await;
        }
        assert_eq!(socket.rest().await.exception().0, "validationException", "{case}");
        assert_eq!(socket.next().await.code(), 1000, "{case}");
        assert!(verdict(&emulator).await.contains("refused"), "{case}");
    }
}

#[tokio::test]
async fn who_leaves_without_a_session_end_is_reported_so() {
    let emulator = unverified(vec![]);
    let mut socket = talking(&emulator).await;
    socket.socket.close(None).await.unwrap();
    assert_eq!(verdict(&emulator).await, "the input ended before sessionEnd");

    let emulator = unverified(vec![]);
    drop(talking(&emulator).await);
    assert_eq!(verdict(&emulator).await, "connection lost");
}

/// A head, and what the emulator sends after it has been upgraded and given these bytes.
async fn after(emulator: &Emulator, frames: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(emulator.http_addr()).await.unwrap();
    let head = format!(
        "GET {PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(frames).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await.expect("an end").expect("no reset");
    let text = String::from_utf8_lossy(&answer).into_owned();
    // RFC 6455's own example of a key and its answer.
    assert!(text.starts_with("HTTP/1.1 101 ") && text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
    let head_len = text.find("\r\n\r\n").unwrap() + 4;
    answer.split_off(head_len)
}

#[tokio::test]
async fn what_breaks_rfc_6455_or_its_bounds_is_closed_with_the_code_for_it() {
    let too_long = [&[0x82, 0xff][..], &(2_u64 * 1024 * 1024 + 1).to_be_bytes()[..], &[0; 4], &[0; 64]].concat();
    let cases: [(&str, &[u8], u16); 5] = [
        ("not masked", &[0x82, 0x01, 0x00], 1002),
        ("a reserved bit", &[0xc2, 0x81, 0, 0, 0, 0, 0], 1002),
        ("no message to continue", &[0x80, 0x81, 0, 0, 0, 0, 0], 1002),
        ("text", &[0x81, 0x81, 0, 0, 0, 0, b'a'], 1003),
        ("over 2 MiB", &too_long, 1009),
    ];
    for (case, frames, code) in cases {
        let emulator = unverified(vec![]);
        let said = after(&emulator, frames).await;
        let expected = [[0x88, 2], code.to_be_bytes()].concat();
        assert_eq!(said, expected, "{case}");
        assert!(verdict(&emulator).await.starts_with("the WebSocket was broken: "), "{case}");
    }
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_pings_between() {
    let emulator = unverified(vec![]);
    let frames = [
        &[0x89, 0x82, 0, 0, 0, 0, b'h', b'i'][..],
        &[0x02, 0x81, 0, 0, 0, 0, 0],
        &[0x89, 0x80, 0, 0, 0, 0],
        &[0x80, 0x81, 0, 0, 0, 0, 0],
        // The client's own close.
        &[0x88, 0x80, 0, 0, 0, 0],
    ]
    .concat();
    let said = after(&emulator, &frames).await;
    // Both pongs, then what two bytes that are no message earn.
    assert!(said.starts_with(&[0x8a, 2, b'h', b'i', 0x8a, 0]), "{said:?}");
    assert!(verdict(&emulator).await.starts_with("event 1 refused"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_either() {
    let emulator = unverified(vec![]);
    let mut socket = talking(&emulator).await;
    let chunk = vec![1; 24 * 1024];
    let flood = async {
        loop {
            socket.audio(&chunk).await;
        }
    };
    // The sockets' own buffers and 256 KiB take some; then neither side moves.
    let _ = timeout(Duration::from_secs(2), flood).await;
    let heard = emulator.streams()[0].audio_bytes;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(emulator.streams()[0].audio_bytes, heard);
    assert!(heard < 64 * 1024 * 1024, "{heard}");
    // And both go on where they were.
    assert_eq!(socket.next_audio().await, chunk);
}

#[tokio::test]
async fn a_refusal_is_a_status_before_the_upgrade_and_an_exception_after() {
    let refuse = || FaultKind::Refuse { status: 429, code: "ThrottlingException".into(), message: "Slow.".into() };
    let emulator = unverified(vec![Fault::after_input(0, refuse())]);
    assert_eq!(status(WebSocket::try_open(&emulator, None).await), (429, "ThrottlingException".into()));
    assert_eq!(verdict(&emulator).await, "fault: refused with 429 ThrottlingException");

    let emulator = unverified(vec![Fault::after_input(1, refuse())]);
    let mut socket = WebSocket::open(&emulator, None).await;
    socket.begin().await;
    assert_eq!(socket.rest().await.exception(), ("throttlingException".into(), "Slow.".into()));
    assert_eq!(socket.next().await.code(), 1000);
    assert_eq!(verdict(&emulator).await, "fault: refused with 429 ThrottlingException");
}

#[tokio::test]
async fn each_end_has_its_own_close() {
    for (kind, code, how) in [
        (FaultKind::EndStream, CloseCode::Normal, "fault: END_STREAM"),
        (FaultKind::RstStream { code: 2 }, CloseCode::Error, "fault: RST_STREAM INTERNAL_ERROR"),
        (FaultKind::GoAway { code: 11, hard: true }, CloseCode::Away, "fault: GOAWAY"),
    ] {
        let (emulator, mut socket) = broken_by(kind.clone()).await;
        assert_eq!(socket.rest().await.code(), u16::from(code), "{how}");
        assert_eq!(verdict(&emulator).await, how);

        let emulator = unverified(vec![Fault::after_input(0, kind)]);
        let mut socket = WebSocket::open(&emulator, None).await;
        assert_eq!(socket.next().await.code(), u16::from(code), "{how}, at once");
    }
}

#[tokio::test]
async fn a_connection_breaks_without_a_close() {
    for (kind, how) in [(FaultKind::Fin, "fault: FIN"), (FaultKind::TcpReset, "fault: TCP reset")] {
        let (emulator, mut socket) = broken_by(kind).await;
        let Heard::Broken(error) = socket.rest().await else { panic!("{how}: a close came") };
        let reset = matches!(&*error, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset);
        assert_eq!(reset, how == "fault: TCP reset", "{error}");
        drop(socket);
        assert_eq!(verdict(&emulator).await, how);
        assert!(emulator.streams()[0].fault_at.is_some());
    }
}

#[tokio::test]
async fn a_connection_may_break_before_the_upgrade() {
    for kind in [FaultKind::Fin, FaultKind::TcpReset] {
        let emulator = unverified(vec![Fault::after_input(0, kind)]);
        let error = WebSocket::try_open(&emulator, None).await.err().expect("no handshake");
        assert!(!matches!(error, Error::Http(_)), "{error}");
        assert!(verdict(&emulator).await.starts_with("fault: "));
    }
}

#[tokio::test]
async fn a_stalled_socket_says_nothing_until_its_client_leaves() {
    for scope in [Scope::Stream, Scope::Connection] {
        let (emulator, mut socket) = broken_by(FaultKind::Stall { scope, reading: true }).await;
        for _ in 0..50 {
            socket.audio(&[1; 1024]).await;
        }
        let silence = timeout(Duration::from_millis(200), async { while socket.next_audio().await.len() < 1024 {} });
        assert!(silence.await.is_err());
        assert_eq!(emulator.streams()[0].ended, None);
        drop(socket);
        assert_eq!(verdict(&emulator).await, "fault: stall");
    }
}

#[tokio::test]
async fn a_handshake_may_stay_unanswered_and_its_client_may_leave() {
    let emulator = unverified(vec![Fault::after_input(0, FaultKind::Stall { scope: Scope::Stream, reading: true })]);
    let waiting = timeout(Duration::from_millis(200), WebSocket::try_open(&emulator, None));
    assert!(waiting.await.is_err());
    assert_eq!(verdict(&emulator).await, "fault: stall");
}

#[tokio::test]
async fn messages_are_spoilt_one_by_one() {
    let (_emulator, mut socket) = broken_by(FaultKind::Truncated).await;
    assert!(matches!(socket.rest().await, Heard::Half));
    assert_eq!(socket.next().await.code(), 1000);

    let (_emulator, mut socket) = broken_by(FaultKind::BadCrc).await;
    assert!(matches!(socket.rest().await, Heard::Half));
    socket.audio(&[2; 640]).await;
    assert_eq!(socket.next_audio().await, [2; 640]);

    let (_emulator, mut socket) = broken_by(FaultKind::Junk(Junk::Base64)).await;
    assert!(matches!(socket.rest().await, Heard::Said(Received::Strange(_))));
    let (_emulator, mut socket) = broken_by(FaultKind::Exception { name: "x".into(), message: "y".into() }).await;
    assert_eq!(socket.rest().await.exception(), ("x".into(), "y".into()));
    assert_eq!(socket.next().await.code(), 1000);
}

#[tokio::test]
async fn tiny_frames_and_drips_are_fragments_of_whole_messages() {
    let (_emulator, mut socket) = broken_by(FaultKind::TinyFrames { size: 1 }).await;
    socket.audio(&[2; 640]).await;
    assert_eq!(socket.next_audio().await, [2; 640]);

    let (_emulator, mut socket) = broken_by(FaultKind::Drip { bytes_per_s: 4_000 }).await;
    let start = Instant::now();
    socket.audio(&[2; 640]).await;
    assert_eq!(socket.next_audio().await, [2; 640]);
    // 1,300 bytes of base64 in base64.
    assert!(start.elapsed() > Duration::from_millis(200), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_fault_may_come_right_after_the_upgrade() {
    let emulator = unverified(vec![Fault::new(FaultKind::UnknownFrame, Place::Headers)]);
    let mut socket = WebSocket::open(&emulator, None).await;
    assert!(matches!(socket.next().await, Heard::Said(Received::Strange(_))));
}

#[tokio::test]
async fn a_fault_commanded_from_outside_meets_a_live_socket() {
    let emulator = unverified(vec![]);
    let mut socket = talking(&emulator).await;
    assert_eq!(emulator.commit(Fault::after_input(0, FaultKind::EndStream)), Ok(1));
    assert_eq!(socket.rest().await.code(), 1000);
}
