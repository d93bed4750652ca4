//! Policy of a conversation, sans I/O: what the service's events mean to the person who speaks.
//!
//! Turns, segments, barge-in, tool calls, history, usage and limits. Time is an argument; nothing here waits. A
//! conversation outlives its streams, so its turn numbers, clock and usage totals do not restart when a stream is
//! replaced.
//!
//! What holds whatever the service sends: `TurnStarted(n)` precedes all of n, numbers grow, each has one `TurnEnded`,
//! at most one `Interrupted`, and no audio after that.

mod blocks;
mod calls;
mod content;
mod continuation;
mod event;
mod handover;
mod history;
mod limits;
mod owed;
mod playback;
mod recovery;
mod retold;
mod segments;
mod turn;
mod unheard;
mod usage;

pub use calls::Answer;
pub use continuation::{Continuation, Moment, Reason, Renewal, Step};
pub use event::{EndReason, Event, EventKind, InterruptSource, Speaker, Timings};
pub use history::{History, SharedHistory, TurnRecord};
pub use limits::Limits;
pub use owed::AnswerBounds;
pub use recovery::{Recovery, Telling, Verdict};
pub use unheard::{Spoken, Unheard};
pub use usage::Prices;

use std::{borrow::Cow, collections::VecDeque, time::Duration};

use crate::protocol::{OutputEvent, TokenCounts};
use blocks::Blocks;
use calls::Calls;
use playback::Playback;
use turn::Turns;

/// The `raw_type` of events that no event of the service caused.
const OURS: &str = "novasonic";

/// What a conversation is held by.
#[derive(Debug, Clone)]
pub struct Terms {
    pub input_rate_hz: u32,
    /// Of audio whose block does not say.
    pub output_rate_hz: u32,
    pub prices: Prices,
    pub limits: Limits,
}

pub struct Conversation {
    terms: Terms,
    history: SharedHistory,
    turns: Turns,
    blocks: Blocks,
    calls: Calls,
    usage: TokenCounts,
    playback: Playback,
    /// Where the uplink stands: so much audio was sent on this stream.
    sent: Duration,
    unheard: Unheard,
    /// How far the service says that it has listened to what it is about to transcribe, and when it said so.
    listened: VecDeque<(Duration, u64)>,
    /// The present stream tells that.
    tells_listened: bool,
    /// The present stream has said something; so it notices when the user speaks over it.
    replied_here: bool,
    /// The first turn that the present stream was asked again.
    asked: Option<u32>,
    /// The turn whose planned sentence is about to be heard.
    planned: Option<u32>,
    /// A turn whose question was not asked again, since the user's voice was expected to do so.
    voice_asks: Option<u32>,
    /// Results for calls that this stream repeats.
    answers: Vec<Answer>,
    /// The turn whose reply an earlier stream is still giving.
    old_turn: Option<u32>,
    /// When the user stopped speaking, until a turn takes it.
    speech_ended: Option<Duration>,
    /// When anybody said anything last.
    active: Duration,
    /// On the present stream.
    said: owed::Said,
}

/// What a turn begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Speech,
    Typed,
    Prompted,
    Assistant,
}

impl Conversation {
    pub fn new(terms: Terms, history: SharedHistory) -> Self {
        let unheard = Unheard::new(terms.input_rate_hz);
        let turns = Turns::after(history.lock().turns_before());
        Self {
            terms,
            history,
            turns,
            blocks: Blocks::default(),
            calls: Calls::default(),
            usage: TokenCounts::default(),
            playback: Playback::default(),
            sent: Duration::ZERO,
            unheard,
            listened: VecDeque::new(),
            tells_listened: false,
            replied_here: false,
            voice_asks: None,
            planned: None,
            asked: None,
            answers: Vec::new(),
            old_turn: None,
            speech_ended: None,
            active: Duration::ZERO,
            said: owed::Said::default(),
        }
    }

    /// Takes one event of the service received `at` (since the conversation opened) and appends what it means.
    pub fn on_output(&mut self, event: OutputEvent, at: Duration, out: &mut Vec<Event>) {
        let mut emit = Emit { at, raw_type: "", out };
        if !matches!(event, OutputEvent::Usage(_) | OutputEvent::Unknown { .. }) {
            self.active = at;
        }
        self.said.note(&event);
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
            OutputEvent::ToolUse { tool_use_id, name, arguments, .. } => {
                emit.raw_type = "toolUse";
                self.on_tool_use(tool_use_id, name, arguments, &mut emit);
            }
            OutputEvent::ContentEnd { content_id, kind, stop_reason } => {
                emit.raw_type = "contentEnd";
                self.on_content_end(&content_id, kind, &stop_reason, &mut emit);
            }
            OutputEvent::Usage(details) => {
                emit.raw_type = "usageEvent";
                usage::add(&mut self.usage, details.delta);
                let (delta, total) = (details.delta, self.usage);
                emit.push(self.turn(), EventKind::Usage { delta, total, usd: self.terms.prices.usd(total) });
            }
            OutputEvent::UserSpeechStart { .. } => {
                emit.raw_type = "userSpeechStart";
                self.on_user_speech(&mut emit);
            }
            OutputEvent::UserSpeechEnd { offset_ms, detection_offset_ms } => {
                self.on_listened(detection_offset_ms.or(offset_ms), at);
                self.on_user_speech_end(offset_ms, at);
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
        self.active = at;
        let number = self.begin_turn(Begun::Typed, &mut emit);
        if let Some(turn) = &mut self.turns.current {
            turn.echo = Some(text.clone());
            let segment = turn.user.add();
            self.transcribe(number, Speaker::User, text, true, segment, &mut emit);
        }
    }

    /// A `text` that asks the assistant to speak first was sent: begins a turn in which the user said nothing.
    pub fn on_prompted(&mut self, text: String, at: Duration, out: &mut Vec<Event>) -> u32 {
        self.active = at;
        let number = self.begin_turn(Begun::Prompted, &mut Emit { at, raw_type: OURS, out });
        self.history.lock().prompted(number, text.clone());
        if let Some(turn) = &mut self.turns.current {
            turn.echo = Some(text);
        }
        number
    }

    /// So much audio went up on the present stream: a position that the service's own offsets count from.
    pub fn on_audio_sent(&mut self, length: Duration) {
        self.sent += length;
    }

    /// What of the user's audio went up, by the position on the present stream at which each piece ended.
    pub fn unheard(&mut self) -> &mut Unheard {
        &mut self.unheard
    }

    /// The host has the one result of a call: gives what to send, unless the stream that called is gone.
    pub fn on_tool_result(
        &mut self,
        id: String,
        json: String,
        ok: bool,
        at: Duration,
        out: &mut Vec<Event>,
    ) -> Option<Answer> {
        self.active = at;
        let finished = self.calls.finish(&id, json, ok, at)?;
        let kind = EventKind::ToolFinished { id, ok, after: finished.after };
        Emit { at, raw_type: OURS, out }.push(Some(finished.turn), kind);
        finished.answer
    }

    /// Results of calls that were repeated and are known.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// The caller interrupts: later audio of the running turn is swallowed, and of an earlier one that the user typed
    /// over; a reply that was delivered faster than it is played is cut where it is being heard. One
    /// `Interrupted(client)` for each; nothing where nothing runs and nothing is heard.
    pub fn interrupt(&mut self, at: Duration, out: &mut Vec<Event>) {
        let heard = self.turns.last_replied().filter(|_| self.playback.is_running(at));
        for number in self.turns.audible(|number| self.blocks.audio_open(number) || heard == Some(number)) {
            self.cut(number, InterruptSource::Client, &mut Emit { at, raw_type: OURS, out });
        }
    }

    /// The running turn's number, if one runs.
    pub fn turn(&self) -> Option<u32> {
        self.turns.current.as_ref().map(|turn| turn.number)
    }

    /// Whether neither side is in the middle of anything: a moment for the assistant to speak first.
    pub fn is_quiet(&self, at: Duration) -> bool {
        self.turns.current.is_none() && !self.playback.is_running(at)
    }

    /// When all audio so far will have been played by a loudspeaker that began at once.
    pub fn played_until(&self) -> Duration {
        self.playback.until()
    }

    /// Whether a bound of `Terms::limits` is reached. A call that waits for its tool is no idleness.
    pub fn limit_reached(&self, at: Duration) -> bool {
        self.terms.limits.reached(at, self.last_active(at), self.usage, self.terms.prices.usd(self.usage))
    }

    /// When the clock alone will have reached a bound.
    pub fn limit_deadline(&self, at: Duration) -> Option<Duration> {
        self.terms.limits.deadline(self.last_active(at))
    }

    fn last_active(&self, at: Duration) -> Duration {
        if self.calls.any_waits() { at } else { self.active.max(self.playback.until().min(at)) }
    }

    /// The conversation is over: close what is open so that every `TurnStarted` has its `TurnEnded`.
    pub fn on_end(&mut self, at: Duration, out: &mut Vec<Event>) {
        self.end_turn(&mut Emit { at, raw_type: OURS, out });
        self.calls.give_up();
    }

    fn begin_turn(&mut self, begun: Begun, emit: &mut Emit<'_>) -> u32 {
        self.end_turn(emit);
        let speech_ended = self.speech_ended.take();
        let user_ended = match begun {
            Begun::Speech => Some(speech_ended.unwrap_or(emit.at)),
            Begun::Typed | Begun::Prompted => Some(emit.at),
            Begun::Assistant => speech_ended,
        };
        let timings = Timings { started: emit.at, user_ended, ..Timings::default() };
        let number = self.turns.begin(timings).number;
        self.history.lock().begin(number, timings);
        emit.push(Some(number), EventKind::TurnStarted);
        number
    }

    fn end_turn(&mut self, emit: &mut Emit<'_>) {
        if let Some((number, interrupted, timings)) = self.turns.end(emit.at, |number| self.blocks.audio_open(number)) {
            self.history.lock().ended(number, timings);
            emit.push(Some(number), EventKind::TurnEnded { interrupted, timings });
        }
    }

    /// Silences a turn, running or ended, once.
    fn cut(&mut self, number: u32, source: InterruptSource, emit: &mut Emit<'_>) {
        if let Some(turn) = self.turns.find(number).filter(|turn| !turn.interrupted) {
            turn.interrupted = true;
            self.history.lock().cut(number, source == InterruptSource::Model, self.playback.left(emit.at));
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

    /// `offset_ms` is where in the audio sent the user's last word was, which may lie seconds back.
    fn on_user_speech_end(&mut self, offset_ms: Option<u64>, at: Duration) {
        let since = offset_ms.map_or(Duration::ZERO, |ms| self.sent.saturating_sub(Duration::from_millis(ms)));
        let ended = at.saturating_sub(since);
        self.speech_ended = Some(ended);
        if let Some(turn) = &mut self.turns.current {
            if turn.interrupted {
                turn.user_spoke_since = true;
            } else if !turn.replied() {
                turn.timings.user_ended = Some(ended);
            }
        }
    }

    /// A call belongs to the running turn; where none runs the assistant begins one with it.
    fn on_tool_use(&mut self, id: String, name: String, arguments: String, emit: &mut Emit<'_>) {
        let number = self.turn().unwrap_or_else(|| self.begin_turn(Begun::Assistant, emit));
        let answering = self.answering(number);
        match self.calls.begin(&id, &name, &arguments, &answering, emit.at) {
            calls::Begun::Told => return,
            calls::Begun::New => emit.push(Some(number), EventKind::ToolCall { id, name, arguments }),
            calls::Begun::Again(answer) => self.answers.extend(answer),
        }
        if let Some(turn) = &mut self.turns.current {
            turn.tool_running = true;
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
