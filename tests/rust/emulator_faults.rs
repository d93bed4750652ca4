//! Each fault of the emulator, as a client sees it on the wire.

use std::time::{Duration, Instant};

use h2::Reason;
use novasonic::emulator::{BrainChoice, Counting, Emulator, Fault, FaultKind, HeadersAt, Junk, Place, Scope, Settings};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};

use crate::raw_client::{Connection, Received, Signer, Stream, all_ended, ended};

/// After the opening events and one chunk of audio.
const MID_STREAM: u64 = 4;

fn emulator(after_input: u64, kind: FaultKind) -> Emulator {
    with(vec![Fault::after_input(after_input, kind)])
}

fn with(faults: Vec<Fault>) -> Emulator {
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
    for after_input in [0, 1] {
        let kind =
            FaultKind::Refuse { status: 429, code: "ThrottlingException".into(), message: "Too many requests".into() };
        let emulator = emulator(after_input, kind);
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = connection.open(None).await;
        if after_input == 1 {
            stream.begin();
        }
        assert_eq!(stream.refusal().await, (429, "ThrottlingException".into(), "Too many requests".into()));
        stream.end_stream();
        assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: refused with 429 ThrottlingException"));
    }
}

#[tokio::test]
async fn a_reset_has_the_code_asked_for() {
    for reason in (0..=13).map(Reason::from) {
        let emulator = emulator(MID_STREAM, FaultKind::RstStream { code: reason.into() });
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = talking(&connection).await;
        assert_eq!(reset_reason(&stream.rest().await), Some(reason));
        assert!(ended(&emulator).await.ended.unwrap().starts_with("fault: RST_STREAM"));
    }
}

#[tokio::test]
async fn a_reset_may_come_before_any_event() {
    let emulator = emulator(0, FaultKind::RstStream { code: Reason::REFUSED_STREAM.into() });
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
    let emulator = emulator(MID_STREAM, FaultKind::GoAway { code: 0, hard: false });
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
    let emulator = emulator(MID_STREAM, FaultKind::GoAway { code: Reason::ENHANCE_YOUR_CALM.into(), hard: true });
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
    for name in [
        "internalServerException",
        "modelStreamErrorException",
        "validationException",
        "throttlingException",
        "modelTimeoutException",
        "serviceUnavailableException",
        "somethingNewException",
    ] {
        let emulator = emulator(MID_STREAM, FaultKind::Exception { name: name.into(), message: "\"it\" broke".into() });
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = talking(&connection).await;
        assert_eq!(stream.rest().await.exception(), (name.into(), "\"it\" broke".into()));
        assert!(matches!(stream.next().await, Received::End));
        stream.end_stream();
        assert_eq!(ended(&emulator).await.ended.unwrap(), format!("fault: {name}"));
    }
}

#[tokio::test]
async fn an_unmodelled_error_is_told_in_headers() {
    let kind = FaultKind::Error { name: "Strange".into(), message: "oh".into() };
    let emulator = emulator(MID_STREAM, kind);
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    let Received::Error { code, message } = stream.rest().await else { panic!("an error") };
    assert_eq!((&*code, &*message), ("Strange", "oh"));
    assert!(matches!(stream.next().await, Received::End));
}

#[tokio::test]
async fn a_stall_answers_nothing_and_reads_nothing_more() {
    let emulator = emulator(MID_STREAM, FaultKind::Stall { scope: Scope::Stream, reading: false });
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
        Fault::after_input(MID_STREAM, exception),
        Fault::after_input(2, FaultKind::GoAway { code: 0, hard: false }),
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

/// One stream of an account: its first audio, and how it ended.
async fn talk_as(emulator: &Emulator, account: &str) -> (Stream, Connection) {
    let own = Settings::default();
    let id = if account.is_empty() { own.access_key_id } else { format!("{}_{account}", own.access_key_id) };
    let connection = Connection::cleartext(emulator).await;
    let mut stream = connection.open(Some(Signer::with_keys(&id, &own.secret_access_key, None))).await;
    stream.begin();
    stream.audio(&[1; 640]);
    assert_eq!(stream.next_audio().await, [1; 640]);
    (stream, connection)
}

fn io_error(received: Received) -> std::io::ErrorKind {
    match received {
        Received::Failed(error) => error.get_io().map_or_else(|| panic!("{error:?}"), std::io::Error::kind),
        other => panic!("expected a broken connection, got {other:?}"),
    }
}

#[tokio::test]
async fn a_tcp_reset_comes_behind_what_was_said_and_takes_all_streams_along() {
    let emulator = with(vec![Fault { stream: Some(2), ..Fault::after_output(4, FaultKind::TcpReset) }]);
    let connection = Connection::cleartext(&emulator).await;
    let mut first = talking(&connection).await;
    let mut second = connection.open(None).await;
    second.begin();
    // completionStart, contentStart and two of the three echoes. All at once, because a client that writes to a connection
    // that was reset loses what it has not read.
    for _ in 0..3 {
        second.audio(&[2; 640]);
    }
    let mut events = 0;
    let end = loop {
        match second.next().await {
            Received::Event(_) => events += 1,
            end => break end,
        }
    };
    assert_eq!(events, 4);
    assert_eq!(io_error(end), std::io::ErrorKind::ConnectionReset);
    assert_eq!(io_error(first.rest().await), std::io::ErrorKind::ConnectionReset);
    let reports = all_ended(&emulator).await;
    assert_eq!(reports[1].faults, ["tcp_reset after output 4"]);
    assert_eq!(reports[1].outputs.values().sum::<u64>(), 4);
    assert_eq!((reports[0].faults.len(), reports[1].ended.as_deref()), (0, Some("fault: TCP reset")));
    assert!(reports[1].fault_at.unwrap() >= reports[1].opened_at);
}

#[tokio::test]
async fn a_tcp_reset_under_tls_is_one_too() {
    let emulator = emulator(MID_STREAM, FaultKind::TcpReset);
    let connection = Connection::tls(&emulator, "localhost").await.unwrap();
    let mut stream = talking(&connection).await;
    assert_eq!(io_error(stream.rest().await), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_fault_may_wait_for_the_nth_event_of_a_name() {
    let place = Place::Input { count: 2, counting: Counting::Named("audioInput".into()) };
    let emulator = with(vec![Fault::new(FaultKind::EndStream, place)]);
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    stream.audio(&[2; 640]);
    assert_eq!(stream.next_audio().await, [2; 640], "what was said at once in answer comes first");
    assert!(matches!(stream.rest().await, Received::End));
    assert_eq!(emulator.streams()[0].inputs["audioInput"], 2);
}

#[tokio::test]
async fn a_fault_at_the_last_event_comes_before_the_end() {
    // sessionEnd is the seventh.
    let emulator = emulator(7, FaultKind::RstStream { code: Reason::CANCEL.into() });
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    stream.finish();
    assert_eq!(reset_reason(&stream.rest().await), Some(Reason::CANCEL));
    assert_eq!(ended(&emulator).await.events.last().unwrap(), "sessionEnd");
}

#[tokio::test]
async fn a_fault_is_for_the_account_that_signed() {
    let fault = Fault { account: Some("anna".into()), ..Fault::after_output(3, FaultKind::EndStream) };
    let settings = Settings { brain: BrainChoice::Echo, faults: vec![fault], ..Settings::default() };
    let emulator = Emulator::start(settings).unwrap();
    for (account, number) in [("anna", 1), ("", 1), ("otto", 1), ("anna", 2)] {
        let (mut stream, _connection) = talk_as(&emulator, account).await;
        if account != "anna" {
            stream.audio(&[2; 640]);
            assert_eq!(stream.next_audio().await, [2; 640]);
            stream.finish();
        }
        assert!(matches!(stream.rest().await, Received::End));
        let report = emulator.streams().pop().unwrap();
        assert_eq!((&*report.account, report.number), (account, number));
        assert_eq!(report.faults.len(), usize::from(account == "anna"));
    }
}

#[tokio::test]
async fn an_account_needs_the_emulators_secret() {
    let emulator = Emulator::start(Settings::default()).unwrap();
    let own = Settings::default();
    for (id, secret, said) in [
        (format!("{}_anna", own.access_key_id), "another secret", "InvalidSignatureException"),
        (format!("{}anna", own.access_key_id), &*own.secret_access_key, "UnrecognizedClientException"),
        (format!("{}_", own.access_key_id), &*own.secret_access_key, "UnrecognizedClientException"),
    ] {
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = connection.open(Some(Signer::with_keys(&id, secret, None))).await;
        assert_eq!(stream.refusal().await.1, said);
    }
}

/// Whether the peer answers a ping within a second.
async fn answers_pings(connection: &mut Connection) -> bool {
    let ping = connection.ping();
    timeout(Duration::from_secs(1), ping).await.is_ok_and(|answer| answer.is_ok())
}

#[tokio::test]
async fn a_stalled_stream_leaves_its_connection_alive() {
    let emulator = with(vec![Fault { stream: Some(1), ..Fault::after_input(MID_STREAM, stall(Scope::Stream, false)) }]);
    let mut connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    stream.audio(&[2; 640]);
    assert!(timeout(Duration::from_millis(200), stream.next()).await.is_err());
    assert!(answers_pings(&mut connection).await);
    talking(&connection).await;
}

#[tokio::test]
async fn a_stalled_connection_is_a_silent_peer() {
    for reading in [false, true] {
        let emulator = emulator(MID_STREAM, stall(Scope::Connection, reading));
        let mut connection = Connection::cleartext(&emulator).await;
        let mut stream = talking(&connection).await;
        stream.audio(&[2; 640]);
        assert!(timeout(Duration::from_millis(200), stream.next()).await.is_err());
        assert!(!answers_pings(&mut connection).await);
        assert_eq!(emulator.streams()[0].ended, None);
        // Once the client has gone, so does the stream.
        connection.ended.abort();
        drop((stream, connection));
        assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: stall"));
    }
}

#[tokio::test]
async fn a_stall_that_reads_takes_whatever_comes() {
    // Four windows' worth: without reading the first would be the last.
    let sent = async |reading| {
        let emulator = emulator(MID_STREAM, stall(Scope::Stream, reading));
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = talking(&connection).await;
        let mut sent = 0;
        while sent < 4 * 1024 * 1024 {
            stream.sending.reserve_capacity(64 * 1024);
            let room = std::future::poll_fn(|cx| stream.sending.poll_capacity(cx));
            let Ok(Some(Ok(room))) = timeout(Duration::from_millis(300), room).await else { return sent };
            stream.bytes(vec![0; room]);
            sent += room;
        }
        let nothing = timeout(Duration::from_millis(100), stream.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        sent
    };
    assert!(sent(true).await >= 4 * 1024 * 1024);
    assert!(sent(false).await < 2 * 1024 * 1024);
}

#[tokio::test]
async fn no_headers_come_where_none_were_wanted() {
    let emulator = emulator(0, stall(Scope::Stream, true));
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    assert!(timeout(Duration::from_millis(300), stream.head()).await.is_err());
}

#[tokio::test]
async fn a_fault_after_headers_lets_them_out_at_once() {
    for kind in [FaultKind::EndStream, stall(Scope::Stream, false)] {
        let emulator = with(vec![Fault::new(kind.clone(), Place::Headers)]);
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = connection.open(None).await;
        assert_eq!(stream.head().await.unwrap().status(), 200);
        let next = timeout(Duration::from_millis(200), stream.next()).await;
        assert_eq!(matches!(next, Ok(Received::End)), kind == FaultKind::EndStream, "{next:?}");
    }
}

fn stall(scope: Scope, reading: bool) -> FaultKind {
    FaultKind::Stall { scope, reading }
}

#[tokio::test]
async fn live_streams_can_be_told_to_break() {
    let settings = Settings { brain: BrainChoice::Echo, ..Settings::default() };
    let emulator = Emulator::start(settings).unwrap();
    let (mut anna, _a) = talk_as(&emulator, "anna").await;
    let (mut otto, _o) = talk_as(&emulator, "otto").await;
    let fault = Fault::after_input(0, FaultKind::TcpReset);
    assert_eq!(emulator.commit(Fault { account: Some("anna".into()), ..fault.clone() }), Ok(1));
    assert_eq!(io_error(anna.rest().await), std::io::ErrorKind::ConnectionReset);
    otto.audio(&[2; 640]);
    assert_eq!(otto.next_audio().await, [2; 640]);
    assert_eq!(emulator.commit(fault), Ok(1));
    assert_eq!(io_error(otto.rest().await), std::io::ErrorKind::ConnectionReset);
    let refuse = FaultKind::Refuse { status: 429, code: "A".into(), message: String::new() };
    assert!(emulator.commit(Fault::after_input(0, refuse)).unwrap_err().contains("opening"));
    assert!(emulator.commit(Fault::after_input(3, FaultKind::Fin)).unwrap_err().contains("no place"));
}

#[tokio::test]
async fn faults_can_be_set_and_cleared_while_it_runs() {
    let emulator = with(Vec::new());
    let connection = Connection::cleartext(&emulator).await;
    let mut before = talking(&connection).await;
    emulator.add_faults(vec![Fault::after_input(MID_STREAM + 1, FaultKind::EndStream)]).unwrap();
    let late = Fault::after_input(9, FaultKind::Refuse { status: 429, code: "A".into(), message: String::new() });
    assert!(emulator.add_faults(vec![late]).is_err());
    let mut stream = talking(&connection).await;
    emulator.clear_faults();
    let mut after = talking(&connection).await;
    for stream in [&mut before, &mut stream, &mut after] {
        stream.audio(&[2; 640]);
        assert_eq!(stream.next_audio().await, [2; 640]);
    }
    assert!(matches!(stream.rest().await, Received::End));
    for stream in [&mut before, &mut after] {
        stream.audio(&[3; 640]);
        assert_eq!(stream.next_audio().await, [3; 640]);
    }
}

#[tokio::test]
async fn what_was_heard_is_kept_where_asked_for() {
    let counted: Vec<u8> = (0..640_u16).flat_map(u16::to_le_bytes).collect();
    for record in [true, false] {
        let settings = Settings { brain: BrainChoice::Echo, verify: false, record, ..Settings::default() };
        let emulator = Emulator::start(settings).unwrap();
        let connection = Connection::cleartext(&emulator).await;
        for _ in 0..2 {
            let mut stream = connection.open(None).await;
            stream.begin();
            for piece in counted.chunks(320) {
                stream.audio(piece);
                stream.next_audio().await;
            }
            stream.finish();
            assert!(matches!(stream.rest().await, Received::End));
        }
        for id in [1, 2] {
            assert_eq!(emulator.recording(id).map(|recording| recording.pcm), record.then(|| counted.clone()));
        }
        assert_eq!(emulator.recording(3), None);
    }
}

/// Commits it behind one echo, and gives what comes then.
async fn spoilt(kind: FaultKind) -> (Stream, Connection, Emulator) {
    let emulator = with(vec![Fault::after_output(3, kind)]);
    let connection = Connection::cleartext(&emulator).await;
    let stream = talking(&connection).await;
    (stream, connection, emulator)
}

fn strange(received: Received) -> String {
    match received {
        Received::Strange(what) => what,
        other => panic!("expected something strange, got {other:?}"),
    }
}

#[tokio::test]
async fn a_message_may_be_spoilt_and_the_stream_goes_on() {
    for (kind, said) in [
        (FaultKind::BadCrc, "Checksum"),
        (FaultKind::Junk(Junk::Json), "no JSON"),
        (FaultKind::Junk(Junk::Base64), "no base64"),
        (FaultKind::Junk(Junk::Event), "no event"),
        (FaultKind::UnknownFrame, ":event-type somethingNew"),
    ] {
        let (mut stream, _connection, emulator) = spoilt(kind).await;
        let what = strange(stream.next().await);
        assert!(what.contains(said), "{what}");
        stream.audio(&[2; 640]);
        assert_eq!(stream.next_audio().await, [2; 640]);
        stream.finish();
        assert!(matches!(stream.rest().await, Received::End));
        assert_eq!(ended(&emulator).await.ended.as_deref(), Some("clean"));
    }
}

#[tokio::test]
async fn an_unknown_event_comes_as_it_was_given() {
    let kind = FaultKind::Event { name: "news \"x\"".into(), fields: r#"{"a":[1,null]}"#.into() };
    let (mut stream, _connection, _emulator) = spoilt(kind).await;
    let Received::Event(event) = stream.next().await else { panic!("an event") };
    assert_eq!(event, serde_json::json!({"event": {"news \"x\"": {"a": [1, null]}}}));
}

#[tokio::test]
async fn a_message_may_end_half_way() {
    let (mut stream, _connection, emulator) = spoilt(FaultKind::Truncated).await;
    assert!(matches!(stream.next().await, Received::Truncated));
    stream.end_stream();
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: truncated"));
}

#[tokio::test]
async fn a_big_event_is_as_big_as_asked() {
    let (mut stream, _connection, _emulator) = spoilt(FaultKind::BigEvent { size: 4 << 20 }).await;
    let Received::Event(event) = stream.next().await else { panic!("an event") };
    assert_eq!(event["event"]["audioOutput"]["content"].as_str().unwrap().len(), 4 << 20);
    stream.audio(&[2; 640]);
    assert_eq!(stream.next_audio().await, [2; 640]);
}

#[tokio::test]
async fn frames_may_be_tiny() {
    let (mut stream, _connection, _emulator) = spoilt(FaultKind::TinyFrames { size: 3 }).await;
    let before = stream.frames.len();
    stream.audio(&[2; 640]);
    assert_eq!(stream.next_audio().await, [2; 640]);
    let tiny = &stream.frames[before..];
    assert!(tiny.len() > 300 && tiny.iter().all(|len| *len <= 3), "{tiny:?}");
}

#[tokio::test]
async fn a_drip_takes_its_time_and_ends_all_the_same() {
    let (mut stream, _connection, emulator) = spoilt(FaultKind::Drip { bytes_per_s: 5_000 }).await;
    let begun = Instant::now();
    // About 1,400 bytes on the wire.
    stream.audio(&[2; 640]);
    assert_eq!(stream.next_audio().await, [2; 640]);
    let took = begun.elapsed();
    assert!(Duration::from_millis(200) < took && took < Duration::from_secs(5), "{took:?}");
    stream.finish();
    assert!(matches!(stream.rest().await, Received::End));
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("clean"));
}

#[tokio::test]
async fn events_may_come_twice() {
    let (mut stream, _connection, _emulator) = spoilt(FaultKind::Duplicate { count: Some(1) }).await;
    stream.audio(&[2; 640]);
    stream.audio(&[3; 640]);
    for expected in [2, 2, 3] {
        assert_eq!(stream.next_audio().await, [expected; 640]);
    }
}

#[tokio::test]
async fn the_first_opens_may_be_throttled() {
    let throttle = Fault::from_json(r#"{"kind": "throttle", "times": 2}"#).unwrap();
    let emulator = with(vec![throttle]);
    let connection = Connection::cleartext(&emulator).await;
    for _ in 0..2 {
        let (status, name, _) = connection.open(None).await.refusal().await;
        assert_eq!((status, &*name), (429, "ThrottlingException"));
    }
    talking(&connection).await;
}

#[tokio::test]
async fn an_account_has_so_many_streams_at_a_time() {
    let quota = Fault { account: Some("anna".into()), ..Fault::after_input(0, FaultKind::Quota { max: 2 }) };
    let settings = Settings { brain: BrainChoice::Echo, faults: vec![quota], ..Settings::default() };
    let emulator = Emulator::start(settings).unwrap();
    let own = Settings::default();
    let anna = Signer::with_keys(&format!("{}_anna", own.access_key_id), &own.secret_access_key, None);
    let (mut first, _a) = talk_as(&emulator, "anna").await;
    let (_second, _b) = talk_as(&emulator, "anna").await;
    let (_other, _o) = talk_as(&emulator, "otto").await;
    let connection = Connection::cleartext(&emulator).await;
    let (status, name, message) = connection.open(Some(anna.clone())).await.refusal().await;
    assert_eq!((status, &*name), (400, "ServiceQuotaExceededException"));
    assert!(message.contains('2'), "{message}");
    // The refused one does not count, and one that has ended makes room.
    first.finish();
    assert!(matches!(first.rest().await, Received::End));
    let (_third, _c) = talk_as(&emulator, "anna").await;
    assert_eq!(connection.open(Some(anna)).await.refusal().await.0, 400);
}

#[tokio::test]
async fn a_skewed_clock_refuses_what_is_signed_now() {
    for (seconds, said) in [(400, "Signature expired"), (-400, "Signature not yet current")] {
        let settings =
            Settings { faults: vec![Fault::after_input(0, FaultKind::Skew { seconds })], ..Settings::default() };
        let emulator = Emulator::start(settings).unwrap();
        let connection = Connection::cleartext(&emulator).await;
        let (status, name, message) = connection.open(Some(Signer::new())).await.refusal().await;
        assert_eq!((status, &*name), (403, "InvalidSignatureException"));
        assert!(message.starts_with(said), "{message}");
    }
}

#[tokio::test]
async fn a_clock_may_go_wrong_within_a_stream() {
    let faults = vec![Fault::after_input(MID_STREAM, FaultKind::Skew { seconds: 400 })];
    let emulator = Emulator::start(Settings { brain: BrainChoice::Echo, faults, ..Settings::default() }).unwrap();
    let (mut stream, _connection) = talk_as(&emulator, "").await;
    stream.audio(&[2; 640]);
    let (name, message) = stream.rest().await.exception();
    assert!(name == "validationException" && message.starts_with("Signature expired"), "{name}: {message}");
}

#[tokio::test]
async fn connections_may_be_refused_or_never_answered() {
    let refuse = |silent| {
        let kind = FaultKind::RefuseConnection { silent };
        with(vec![Fault { times: Some(1), ..Fault::after_input(0, kind) }])
    };
    let first_byte = async |emulator: &Emulator| {
        let mut socket = TcpStream::connect(emulator.https_addr()).await.unwrap();
        let mut byte = [0];
        timeout(Duration::from_secs(10), socket.read(&mut byte)).await
    };
    let emulator = refuse(false);
    assert_eq!(first_byte(&emulator).await.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    talking(&Connection::tls(&emulator, "localhost").await.unwrap()).await;
    let emulator = refuse(true);
    let hello = Connection::tls(&emulator, "localhost");
    assert!(timeout(Duration::from_millis(300), hello).await.is_err());
    talking(&Connection::tls(&emulator, "localhost").await.unwrap()).await;
}

#[tokio::test]
async fn a_goaway_may_be_hard_without_an_error() {
    let emulator = emulator(MID_STREAM, FaultKind::GoAway { code: 0, hard: true });
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    assert!(matches!(stream.rest().await, Received::Failed(_)));
    timeout(Duration::from_secs(10), connection.ended).await.unwrap().unwrap().ok();
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("fault: GOAWAY"));
}

#[tokio::test]
async fn a_graceful_goaway_refuses_new_streams() {
    let emulator = emulator(MID_STREAM, FaultKind::GoAway { code: 0, hard: false });
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = talking(&connection).await;
    stream.audio(&[2; 640]);
    assert_eq!(stream.next_audio().await, [2; 640]);
    let refused = async {
        // Until the final GOAWAY is in, which comes after a ping of its own.
        while connection.try_open().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.unwrap();
    stream.audio(&[3; 640]);
    assert_eq!(stream.next_audio().await, [3; 640]);
}

#[tokio::test]
async fn a_script_commits_its_faults() {
    let path = std::env::temp_dir().join(format!("novasonic-faults-{}.toml", std::process::id()));
    let script =
        "[[fault]]\nkind = \"rst_stream\"\ncode = \"CANCEL\"\nafter_input = 4\n[[turn]]\n[[turn.step]]\ntext = \"x\"\n";
    std::fs::write(&path, script).unwrap();
    let brain = BrainChoice::Script(path.clone());
    let emulator = Emulator::start(Settings { brain, verify: false, ..Settings::default() }).unwrap();
    std::fs::remove_file(path).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(None).await;
    stream.begin();
    stream.audio(&[1; 640]);
    assert_eq!(reset_reason(&stream.rest().await), Some(Reason::CANCEL));
}

#[tokio::test]
async fn the_services_own_ends_come_sooner_on_a_fast_clock() {
    for (idle_limit, speed, name, said) in [
        (Settings::default().idle_limit, 500.0, "validationException", "less than 55 seconds"),
        (Duration::MAX, 2_000.0, "modelTimeoutException", "Model has timed out in processing the request."),
    ] {
        let settings = Settings { brain: BrainChoice::Echo, verify: false, speed, idle_limit, ..Settings::default() };
        let emulator = Emulator::start(settings).unwrap();
        let connection = Connection::cleartext(&emulator).await;
        let begun = Instant::now();
        let mut stream = talking(&connection).await;
        let (exception, message) = stream.rest().await.exception();
        assert_eq!(exception, name);
        assert!(message.contains(said), "{message}");
        // 55 s and 480 s.
        assert!(begun.elapsed() > Duration::from_millis(if name == "validationException" { 100 } else { 230 }));
    }
}

/// The cut matrix in small: many conversations in one emulator, each broken elsewhere and none elsewhere than it should be.
#[tokio::test]
async fn a_hundred_conversations_break_each_in_its_own_place() {
    let own = Settings::default();
    let signer =
        |account: &str| Signer::with_keys(&format!("{}_{account}", own.access_key_id), &own.secret_access_key, None);
    let mut faults = Vec::new();
    for count in 1..=25 {
        for (name, kind) in [("reset", FaultKind::TcpReset), ("stall", stall(Scope::Connection, false))] {
            let account = |direction| Some(format!("{name}-{direction}-{count}"));
            faults.push(Fault { account: account("in"), ..Fault::after_input(count, kind.clone()) });
            faults.push(Fault { account: account("out"), ..Fault::after_output(count, kind) });
        }
    }
    let accounts: Vec<String> = faults.iter().map(|fault| fault.account.clone().unwrap()).collect();
    let emulator = Emulator::start(Settings { brain: BrainChoice::Echo, faults, ..Settings::default() }).unwrap();
    let talk = async |account: String| {
        let connection = Connection::cleartext(&emulator).await;
        let mut stream = connection.open(Some(signer(&account))).await;
        stream.begin();
        for _ in 0..30 {
            stream.audio(&[1; 640]);
        }
        let mut events = 0_u64;
        loop {
            match timeout(Duration::from_millis(500), stream.next()).await {
                Ok(Received::Event(_)) => events += 1,
                Ok(end) => break (events, Some(end), connection),
                Err(_) => break (events, None, connection),
            }
        }
    };
    let ends = futures_util::future::join_all(accounts.iter().cloned().map(talk)).await;
    let reports = emulator.streams();
    for (account, (seen, end, _)) in accounts.iter().zip(&ends) {
        let report = reports.iter().find(|report| report.account == *account).unwrap();
        let count: u64 = account.rsplit('-').next().unwrap().parse().unwrap();
        let counts = if account.contains("-in-") { &report.inputs } else { &report.outputs };
        assert_eq!(counts.values().sum::<u64>(), count, "{account}: {report:?}");
        assert_eq!(report.faults.len(), 1, "{account}");
        assert_eq!(*seen, report.outputs.values().sum::<u64>(), "{account}: what was said before the fault arrives");
        assert_eq!(end.is_some(), account.starts_with("reset"), "{account}: {end:?}");
    }
}
