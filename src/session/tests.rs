//! The session against a service played by hand, in virtual time.

mod asides;
mod ending;
mod interleavings;
mod limits;
mod opening;
mod overlap;
mod owed;
mod pacing;
mod passage;
mod peer;
mod rates;
mod receiving;
mod sending;
mod simulation;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tokio::sync::Notify as Bell;

use super::{Buffers, DeviceRates, Notify, Request, Session, SessionConfig, Timeouts, TokioClock};
use crate::{
    conversation::{EndReason, Event, EventKind, Limits, Prices},
    error::Error,
    protocol::{SampleRate, StreamConfig, ToolChoice},
    transport::memory::{MemoryOptions, MemoryPeer, MemoryService, MemoryTransport, PeerInput, pair},
};

/// 16 kHz input: 32 bytes a millisecond.
const MS: usize = 32;
/// 24 kHz output.
const OUT_MS: usize = 48;
const OPEN: Duration = Duration::from_secs(10);
const CLOSE: Duration = Duration::from_secs(5);

fn config() -> SessionConfig {
    SessionConfig {
        model_id: "amazon.nova-2-sonic-v1:0".into(),
        regions: vec!["us-east-1".into()],
        stream: StreamConfig {
            system: Some("You are a storyteller.".into()),
            voice: "tiffany".into(),
            input_rate: SampleRate::Hz16000,
            output_rate: SampleRate::Hz24000,
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
        device: DeviceRates { input_hz: 16_000, output_hz: 24_000 },
        buffers: Buffers::default(),
        timeouts: Timeouts { open: OPEN, close: CLOSE, ..Timeouts::default() },
        realtime: false,
        prices: Prices::default(),
        limits: Limits::default(),
        clock: Arc::new(TokioClock::default()),
    }
}

/// A host that looks only when it is told to, so a wake-up that is lost shows as a test that times out.
struct Host {
    session: Session,
    bell: Arc<Bell>,
    events: Vec<Event>,
    requests: Vec<Request>,
}

impl Host {
    fn spawn(transport: &Arc<MemoryTransport>, config: SessionConfig) -> Self {
        let (notify, bell) = bell();
        let session = Session::spawn(&tokio::runtime::Handle::current(), transport.clone(), config, notify);
        Self { session, bell, events: Vec::new(), requests: Vec::new() }
    }

    fn drain(&mut self) {
        while self.session.drain(256, &mut self.events, &mut self.requests) {}
    }

    async fn told(&self) {
        let told = tokio::time::timeout(Duration::from_mins(10), self.bell.notified()).await;
        assert!(told.is_ok(), "the host was never told; it has {:?}", self.kinds());
    }

    async fn until(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        loop {
            self.drain();
            if enough(self) {
                return;
            }
            self.told().await;
        }
    }

    async fn until_events(&mut self, count: usize) {
        self.until(|host| host.events.len() >= count).await;
    }

    /// Waits for the end and checks what holds for every end.
    async fn ended(&mut self) -> (EndReason, Option<Error>) {
        self.until(|host| host.events.iter().any(is_end)).await;
        self.session.closed().await;
        self.drain();
        let ends: Vec<_> = self.events.iter().enumerate().filter(|(_, event)| is_end(event)).collect();
        assert_eq!(ends.len(), 1, "a session ends once");
        assert_eq!(ends[0].0, self.events.len() - 1, "and nothing follows");
        let EventKind::SessionEnded { reason, error } = ends[0].1.kind.clone() else { unreachable!() };
        assert_eq!(self.session.error(), error);
        let after = self.session.try_send_audio(&[0; 64]).unwrap_err();
        assert_eq!(Some(&after), error.as_ref().or(Some(&super::input::closed_error())));
        assert_eq!(self.session.send_text("late".into()).unwrap_err(), after);
        assert_eq!(self.session.has_room(64).unwrap_err(), after);
        (reason, error)
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events.iter().map(kind).collect()
    }
}

fn bell() -> (Notify, Arc<Bell>) {
    let bell = Arc::new(Bell::new());
    let rung = bell.clone();
    (Arc::new(move || rung.notify_one()), bell)
}

fn is_end(event: &Event) -> bool {
    matches!(event.kind, EventKind::SessionEnded { .. })
}

fn kind(event: &Event) -> &'static str {
    match event.kind {
        EventKind::Audio { .. } => "audio",
        EventKind::Transcript { .. } => "transcript",
        EventKind::TurnStarted => "turn started",
        EventKind::TurnEnded { .. } => "turn ended",
        EventKind::Interrupted { .. } => "interrupted",
        EventKind::ToolCall { .. } => "tool call",
        EventKind::ToolFinished { .. } => "tool finished",
        EventKind::Usage { .. } => "usage",
        EventKind::Renewing { .. } => "renewing",
        EventKind::Renewed { .. } => "renewed",
        EventKind::SessionEnded { .. } => "ended",
        EventKind::Unknown { .. } => "unknown",
    }
}

fn service() -> (Arc<MemoryTransport>, MemoryService) {
    pair(MemoryOptions::default())
}

/// A session whose stream is open and whose opening the peer has read.
async fn live(config: SessionConfig) -> (Host, MemoryPeer) {
    let (transport, mut service) = service();
    live_on(&transport, &mut service, config).await
}

async fn live_on(
    transport: &Arc<MemoryTransport>,
    service: &mut MemoryService,
    config: SessionConfig,
) -> (Host, MemoryPeer) {
    let host = Host::spawn(transport, config);
    let mut peer = service.accept().await.unwrap();
    while event_name(&peer.next().await) != "contentStart AUDIO" {}
    peer.send_headers();
    host.session.opened().await.unwrap();
    (host, peer)
}

fn event_name(input: &PeerInput) -> String {
    match input {
        PeerInput::Event(json) => {
            let (name, body) = json["event"].as_object().unwrap().iter().next().unwrap();
            match body["type"].as_str() {
                Some(kind) => format!("{name} {kind}"),
                None => name.clone(),
            }
        }
        other => format!("{other:?}"),
    }
}

async fn names(peer: &mut MemoryPeer, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(event_name(&peer.next().await));
    }
    names
}

/// Lets every task run until all of them wait.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn audio_start(id: &str) -> Value {
    json!({"event": {"contentStart": {"contentId": id, "type": "AUDIO", "role": "ASSISTANT",
        "audioOutputConfiguration": {"mediaType": "audio/lpcm", "sampleRateHertz": 24_000}}}})
}

fn audio_output(id: &str, pcm: &[u8]) -> Value {
    json!({"event": {"audioOutput": {"contentId": id, "content": BASE64.encode(pcm)}}})
}

fn audio_end(id: &str, stop_reason: &str) -> Value {
    json!({"event": {"contentEnd": {"contentId": id, "type": "AUDIO", "stopReason": stop_reason}}})
}

fn unknown(number: usize) -> Value {
    json!({"event": {"novelty": {"number": number}}})
}

fn tool_use(id: &str) -> Value {
    json!({"event": {"toolUse": {"contentId": "tool", "toolUseId": id, "toolName": "look", "content": "{\"at\":1}"}}})
}

/// The next audio event's PCM.
async fn pcm(peer: &mut MemoryPeer) -> Vec<u8> {
    match peer.next().await {
        PeerInput::Event(json) => BASE64.decode(json["event"]["audioInput"]["content"].as_str().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The next block, which is a text's.
async fn text_block(peer: &mut MemoryPeer) -> String {
    assert_eq!(event_name(&peer.next().await), "contentStart TEXT");
    let PeerInput::Event(text) = peer.next().await else { panic!("no text") };
    assert_eq!(event_name(&peer.next().await), "contentEnd");
    text["event"]["textInput"]["content"].as_str().unwrap().to_owned()
}
