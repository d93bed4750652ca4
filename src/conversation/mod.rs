//! Policy of a conversation, sans I/O: what the service's events mean to the person who speaks.
//!
//! Turns, segments, barge-in and usage. Time is an argument; nothing here waits. A conversation outlives its
//! streams, so its turn numbers, clock and usage totals do not restart when a stream is replaced.
//!
//! What holds whatever the service sends: `TurnStarted(n)` precedes all of n, numbers grow, each has one `TurnEnded`,
//! at most one `Interrupted`, and no audio after that.

mod blocks;
mod content;
mod event;
mod playback;
mod segments;
mod turn;
mod usage;

pub use event::{EndReason, Event, EventKind, InterruptSource, Speaker};

use std::{borrow::Cow, time::Duration};

use crate::protocol::{OutputEvent, TokenCounts};
use blocks::Blocks;
use playback::Playback;
use turn::Turns;

/// The `raw_type` of events that no event of the service caused.
const OURS: &str = "novasonic";

pub struct Conversation {
    output_rate_hz: u32,
    turns: Turns,
    blocks: Blocks,
    usage: TokenCounts,
    playback: Playback,
}

impl Conversation {
    pub fn new(output_rate_hz: u32) -> Self {
        Self {
            output_rate_hz,
            turns: Turns::default(),
            blocks: Blocks::default(),
            usage: TokenCounts::default(),
            playback: Playback::default(),
        }
    }

    /// Takes one event of the service received `at` (since the conversation opened) and appends what it means.
    pub fn on_output(&mut self, event: OutputEvent, at: Duration, out: &mut Vec<Event>) {
        let mut emit = Emit { at, raw_type: "", out };
        match event {
            // Measured once per stream, and only after promptEnd: neither says anything about turns.
            OutputEvent::CompletionStart { .. } | OutputEvent::CompletionEnd { .. } => {}
            OutputEvent::ContentStart { content_id, content } => self.on_content_start(content_id, &content),
            OutputEvent::TextOutput { content_id, role, text } => {
                emit.raw_type = "textOutput";
                self.on_text(content_id, role, text, &mut emit);
            }
            OutputEvent::AudioOutput { content_id, pcm } => {
                emit.raw_type = "audioOutput";
                self.on_audio(content_id, pcm, &mut emit);
            }
            OutputEvent::ToolUse { content_id, tool_use_id, name, arguments } => {
                emit.raw_type = "toolUse";
                if let Some(turn) = &mut self.turns.current {
                    turn.tool_running = true;
                }
                let raw = serde_json::json!({"event": {"toolUse": {
                    "contentId": content_id, "toolUseId": tool_use_id, "toolName": name, "content": arguments}}});
                emit.push(self.turn(), EventKind::Unknown { name: "toolUse".to_owned(), raw: raw.to_string() });
            }
            OutputEvent::ContentEnd { content_id, kind, stop_reason } => {
                emit.raw_type = "contentEnd";
                self.on_content_end(&content_id, kind, &stop_reason, &mut emit);
            }
            OutputEvent::Usage(details) => {
                emit.raw_type = "usageEvent";
                usage::add(&mut self.usage, details.delta);
                let (delta, total) = (details.delta, self.usage);
                emit.push(self.turn(), EventKind::Usage { delta, total, usd: usage::usd(total) });
            }
            OutputEvent::UserSpeechStart { .. } => {
                emit.raw_type = "userSpeechStart";
                self.on_user_speech(&mut emit);
            }
            OutputEvent::UserSpeechEnd { .. } => {
                if let Some(turn) = self.turns.current.as_mut().filter(|turn| turn.interrupted) {
                    turn.user_spoke_since = true;
                }
            }
            OutputEvent::Unknown { name, raw } => {
                let raw_type = Cow::Owned(name.clone());
                emit.out.push(Event { at, turn: self.turn(), raw_type, kind: EventKind::Unknown { name, raw } });
            }
        }
    }

    /// The user typed `text` and it was sent: begins a turn and is part of the transcript.
    pub fn on_typed(&mut self, text: String, at: Duration, out: &mut Vec<Event>) {
        let mut emit = Emit { at, raw_type: OURS, out };
        self.begin_turn(&mut emit);
        if let Some(turn) = &mut self.turns.current {
            turn.echo = Some(text.clone());
            let segment = turn.user.add();
            emit.push(
                Some(turn.number),
                EventKind::Transcript { speaker: Speaker::User, text, is_final: true, segment },
            );
        }
    }

    /// The caller interrupts: later audio of the running turn is swallowed, and of an earlier one that the user typed
    /// over. One `Interrupted(client)` for each; nothing if no turn runs.
    pub fn interrupt(&mut self, at: Duration, out: &mut Vec<Event>) {
        for number in self.turns.audible(|number| self.blocks.audio_open(number)) {
            self.cut(number, InterruptSource::Client, &mut Emit { at, raw_type: OURS, out });
        }
    }

    /// The running turn's number, if one runs.
    pub fn turn(&self) -> Option<u32> {
        self.turns.current.as_ref().map(|turn| turn.number)
    }

    /// A stream was replaced or ended: close what is open so that every `TurnStarted` has its `TurnEnded`.
    pub fn on_stream_end(&mut self, at: Duration, out: &mut Vec<Event>) {
        self.end_turn(&mut Emit { at, raw_type: OURS, out });
        self.blocks.clear();
        self.turns.give_up();
    }

    fn begin_turn(&mut self, emit: &mut Emit<'_>) -> u32 {
        self.end_turn(emit);
        let number = self.turns.begin().number;
        emit.push(Some(number), EventKind::TurnStarted);
        number
    }

    fn end_turn(&mut self, emit: &mut Emit<'_>) {
        if let Some((number, interrupted)) = self.turns.end(|number| self.blocks.audio_open(number)) {
            emit.push(Some(number), EventKind::TurnEnded { interrupted });
        }
    }

    /// Silences a turn, running or ended, once.
    fn cut(&mut self, number: u32, source: InterruptSource, emit: &mut Emit<'_>) {
        if let Some(turn) = self.turns.find(number).filter(|turn| !turn.interrupted) {
            turn.interrupted = true;
            self.playback.stops(emit.at);
            emit.push(Some(number), EventKind::Interrupted { source });
        }
    }

    /// The service says that it stopped speaking in the turn `number`.
    fn on_barge_in(&mut self, number: Option<u32>, emit: &mut Emit<'_>) {
        if let Some(number) = number {
            self.cut(number, InterruptSource::Model, emit);
            if self.turn() == Some(number) {
                self.end_turn(emit);
            }
        }
    }

    /// The user's voice was detected: barge-in if the reply is still coming, or still being heard. In some builds it is
    /// the only sign. The turn goes on (silently), since the rest of its reply may be on its way.
    fn on_user_speech(&mut self, emit: &mut Emit<'_>) {
        if let Some(number) = self.turns.last_replied()
            && (self.blocks.audio_open(number) || self.playback.is_running(emit.at))
        {
            self.cut(number, InterruptSource::Model, emit);
        }
    }
}

/// Where what one call causes goes.
struct Emit<'o> {
    at: Duration,
    raw_type: &'static str,
    out: &'o mut Vec<Event>,
}

impl Emit<'_> {
    fn push(&mut self, turn: Option<u32>, kind: EventKind) {
        self.out.push(Event { at: self.at, turn, raw_type: Cow::Borrowed(self.raw_type), kind });
    }
}

#[cfg(test)]
mod tests;
