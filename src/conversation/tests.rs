//! One table for each sequence of the protocol reference (§2.3 to §2.5), then what must hold for any sequence at all.

mod any;
mod barge_in;
mod handover;
mod history;
mod limits;
mod owed;
mod tools;
mod turns;
mod usage;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::protocol::{ContentKind, GenerationStage, OutputContent, Role, StopReason};

const RATE_HZ: u32 = 16_000;

/// 80 ms, as the service sends it.
const PIECE_BYTES: usize = 2_560;

const PARTIAL: StopReason = StopReason::PartialTurn;
const END: StopReason = StopReason::EndTurn;
const INTERRUPTED: StopReason = StopReason::Interrupted;

/// A conversation that hears one event each millisecond and writes down what it means, a word for each event.
struct Tape {
    conversation: Conversation,
    now: Duration,
    said: Vec<String>,
    /// Of the user's audio on the present stream.
    position: u64,
}

impl Tape {
    fn new() -> Self {
        Self::on(terms())
    }

    fn on(terms: Terms) -> Self {
        Self::of(Conversation::new(terms, SharedHistory::default()))
    }

    fn of(conversation: Conversation) -> Self {
        Self { conversation, now: Duration::ZERO, said: Vec::new(), position: 0 }
    }

    fn hears(mut self, events: impl IntoIterator<Item = OutputEvent>) -> Self {
        for event in events {
            self.does(|conversation, now, out| conversation.on_output(event, now, out));
        }
        self
    }

    fn types(mut self, text: &str) -> Self {
        self.does(|conversation, now, out| conversation.on_typed(text.to_owned(), now, out));
        self
    }

    fn prompts(mut self, text: &str) -> Self {
        self.does(|conversation, now, out| {
            conversation.on_prompted(text.to_owned(), now, out);
        });
        self
    }

    fn answers(mut self, id: &str, ok: bool) -> Self {
        self.does(|conversation, now, out| {
            conversation.on_tool_result(id.to_owned(), "{}".to_owned(), ok, now, out);
        });
        self
    }

    /// So much of a turn was played.
    fn played(self, turn: u32, ms: u64) -> Self {
        self.conversation.history.lock().played(turn, Duration::from_millis(ms));
        self
    }

    #[track_caller]
    fn heard(self, turn: u32, expected: &str) -> Self {
        assert_eq!(self.record(turn).heard_text(), expected);
        self
    }

    fn record(&self, turn: u32) -> TurnRecord {
        self.conversation.history.lock().turn(turn).cloned().unwrap()
    }

    fn interrupts(mut self) -> Self {
        self.does(Conversation::interrupt);
        self
    }

    fn loses_its_stream(mut self) -> Self {
        self.does(Conversation::on_lost);
        self
    }

    fn waits(mut self, ms: u64) -> Self {
        self.now += Duration::from_millis(ms);
        self
    }

    fn does(&mut self, step: impl FnOnce(&mut Conversation, Duration, &mut Vec<Event>)) {
        let mut out = Vec::new();
        self.now += Duration::from_millis(1);
        step(&mut self.conversation, self.now, &mut out);
        for event in &out {
            assert_eq!(event.at, self.now);
            self.said.push(word(event));
        }
    }

    #[track_caller]
    fn says(self, expected: &[&str]) -> Self {
        assert_eq!(self.said, expected);
        Self { said: Vec::new(), ..self }
    }
}

fn terms() -> Terms {
    let prices = Prices { speech_in: 3.0, text_in: 0.33, speech_out: 12.0, text_out: 2.75 };
    Terms { input_rate_hz: RATE_HZ, output_rate_hz: RATE_HZ, prices, limits: Limits::default() }
}

fn conversation() -> Conversation {
    Conversation::new(terms(), SharedHistory::default())
}

fn word(event: &Event) -> String {
    let turn = event.turn.map_or("-".to_owned(), |turn| turn.to_string());
    match &event.kind {
        EventKind::Audio { .. } => format!("audio {turn}"),
        EventKind::Transcript { speaker, text, is_final, segment } => {
            let who = match (speaker, is_final) {
                (Speaker::User, true) => "user",
                (Speaker::User, false) => "user?",
                (Speaker::Assistant, true) => "said",
                (Speaker::Assistant, false) => "plan",
            };
            format!("{who} {turn}.{segment} {text}")
        }
        EventKind::TurnStarted => format!("start {turn}"),
        EventKind::TurnEnded { interrupted: false, .. } => format!("end {turn}"),
        EventKind::TurnEnded { interrupted: true, .. } => format!("end {turn} cut"),
        EventKind::Interrupted { source: InterruptSource::Model } => format!("cut {turn}"),
        EventKind::Interrupted { source: InterruptSource::Client } => format!("cut {turn} by client"),
        EventKind::ToolCall { id, name, arguments } => format!("call {turn} {id} {name} {arguments}"),
        EventKind::ToolFinished { id, ok: true, after } => format!("answer {turn} {id} after {}", after.as_millis()),
        EventKind::ToolFinished { id, ok: false, .. } => format!("failure {turn} {id}"),
        EventKind::Usage { .. } => format!("usage {turn}"),
        EventKind::Renewing { .. } | EventKind::Renewed { .. } => unreachable!("the session tells these"),
        EventKind::SessionEnded { .. } => "over".to_owned(),
        EventKind::Unknown { name, .. } => format!("unknown {turn} {name}"),
    }
}

fn text_start(id: &str, role: Role, stage: GenerationStage) -> OutputEvent {
    OutputEvent::ContentStart {
        content_id: id.to_owned(),
        content: OutputContent::Text { role: Some(role), stage: Some(stage) },
    }
}

fn text_output(id: &str, role: Role, text: &str) -> OutputEvent {
    OutputEvent::TextOutput { content_id: id.to_owned(), role: Some(role), text: text.to_owned() }
}

fn text_end(id: &str, stop_reason: StopReason) -> OutputEvent {
    OutputEvent::ContentEnd { content_id: id.to_owned(), kind: Some(ContentKind::Text), stop_reason }
}

fn user(id: &str, text: &str) -> [OutputEvent; 3] {
    [text_start(id, Role::User, GenerationStage::Final), text_output(id, Role::User, text), text_end(id, PARTIAL)]
}

fn plan(id: &str, text: &str) -> [OutputEvent; 3] {
    [
        text_start(id, Role::Assistant, GenerationStage::Speculative),
        text_output(id, Role::Assistant, text),
        text_end(id, PARTIAL),
    ]
}

fn said(id: &str, text: &str, stop_reason: StopReason) -> [OutputEvent; 3] {
    [
        text_start(id, Role::Assistant, GenerationStage::Final),
        text_output(id, Role::Assistant, text),
        text_end(id, stop_reason),
    ]
}

fn audio_start(id: &str) -> OutputEvent {
    OutputEvent::ContentStart { content_id: id.to_owned(), content: OutputContent::Audio { rate_hz: Some(RATE_HZ) } }
}

fn audio_output(id: &str) -> OutputEvent {
    OutputEvent::AudioOutput { content_id: id.to_owned(), pcm: Bytes::from(vec![0; PIECE_BYTES]) }
}

fn audio_end(id: &str, stop_reason: StopReason) -> OutputEvent {
    OutputEvent::ContentEnd { content_id: id.to_owned(), kind: Some(ContentKind::Audio), stop_reason }
}

fn audio(id: &str, stop_reason: StopReason) -> [OutputEvent; 3] {
    [audio_start(id), audio_output(id), audio_end(id, stop_reason)]
}

fn speech_start() -> OutputEvent {
    OutputEvent::UserSpeechStart { offset_ms: Some(0) }
}

fn speech_end() -> OutputEvent {
    OutputEvent::UserSpeechEnd { offset_ms: Some(0), detection_offset_ms: None }
}

/// The whole exchange of one sentence each, as recorded.
fn exchange(n: u32, question: &str, answer: &str) -> Vec<OutputEvent> {
    let id = |block: &str| format!("{block}{n}");
    [user(&id("u"), question), plan(&id("p"), answer), audio(&id("a"), END), said(&id("f"), answer, END)].concat()
}
