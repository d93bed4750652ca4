//! One stream's side of the conversation, sans I/O: events in, events out, deadlines told.
//!
//! The wire (`server.rs`) calls it from one task and owns the clock, so all of this is tested by tables.

mod turns;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{
    brains::{Brain, Echo, LateResult, Progress},
    encoded,
    hearing::{Heard, Hearing},
    input::{Event, Role, UNPARSABLE},
    pace::Pace,
    recording::Recorder,
    rules::{MAX_EVENT_BYTES, Meaning, Refusal, Rules, Sensitivity},
    settings::{Settings, ToolChoice, TurnRequest},
    speech::Speech,
};
use crate::audio::duration_ms;
use turns::{Call, Turn};

/// The model does not generate before its audio block was fed that much (reference §3): a silent failure.
const PRIMING_MS: u64 = 68;

/// What the wire must do, in order.
#[derive(Debug, Clone)]
pub(super) enum Emit {
    /// One event's JSON (`{"event":{...}}`), to be framed as a chunk.
    Event(Vec<u8>),
    /// A modelled in-stream exception (`validationException`), which ends the stream.
    Exception {
        name: &'static str,
        message: String,
    },
    /// `END_STREAM`.
    End,
    /// A host brain must answer this turn.
    Ask(TurnRequest),
    CancelTurn {
        turn_id: u64,
    },
    ToolResult {
        turn_id: u64,
        call_id: u64,
        content: String,
    },
}

pub(super) struct Dialogue {
    settings: Arc<Settings>,
    brain: Arc<Brain>,
    progress: Progress,
    echo: Echo,
    caller: Caller,
    next_turn_id: Arc<AtomicU64>,
    pace: Pace,
    rules: Rules,
    sensitivity: Sensitivity,
    prompt: Option<Prompt>,
    hearing: Option<Hearing>,
    input_rate_hz: u32,
    /// PCM decoded from the present event; kept for its memory.
    pcm: Vec<u8>,
    audio_bytes: u64,
    /// Since the present audio block was opened.
    fed_bytes: usize,
    /// AUDIO came without a role: the model stays mute, without an error (reference §1.4).
    mute: bool,
    system: String,
    history: Vec<(String, String)>,
    turn: Option<Turn>,
    /// By toolUseId; results may come long after their turn.
    calls: HashMap<String, Call>,
    /// Results that came after their turn, of which the brain has yet to speak.
    late_results: VecDeque<LateResult>,
    opened: Instant,
    last_input: Instant,
    ended: bool,
}

/// Whose stream it is.
#[derive(Default)]
pub(super) struct Caller {
    pub(super) stream_id: u64,
    pub(super) account: String,
    pub(super) recorder: Recorder,
}

struct Prompt {
    rate_hz: u32,
    voice: String,
    tools: Vec<String>,
    tool_choice: ToolChoice,
    speech: Speech,
}

impl Dialogue {
    /// `brain` was loaded once for the emulator, whose streams also share `next_turn_id`.
    pub(super) fn new(
        settings: Arc<Settings>,
        brain: Arc<Brain>,
        caller: Caller,
        next_turn_id: Arc<AtomicU64>,
        now: Instant,
    ) -> Self {
        Self {
            pace: Pace::new(settings.speed),
            settings,
            brain,
            progress: Progress::default(),
            echo: Echo::default(),
            caller,
            next_turn_id,
            rules: Rules::new(),
            sensitivity: Sensitivity::Medium,
            prompt: None,
            hearing: None,
            input_rate_hz: 0,
            pcm: Vec::new(),
            audio_bytes: 0,
            fed_bytes: 0,
            mute: false,
            system: String::new(),
            history: Vec::new(),
            turn: None,
            calls: HashMap::new(),
            late_results: VecDeque::new(),
            opened: now,
            last_input: now,
            ended: false,
        }
    }

    /// Takes one input event's JSON. Returns its name, for the report.
    pub(super) fn on_event(&mut self, payload: &[u8], now: Instant, out: &mut Vec<Emit>) -> &'static str {
        if payload.len() > MAX_EVENT_BYTES {
            let detail = format_args!("an event of {} bytes; {MAX_EVENT_BYTES} is the most", payload.len());
            self.refuse(Refusal::invalid(detail), out);
            return "oversized";
        }
        let event = match Event::parse(payload) {
            Ok(event) => event,
            Err(error) => {
                // The parser's own message quotes values, which may be what somebody said.
                let place = format_args!("at line {}, column {}", error.line(), error.column());
                self.refuse(Refusal::because(UNPARSABLE, place), out);
                return "unparsable";
            }
        };
        if !self.ended {
            match self.rules.accept(&event) {
                Ok(meaning) => self.act_on(meaning, now, out),
                Err(refusal) => self.refuse(refusal, out),
            }
        }
        event.name()
    }

    /// The client ended its input (`END_STREAM`), or is gone.
    pub(super) fn on_input_end(&mut self, _now: Instant, out: &mut Vec<Emit>) {
        self.end(out);
    }

    pub(super) fn on_timer(&mut self, now: Instant, out: &mut Vec<Emit>) {
        if self.ended {
            return;
        }
        if self.stream_deadline().is_some_and(|deadline| deadline <= now) {
            let message = "Model has timed out in processing the request. Try your request again.".to_owned();
            self.fail("modelTimeoutException", message, out);
        } else if self.idle_deadline().is_some_and(|deadline| deadline <= now) {
            let message = format!(
                "InternalErrorCode=532::Timed out waiting for audio bytes or interactive content. Please ensure that \
                 gaps between audio bytes or interactive content are less than {} seconds",
                self.settings.idle_limit.as_secs()
            );
            self.fail("validationException", message, out);
        } else {
            self.run(now, out);
        }
    }

    /// PCM bytes heard and spoken so far, for the report.
    pub(super) fn audio_bytes(&self) -> (u64, u64) {
        let said = self.prompt.as_ref().map_or(0, |prompt| prompt.speech.audio_bytes());
        (self.audio_bytes, said + self.echo.audio_bytes())
    }

    /// When `on_timer` wants to be called next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let plan = self.turn.as_ref().and_then(Turn::deadline);
        let speech = self.prompt.as_ref().and_then(|prompt| prompt.speech.deadline());
        [plan, speech, self.idle_deadline(), self.stream_deadline()].into_iter().flatten().min()
    }

    fn act_on(&mut self, meaning: Meaning<'_>, now: Instant, out: &mut Vec<Emit>) {
        match meaning {
            Meaning::Nothing => {}
            Meaning::Session(sensitivity) => self.sensitivity = sensitivity,
            Meaning::Prompt { name, rate_hz, voice, tools, tool_choice } => {
                let speech = Speech::new(&name, rate_hz, self.brain.build(), self.pace, now);
                self.prompt = Some(Prompt { rate_hz, voice, tools, tool_choice, speech });
            }
            Meaning::AudioOpened { rate_hz, role_given } => {
                self.hearing = Some(Hearing::new(rate_hz, self.sensitivity, self.pace.speed()));
                self.input_rate_hz = rate_hz;
                self.fed_bytes = 0;
                self.mute = !role_given;
                self.last_input = now;
            }
            Meaning::Audio(content) => self.hear(content, now, out),
            Meaning::System(text) => {
                self.caller.recorder.system(&text);
                self.system = text;
            }
            Meaning::History(role, text) => {
                let role = if role == Role::User { "user" } else { "assistant" };
                self.caller.recorder.history(role, &text);
                self.history.push((role.to_owned(), text));
            }
            Meaning::Typed(text) => {
                self.caller.recorder.typed(&text);
                self.last_input = now;
                self.input_came(now, out);
                if !self.mute && duration_ms(self.fed_bytes, self.input_rate_hz.max(1)) >= PRIMING_MS {
                    self.begin_turn(Some(text), Vec::new(), now, out);
                }
            }
            Meaning::ToolResult { tool_use_id, content } => {
                self.caller.recorder.tool_result(&tool_use_id, &content);
                if let Some(call) = self.calls.remove(&tool_use_id) {
                    self.tool_result(call, content, now, out);
                    self.run(now, out);
                }
            }
            Meaning::PromptEnded => {
                self.cancel_turn(out);
                if let Some(prompt) = &mut self.prompt {
                    self.echo.end(&mut prompt.speech, out);
                    prompt.speech.end_prompt(now, out);
                }
            }
            Meaning::SessionEnded => self.end(out),
        }
    }

    fn input_came(&mut self, now: Instant, out: &mut Vec<Emit>) {
        if let Some(prompt) = &mut self.prompt {
            prompt.speech.input_came(now, out);
        }
    }

    fn hear(&mut self, content: &str, now: Instant, out: &mut Vec<Emit>) {
        self.last_input = now;
        let echoes = matches!(*self.brain, Brain::Echo);
        // An echo gives the text back as it came.
        let decoded = !echoes || self.caller.recorder.is_on();
        let len = if decoded { self.decode(content) } else { encoded::len(content) };
        let Some(len) = len else {
            return self.refuse(Refusal::because(UNPARSABLE, "audioInput content is not base64"), out);
        };
        if !len.is_multiple_of(crate::audio::SAMPLE_BYTES) {
            return self.refuse(Refusal::invalid("audioInput with half a sample: PCM16 has an even length"), out);
        }
        self.caller.recorder.pcm(&self.pcm);
        self.audio_bytes += len as u64;
        self.fed_bytes += len;
        let (Some(prompt), Some(hearing), false) = (&mut self.prompt, &mut self.hearing, self.mute) else { return };
        if echoes {
            return self.echo.audio(content, len, &mut prompt.speech, out);
        }
        prompt.speech.input_came(now, out);
        let mut heard = Vec::new();
        hearing.feed(&self.pcm, prompt.speech.level(now), &mut heard);
        for heard in heard {
            match heard {
                Heard::Began { offset_ms } => {
                    if let Some(prompt) = &mut self.prompt {
                        prompt.speech.user_began(offset_ms, out);
                    }
                    self.interrupt(now, out);
                }
                Heard::Ended { offset_ms, detected_ms, pcm } => {
                    if let Some(prompt) = &self.prompt {
                        prompt.speech.user_ended(offset_ms, detected_ms, out);
                    }
                    self.begin_turn(None, pcm, now, out);
                }
            }
        }
    }

    /// Leaves the sound in `self.pcm`.
    fn decode(&mut self, content: &str) -> Option<usize> {
        self.pcm.clear();
        BASE64.decode_vec(content, &mut self.pcm).ok().map(|()| self.pcm.len())
    }

    /// What the user has heard becomes history, one message a turn.
    fn remember_said(&mut self) {
        let Some(prompt) = &mut self.prompt else { return };
        for text in prompt.speech.take_said() {
            match self.history.last_mut() {
                Some((role, message)) if role == "assistant" => {
                    message.push(' ');
                    message.push_str(&text);
                }
                _ => self.history.push(("assistant".to_owned(), text)),
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut Vec<Emit>) {
        self.fail("validationException", refusal.0, out);
    }

    fn fail(&mut self, name: &'static str, message: String, out: &mut Vec<Emit>) {
        if !self.ended {
            self.cancel_turn(out);
            out.push(Emit::Exception { name, message });
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<Emit>) {
        if !self.ended {
            self.ended = true;
            self.cancel_turn(out);
            out.push(Emit::End);
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.last_input.checked_add(self.pace.scale(self.settings.idle_limit))
    }

    fn stream_deadline(&self) -> Option<Instant> {
        self.opened.checked_add(self.pace.scale(self.settings.stream_limit))
    }
}

#[cfg(test)]
mod tests;
