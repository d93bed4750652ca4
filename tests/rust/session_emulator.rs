//! A whole session against the emulator: real TLS, signatures verified, and every fault it can play.

use std::{sync::Arc, time::Duration};

use novasonic::{
    conversation::{EndReason, Event, EventKind, Limits, Prices, Speaker},
    emulator::{BrainChoice, Emulator, Fault, FaultKind, Scope, Settings, StreamReport},
    error::{Error, ErrorKind},
    protocol::{SampleRate, StreamConfig, ToolChoice},
    session::{Answer, Buffers, DeviceRates, Request, Session, SessionConfig, Timeouts, TokioClock},
    transport::{CredentialSource, Credentials, TransportConfig, sdk::SdkTransport},
};
use tokio::{sync::Notify, time::Instant};

use crate::transport_client::{LONG, MODEL, TempFile, config, keys};

/// 32 ms at 16 kHz.
const CHUNK: usize = 1024;
/// sessionStart, promptStart, three of the system prompt, contentStart of the audio.
const OPENING_EVENTS: u64 = 6;

struct Service {
    emulator: Emulator,
    ca: TempFile,
}

impl Service {
    fn start(settings: Settings) -> Self {
        let emulator = Emulator::start(settings).unwrap();
        let ca = TempFile::new(emulator.ca_pem());
        Self { emulator, ca }
    }

    fn transport(&self, credentials: CredentialSource) -> Arc<SdkTransport> {
        let config = TransportConfig {
            credentials,
            ca_bundle: Some(self.ca.0.clone()),
            ..config(&format!("https://localhost:{}", self.emulator.https_addr().port()))
        };
        Arc::new(SdkTransport::new(config).unwrap())
    }

    fn connect(&self) -> Talk {
        let settings = Settings::default();
        let keys = keys(&settings.access_key_id, &settings.secret_access_key);
        Talk::begin(self.transport(keys), timeouts())
    }

    /// The only stream's report, once it has ended.
    async fn report(&self) -> StreamReport {
        for _ in 0..1_000 {
            if let [report] = self.emulator.streams().as_slice()
                && report.ended.is_some()
            {
                return report.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no single ended stream: {:?}", self.emulator.streams());
    }
}

fn timeouts() -> Timeouts {
    Timeouts { open: LONG, ..Timeouts::default() }
}

/// A session and the host that drains it when told to.
struct Talk {
    session: Session,
    bell: Arc<Notify>,
    events: Vec<Event>,
    requests: Vec<Request>,
}

impl Talk {
    fn begin(transport: Arc<SdkTransport>, timeouts: Timeouts) -> Self {
        let bell = Arc::new(Notify::new());
        let rung = bell.clone();
        let config = SessionConfig {
            model_id: MODEL.into(),
            regions: Vec::new(),
            stream: StreamConfig {
                system: Some("You are a parrot.".into()),
                voice: "tiffany".into(),
                input_rate: SampleRate::Hz16000,
                output_rate: SampleRate::Hz16000,
                sensitivity: None,
                max_tokens: None,
                top_p: None,
                temperature: None,
                tools: Vec::new(),
                tool_choice: ToolChoice::Auto,
            },
            history: Vec::new(),
            first_turn: 1,
            continuation: None,
            asks_overlap: false,
            device: DeviceRates { input_hz: 16_000, output_hz: 16_000 },
            buffers: Buffers::default(),
            timeouts,
            realtime: false,
            prices: Prices::default(),
            limits: Limits::default(),
            clock: Arc::new(TokioClock::default()),
        };
        let runtime = tokio::runtime::Handle::current();
        let session = Session::spawn(&runtime, transport, config, Arc::new(move || rung.notify_one()));
        Self { session, bell, events: Vec::new(), requests: Vec::new() }
    }

    async fn until(&mut self, what: &str, mut enough: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        loop {
            while self.session.drain(256, &mut self.events, &mut self.requests) {}
            if enough(self) {
                return;
            }
            let told = tokio::time::timeout_at(deadline, self.bell.notified()).await;
            assert!(told.is_ok(), "{what} did not come; there are {} events", self.events.len());
        }
    }

    async fn ended(&mut self) -> (EndReason, Option<Error>) {
        self.until("the end", |talk| talk.events.iter().any(is_end)).await;
        self.session.closed().await;
        while self.session.drain(256, &mut self.events, &mut self.requests) {}
        assert_eq!(self.events.iter().filter(|event| is_end(event)).count(), 1);
        let Some(EventKind::SessionEnded { reason, error }) = self.events.last().map(|event| event.kind.clone()) else {
            panic!("something follows the end")
        };
        (reason, error)
    }

    async fn close(&mut self) {
        self.session.close();
        assert_eq!(self.ended().await, (EndReason::Closed, None));
    }

    fn heard(&self) -> Vec<u8> {
        let pcm = |event: &Event| match &event.kind {
            EventKind::Audio { pcm, .. } => pcm.to_vec(),
            _ => Vec::new(),
        };
        self.events.iter().flat_map(pcm).collect()
    }

    fn said(&self, speaker: Speaker) -> Vec<&str> {
        let said = |event: &'_ Event| matches!(&event.kind, EventKind::Transcript { speaker: s, .. } if *s == speaker);
        self.events
            .iter()
            .filter(|event| said(event))
            .filter_map(|event| match &event.kind {
                EventKind::Transcript { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    fn ends_of_turn(&self, turn: u32) -> usize {
        let ends = |event: &&Event| event.turn == Some(turn) && matches!(event.kind, EventKind::TurnEnded { .. });
        self.events.iter().filter(ends).count()
    }
}

fn is_end(event: &Event) -> bool {
    matches!(event.kind, EventKind::SessionEnded { .. })
}

fn echo() -> Settings {
    Settings { brain: BrainChoice::Echo, ..Settings::default() }
}

#[tokio::test]
async fn audio_comes_back_as_it_went() {
    let service = Service::start(echo());
    let mut talk = service.connect();
    talk.session.opened().await.unwrap();
    let said: Vec<u8> = (0..200_u8).flat_map(|number| vec![number; CHUNK]).collect();
    for chunk in said.chunks(CHUNK) {
        assert_eq!(talk.session.try_send_audio(chunk), Ok(true));
    }
    talk.until("the echo", |talk| talk.heard().len() >= said.len()).await;
    assert!(talk.heard() == said, "the same audio, in order, once");
    talk.close().await;
    let report = service.report().await;
    assert_eq!(report.ended.as_deref(), Some("clean"), "signatures and order verified to the last event");
    assert_eq!(report.audio_bytes, said.len() as u64);
    let stats = talk.session.stats();
    assert_eq!((stats.sent_audio_ms, stats.received_audio_ms), (200 * 32, 200 * 32));
    assert_eq!((stats.refused_chunks, stats.unknown_events, stats.streams_opened), (0, 0, 1));
}

#[tokio::test]
async fn what_was_said_before_a_close_still_arrives() {
    let service = Service::start(echo());
    let mut talk = service.connect();
    talk.session.opened().await.unwrap();
    for _ in 0..500 {
        assert_eq!(talk.session.try_send_audio(&[7; CHUNK]), Ok(true));
    }
    talk.close().await;
    assert_eq!(talk.heard().len(), 500 * CHUNK, "and its echo is heard");
    assert_eq!(service.report().await.audio_bytes, (500 * CHUNK) as u64);
}

#[tokio::test]
async fn a_parrot_answers_typed_text_and_speech() {
    let service = Service::start(Settings { speed: 20.0, ..Settings::default() });
    let mut talk = service.connect();
    talk.session.opened().await.unwrap();
    talk.session.send_text("Tell me a story.".into()).unwrap();
    talk.until("the first answer", |talk| talk.ends_of_turn(1) == 1).await;
    assert_eq!(talk.said(Speaker::User), ["Tell me a story."]);
    assert!(!talk.heard().is_empty(), "it is spoken");

    // A tone is speech to an energy detector; the pause after it ends the utterance.
    let tone: Vec<u8> = (0..16_000_u32)
        .flat_map(|n| {
            let phase = f64::from(n) * 220.0 * std::f64::consts::TAU / 16_000.0;
            #[expect(clippy::cast_possible_truncation, reason = "below 8,000")]
            let sample = (phase.sin() * 8_000.0) as i16;
            sample.to_le_bytes()
        })
        .collect();
    let quiet_before = talk.heard().len();
    assert_eq!(talk.session.try_send_audio(&tone), Ok(true));
    assert_eq!(talk.session.try_send_audio(&vec![0; 3 * 32_000]), Ok(true));
    talk.until("the second answer", |talk| talk.ends_of_turn(2) == 1).await;
    assert!(talk.heard().len() > quiet_before);
    talk.close().await;
    let report = service.report().await;
    assert_eq!(report.ended.as_deref(), Some("clean"));
}

#[tokio::test]
async fn two_sessions_share_a_connection_and_nothing_else() {
    let service = Service::start(echo());
    let settings = Settings::default();
    let transport = service.transport(keys(&settings.access_key_id, &settings.secret_access_key));
    let mut first = Talk::begin(transport.clone(), timeouts());
    let mut second = Talk::begin(transport, timeouts());
    first.session.opened().await.unwrap();
    second.session.opened().await.unwrap();
    first.session.abort();
    assert_eq!(first.ended().await, (EndReason::Closed, None));
    second.session.try_send_audio(&[3; CHUNK]).unwrap();
    second.until("the echo", |talk| talk.heard().len() == CHUNK).await;
    second.close().await;
}

#[tokio::test]
async fn credentials_come_by_the_lane() {
    let service = Service::start(echo());
    let settings = Settings::default();
    let answers = [
        Answer::Failed("KeyError".into()),
        Answer::Credentials(Credentials {
            access_key_id: settings.access_key_id,
            secret_access_key: settings.secret_access_key,
            session_token: None,
            expires_at: None,
        }),
    ];
    for (answer, works) in answers.into_iter().zip([false, true]) {
        let mut talk = Talk::begin(service.transport(CredentialSource::Ask), timeouts());
        talk.until("the request", |talk| !talk.requests.is_empty()).await;
        talk.session.answer(talk.requests[0].id, answer);
        let opened = talk.session.opened().await;
        if works {
            opened.unwrap();
            talk.close().await;
        } else {
            let error = opened.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
            assert_eq!(talk.ended().await, (EndReason::Error, Some(error)));
        }
    }
}

#[tokio::test]
async fn a_stranger_is_refused() {
    let service = Service::start(echo());
    let mut talk = Talk::begin(service.transport(keys("AKIDSTRANGER", "guess")), timeouts());
    let error = talk.session.opened().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessDenied, "{error}");
    assert_eq!(talk.ended().await, (EndReason::Error, Some(error)));
}

/// Every way the emulator can break a stream that lives: an error of its kind, after the events that came before.
#[tokio::test]
async fn a_broken_stream_is_an_error_never_a_clean_end() {
    let exception = |name: &str| FaultKind::Exception { name: name.into(), message: "Not now.".into() };
    let cases = [
        (FaultKind::RstStream { code: 2 }, ErrorKind::StreamLost),
        (FaultKind::RstStream { code: 0 }, ErrorKind::StreamLost),
        (FaultKind::Fin, ErrorKind::StreamLost),
        (FaultKind::TcpReset, ErrorKind::StreamLost),
        (FaultKind::EndStream, ErrorKind::StreamLost),
        (exception("throttlingException"), ErrorKind::Throttled),
        (exception("validationException"), ErrorKind::Validation),
        (exception("internalServerException"), ErrorKind::Service),
        (exception("modelTimeoutException"), ErrorKind::Service),
    ];
    for (fault, expected) in cases {
        let faults = vec![Fault::after_input(OPENING_EVENTS + 3, fault.clone())];
        let service = Service::start(Settings { faults, ..echo() });
        let mut talk = service.connect();
        talk.session.opened().await.unwrap();
        for number in 1..=3 {
            talk.session.try_send_audio(&[number; CHUNK]).unwrap();
        }
        let (reason, error) = talk.ended().await;
        let error = error.unwrap_or_else(|| panic!("{fault:?} is no clean end"));
        assert_eq!((reason, error.kind), (EndReason::Error, expected), "{fault:?}: {error}");
        assert_eq!(talk.session.error(), Some(error.clone()));
        assert_eq!(talk.session.try_send_audio(&[0; CHUNK]), Err(error));
        let turns = |wanted: fn(&EventKind) -> bool| talk.events.iter().filter(|event| wanted(&event.kind)).count();
        assert_eq!(
            turns(|kind| matches!(kind, EventKind::TurnStarted)),
            turns(|kind| matches!(kind, EventKind::TurnEnded { .. })),
            "{fault:?}: what began has ended"
        );
    }
}

#[tokio::test]
async fn a_refusal_before_headers_fails_the_opening() {
    for (status, code, expected) in [
        (429, "ThrottlingException", ErrorKind::Throttled),
        (403, "AccessDeniedException", ErrorKind::AccessDenied),
        (400, "ValidationException", ErrorKind::Validation),
        (503, "ServiceUnavailableException", ErrorKind::Service),
    ] {
        let kind = FaultKind::Refuse { status, code: code.into(), message: "Not now.".into() };
        let service = Service::start(Settings { faults: vec![Fault::after_input(0, kind)], ..echo() });
        let mut talk = service.connect();
        let error = talk.session.opened().await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (expected, code), "{error}");
        assert_eq!(talk.ended().await, (EndReason::Error, Some(error)));
    }
}

#[tokio::test]
async fn a_graceful_goaway_leaves_a_running_session_alone() {
    let faults = vec![Fault::after_input(OPENING_EVENTS + 1, FaultKind::GoAway { code: 0, hard: false })];
    let service = Service::start(Settings { faults, ..echo() });
    let mut talk = service.connect();
    talk.session.opened().await.unwrap();
    for _ in 0..20 {
        talk.session.try_send_audio(&[1; CHUNK]).unwrap();
    }
    talk.until("the echo", |talk| talk.heard().len() == 20 * CHUNK).await;
    talk.close().await;
}

#[tokio::test]
async fn a_service_that_stalls_is_bounded() {
    let stall = |after_events| {
        vec![Fault::after_input(after_events, FaultKind::Stall { scope: Scope::Stream, reading: false })]
    };
    let keys = || keys(&Settings::default().access_key_id, &Settings::default().secret_access_key);
    let half = Duration::from_millis(500);
    let short = || Timeouts { open: half, close: half, ..Timeouts::default() };

    let service = Service::start(Settings { faults: stall(0), ..echo() });
    let mut talk = Talk::begin(service.transport(keys()), short());
    let error = talk.session.opened().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert_eq!(talk.ended().await, (EndReason::Error, Some(error)));

    let service = Service::start(Settings { faults: stall(OPENING_EVENTS), ..echo() });
    let mut talk = Talk::begin(service.transport(keys()), Timeouts { open: LONG, ..short() });
    talk.session.opened().await.unwrap();
    // More than every window and buffer on the way holds, so that the uplink blocks as well.
    while talk.session.try_send_audio(&[1; CHUNK]).unwrap() {}
    let start = Instant::now();
    talk.close().await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
