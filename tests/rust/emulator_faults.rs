//! Each fault of the emulator, as a client sees it on the wire.

use std::time::Duration;

use h2::Reason;
use novasonic::emulator::{BrainChoice, Emulator, Fault, FaultKind, HeadersAt, Settings};
use tokio::time::timeout;

use crate::raw_client::{Connection, Received, Stream, ended};

/// After the opening events and one chunk of audio.
const MID_STREAM: u64 = 4;

fn emulator(after_events: u64, kind: FaultKind) -> Emulator {
    let faults = vec![Fault { after_events, kind }];
    Emulator::start(Settings { brain: BrainChoice::Echo, verify: false, faults, ..Settings::default() }).unwrap()
}

/// A stream whose first chunk of audio has come back.
async fn talking(connection: &Connection) -> Stream {
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.audio(&[1; 640]);
    assert_eq!(stream.next_audio().await, [1; 640]);
    stream
}

fn reset_reason(received: &Received) -> Option<Reason> {
    match received {
        Received::Failed(error) if error.is_reset() => error.reason(),
        _ => None,
    }
}

#[tokio::test]
async fn a_refusal_takes_the_place_of_headers() {
    for after_events in [0, 1] {
        let kind =
            FaultKind::Refuse { status: 429, code: "ThrottlingException".into(), message: "Too many requests".into() };
        let emulator = emulator(after_events, kind);
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = connection.open(None).await;
        if after_events == 1 {
            stream.begin();
        }
        assert_eq!(stream.refusal().await, (429, "ThrottlingException".into(), "Too many requests".into()));
        stream.end_stream();
        assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: refused with 429 ThrottlingException"));
    }
}

#[tokio::test]
async fn a_reset_has_the_code_asked_for() {
    for reason in [Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM, Reason::NO_ERROR] {
        let emulator = emulator(MID_STREAM, FaultKind::Reset { code: reason.into() });
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = talking(&connection).await;
        assert_eq!(reset_reason(&stream.rest().await), Some(reason));
        assert!(ended(&emulator).await.ended.unwrap().starts_with("fault: reset"));
    }
}

#[tokio::test]
async fn a_reset_may_come_before_any_event() {
    let emulator = emulator(0, FaultKind::Reset { code: Reason::REFUSED_STREAM.into() });
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    assert_eq!(reset_reason(&stream.next().await), Some(Reason::REFUSED_STREAM));
}

/// The types of the HTTP/2 frames in what a server sent.
fn frame_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, kind, rest @ ..] = bytes {
        types.push(*kind);
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = rest.get(5 + len..).expect("whole frames");
    }
    types
}

#[tokio::test]
async fn a_fin_comes_without_reset_and_without_goaway() {
    const DATA: u8 = 0;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    let emulator = emulator(MID_STREAM, FaultKind::Fin);
    let (connection, recording) = Connection::recorded(&emulator).await;
    let _stream = talking(&connection).await;
    // The recording ends at the FIN; a TCP reset would fail it.
    let bytes = timeout(Duration::from_secs(10), recording).await.unwrap().unwrap();
    let types = frame_types(&bytes);
    assert!(types.contains(&DATA) && !types.contains(&RST_STREAM) && !types.contains(&GOAWAY), "{types:?}");
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: FIN"));
}

#[tokio::test]
async fn a_fin_under_tls_has_no_close_notify() {
    let emulator = emulator(MID_STREAM, FaultKind::Fin);
    let connection = Connection::tls(&emulator, "localhost").await.unwrap();
    let mut stream = talking(&connection).await;
    let Received::Failed(error) = stream.rest().await else { panic!("the stream is lost") };
    assert!(error.to_string().contains("close_notify"), "{error}");
}

#[tokio::test]
async fn end_stream_may_come_half_way() {
    let emulator = emulator(MID_STREAM, FaultKind::EndStream);
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    assert!(matches!(stream.rest().await, Received::End));
    stream.end_stream();
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: END_STREAM"));
}

#[tokio::test]
async fn a_graceful_goaway_lets_the_stream_go_on() {
    let emulator = emulator(MID_STREAM, FaultKind::GoAway { code: 0 });
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    stream.audio(&[2; 640]);
    assert_eq!(stream.next_audio().await, [2; 640]);
    stream.finish();
    assert!(matches!(stream.rest().await, Received::End));
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("clean"));
    timeout(Duration::from_secs(10), connection.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_goaway_with_a_code_ends_the_connection() {
    let emulator = emulator(MID_STREAM, FaultKind::GoAway { code: Reason::ENHANCE_YOUR_CALM.into() });
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    assert!(matches!(stream.rest().await, Received::Failed(_)));
    let error = timeout(Duration::from_secs(10), connection.ended).await.unwrap().unwrap().unwrap_err();
    assert!(error.is_go_away() && error.is_remote(), "{error:?}");
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    ended(&emulator).await;
}

#[tokio::test]
async fn an_exception_is_named_as_asked() {
    let kind = FaultKind::Exception { name: "modelStreamErrorException".into(), message: "it broke".into() };
    let emulator = emulator(MID_STREAM, kind);
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    assert_eq!(stream.rest().await.exception(), ("modelStreamErrorException".into(), "it broke".into()));
    assert!(matches!(stream.next().await, Received::End));
    stream.end_stream();
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: modelStreamErrorException"));
}

#[tokio::test]
async fn a_stall_answers_nothing_and_reads_nothing_more() {
    let emulator = emulator(MID_STREAM, FaultKind::Stall);
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    stream.audio(&[2; 640]);
    stream.finish();
    let nothing = timeout(Duration::from_millis(300), stream.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert_eq!(emulator.streams()[0].audio_bytes, 640);
    drop((stream, connection));
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: stall"));
}

#[tokio::test]
async fn faults_come_once_each_and_in_order() {
    let exception = FaultKind::Exception { name: "throttlingException".into(), message: "later".into() };
    let faults = vec![
        Fault { after_events: MID_STREAM, kind: exception },
        Fault { after_events: 2, kind: FaultKind::GoAway { code: 0 } },
    ];
    let settings = Settings {
        brain: BrainChoice::Echo,
        verify: false,
        headers: HeadersAt::Immediately,
        faults,
        ..Settings::default()
    };
    let emulator = Emulator::start(settings).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    assert_eq!(stream.rest().await.exception().0, "throttlingException");
}
