//! The model's side of a turn as the service sends it (reference §2.3 to §2.5).
//!
//! For each sentence a SPECULATIVE text, then its audio in 80 ms pieces, three times faster than it is played; the FINAL
//! text follows once the sentence has been heard, by clock. A barge-in drops the rest: what was not heard never gets
//! a FINAL text. Where builds of the service differ, [`Build`] decides.

mod barge_in;
mod finals;
mod played;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    build::{Build, Completions, EndTurn, Finals},
    dialogue::Emit,
    output::{Block, Speaker, Stage, StopReason, Tokens, Writer},
    pace::Pace,
    sound,
};
use crate::audio::{SAMPLE_BYTES, duration_ms};
use finals::Owed;
use played::{Played, first_words};

const PIECE_MS: u32 = 80;
const FASTER_THAN_PLAYED: u32 = 3;
/// For orientation in usage events only; the service's tokenizer is not known.
const SPEECH_TOKENS_PER_SECOND: u64 = 25;
const TEXT_BYTES_PER_TOKEN: usize = 4;

enum Item {
    Sentence { text: String, pcm: Bytes },
    Tool { tool_use_id: String, name: String, arguments: String },
    Event { name: String, fields: String },
}

/// A sentence whose audio is being sent.
struct Sending {
    block: Block,
    pcm: Bytes,
    sent: usize,
    text_bytes: usize,
}

/// How far the running turn has come.
#[derive(Default)]
struct Course {
    /// Its first sentence was.
    announced: bool,
    /// The brain has nothing to add.
    finishing: bool,
    end_turn_sent: bool,
}

pub(super) struct Speech {
    writer: Writer,
    build: Build,
    rate_hz: u32,
    pace: Pace,
    queue: VecDeque<Item>,
    queued_bytes: usize,
    sending: Option<Sending>,
    next_piece: Instant,
    played: Played,
    owed: Owed,
    course: Course,
    completion_started: bool,
    usage: Tokens,
    said: Vec<String>,
    audio_bytes: u64,
}

impl Speech {
    pub(super) fn new(prompt_name: &str, rate_hz: u32, build: Build, pace: Pace, now: Instant) -> Self {
        Self {
            writer: Writer::new(prompt_name),
            build,
            rate_hz,
            pace,
            queue: VecDeque::new(),
            queued_bytes: 0,
            sending: None,
            next_piece: now,
            played: Played::new(now),
            owed: Owed::default(),
            course: Course::default(),
            completion_started: false,
            usage: Tokens::default(),
            said: Vec::new(),
            audio_bytes: 0,
        }
    }

    pub(super) fn audio_bytes(&self) -> u64 {
        self.audio_bytes
    }

    /// PCM bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(super) fn user_began(&mut self, offset_ms: u64, out: &mut Vec<Emit>) {
        if self.build.speech_events {
            out.push(Emit::Event(self.writer.user_speech_start(offset_ms)));
        }
        if self.build.completions == Completions::Stream {
            self.start_completion(out);
        }
    }

    pub(super) fn user_ended(&self, offset_ms: u64, detected_ms: u64, out: &mut Vec<Emit>) {
        if self.build.speech_events {
            out.push(Emit::Event(self.writer.user_speech_end(offset_ms, detected_ms)));
        }
    }

    /// The transcript of an utterance, or of a fragment of it, of `spoken_ms`.
    pub(super) fn user_said(&mut self, text: &str, spoken_ms: u64, out: &mut Vec<Emit>) {
        self.start_completion(out);
        self.text(Speaker::User, Stage::Final, text, StopReason::PartialTurn, out);
        let tokens = Tokens {
            speech_in: spoken_ms * SPEECH_TOKENS_PER_SECOND / 1_000,
            text_in: text_tokens(text.len()),
            ..Tokens::default()
        };
        self.count(tokens, out);
    }

    /// `pcm` is PCM16LE mono at the stream's output rate; without it a murmur stands in.
    pub(super) fn say(&mut self, text: String, pcm: Option<Bytes>) {
        let pcm = pcm.unwrap_or_else(|| sound::murmur(&text, self.rate_hz).into());
        let whole = pcm.len() - pcm.len() % SAMPLE_BYTES;
        self.queued_bytes += whole;
        self.queue.push_back(Item::Sentence { text, pcm: pcm.slice(..whole) });
    }

    pub(super) fn call(&mut self, tool_use_id: String, name: String, arguments: String) {
        self.queue.push_back(Item::Tool { tool_use_id, name, arguments });
    }

    /// An event that a script spells out.
    pub(super) fn event(&mut self, name: String, fields: String) {
        self.queue.push_back(Item::Event { name, fields });
    }

    /// No more will be said or called in this turn.
    pub(super) fn finish(&mut self) {
        self.course.finishing = true;
    }

    pub(super) fn begin_turn(&mut self) {
        self.course = Course::default();
        self.owed.begin_turn();
    }

    /// What the user's loudspeaker plays now, as the RMS of its loudest 20 ms.
    pub(super) fn level(&self, now: Instant) -> Option<f32> {
        self.played.level(now)
    }

    /// Nothing is being said or heard.
    pub(super) fn is_silent(&self) -> bool {
        self.queue.is_empty() && self.sending.is_none() && self.played.is_silent()
    }

    /// The sentences heard since the last call.
    pub(super) fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let piece = self.sending.as_ref().filter(|sending| sending.sent < sending.pcm.len()).map(|_| self.next_piece);
        piece.into_iter().chain(self.played.next_end()).min()
    }

    /// Sends what is due.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Vec<Emit>) {
        loop {
            match self.sending.take() {
                Some(sending) if sending.sent < sending.pcm.len() => {
                    if self.next_piece > now {
                        self.sending = Some(sending);
                        break;
                    }
                    self.send_piece(sending, out);
                }
                Some(sending) if self.queue.is_empty() && !self.course.finishing => {
                    // Whether this was the last sentence is not known yet.
                    self.sending = Some(sending);
                    break;
                }
                Some(sending) => {
                    let last = self.queue.is_empty();
                    self.end_audio(&sending, last, out);
                }
                None => match self.queue.pop_front() {
                    Some(Item::Sentence { text, pcm }) => self.start_sentence(text, pcm, now, out),
                    Some(Item::Tool { tool_use_id, name, arguments }) => {
                        self.send_call(&tool_use_id, &name, &arguments, out);
                    }
                    Some(Item::Event { name, fields }) => {
                        self.start_completion(out);
                        out.push(Emit::Event(self.writer.any(&name, &fields)));
                    }
                    None => break,
                },
            }
        }
        if self.course.finishing && !self.course.end_turn_sent && self.sending.is_none() {
            self.end_silently(out);
        }
        self.send_finals(now, out);
        if self.course.end_turn_sent && self.played.is_silent() {
            self.end_reply(out);
        }
    }

    /// The client ended the prompt: nothing more is said, and what was sent counts as heard.
    pub(super) fn end_prompt(&mut self, now: Instant, out: &mut Vec<Emit>) {
        let sending = self.sending.take();
        let sent = sending.as_ref().map_or(1.0, |sending| share(sending.sent, sending.pcm.len()));
        if let Some(sending) = sending {
            self.end_audio(&sending, true, out);
        }
        while let Some(sentence) = self.played.next() {
            let share = if self.played.is_silent() { sent } else { 1.0 };
            if self.build.finals == Finals::Spoken {
                self.send_final(first_words(&sentence.text, share), self.final_reason(sentence.last), out);
            }
        }
        if self.completion_started {
            out.push(Emit::Event(self.writer.completion_end()));
        }
        self.forget(now);
    }

    /// An audio block without an announcement in text, kept open by its caller.
    pub(super) fn open_audio(&mut self, out: &mut Vec<Emit>) -> Block {
        self.start_completion(out);
        let (block, event) = self.writer.audio_start(self.rate_hz);
        if self.build.announced_audio {
            out.push(Emit::Event(event));
        }
        block
    }

    pub(super) fn close_audio(&mut self, block: &Block, out: &mut Vec<Emit>) {
        out.push(Emit::Event(self.writer.audio_end(block, StopReason::EndTurn)));
    }

    fn start_completion(&mut self, out: &mut Vec<Emit>) {
        if !self.completion_started && self.build.completions != Completions::Never {
            self.completion_started = true;
            out.push(Emit::Event(self.writer.completion_start()));
        }
    }

    /// A reply is complete, its FINAL texts included, or was cut short.
    fn end_reply(&mut self, out: &mut Vec<Emit>) {
        if self.completion_started && self.build.completions == Completions::Reply {
            self.completion_started = false;
            out.push(Emit::Event(self.writer.completion_end()));
            self.writer.renew_completion();
        }
    }

    fn start_sentence(&mut self, text: String, pcm: Bytes, now: Instant, out: &mut Vec<Emit>) {
        self.start_completion(out);
        self.text(Speaker::Assistant, Stage::Speculative, &text, self.final_reason(false), out);
        if !std::mem::replace(&mut self.course.announced, true) {
            self.next_turn_shows(out);
        }
        let block = self.open_audio(out);
        self.next_piece = self.next_piece.max(now);
        let text_bytes = text.len();
        let length = self.pace.scale(self.duration(pcm.len()));
        let loudest = sound::loudest_window(&pcm, self.rate_hz);
        self.played.announce(text, length, loudest, self.next_piece, now);
        self.sending = Some(Sending { block, pcm, sent: 0, text_bytes });
    }

    fn send_piece(&mut self, mut sending: Sending, out: &mut Vec<Emit>) {
        let piece_bytes = (self.rate_hz * PIECE_MS / 1_000) as usize * SAMPLE_BYTES;
        let piece = sending.pcm.slice(sending.sent..sending.pcm.len().min(sending.sent + piece_bytes));
        out.push(Emit::Event(Writer::audio_output(&sending.block, &piece)));
        self.audio_bytes += piece.len() as u64;
        self.queued_bytes = self.queued_bytes.saturating_sub(piece.len());
        self.next_piece += self.pace.scale(Duration::from_millis(PIECE_MS.into()) / FASTER_THAN_PLAYED);
        sending.sent += piece.len();
        self.sending = Some(sending);
    }

    fn end_audio(&mut self, sending: &Sending, last: bool, out: &mut Vec<Emit>) {
        let ends_turn = last && self.build.end_turn != EndTurn::Never;
        let reason = if ends_turn { StopReason::EndTurn } else { StopReason::PartialTurn };
        out.push(Emit::Event(self.writer.audio_end(&sending.block, reason)));
        self.course.end_turn_sent = last;
        self.played.close(last);
        let tokens = Tokens {
            speech_out: duration_ms(sending.sent, self.rate_hz) * SPEECH_TOKENS_PER_SECOND / 1_000,
            text_out: text_tokens(sending.text_bytes),
            ..Tokens::default()
        };
        self.count(tokens, out);
    }

    /// A turn in which nothing was said, or whose last word was a tool call: clients wait for `END_TURN` on an audio
    /// block and would wait for ever.
    fn end_silently(&mut self, out: &mut Vec<Emit>) {
        self.course.end_turn_sent = true;
        if self.build.end_turn != EndTurn::Never {
            let block = self.open_audio(out);
            self.close_audio(&block, out);
        }
    }

    fn send_call(&mut self, tool_use_id: &str, name: &str, arguments: &str, out: &mut Vec<Emit>) {
        self.start_completion(out);
        let (block, start) = self.writer.tool_start();
        out.push(Emit::Event(start));
        out.push(Emit::Event(self.writer.tool_use(&block, tool_use_id, name, arguments)));
        out.push(Emit::Event(self.writer.tool_end(&block)));
        self.count(Tokens { text_out: text_tokens(name.len() + arguments.len()), ..Tokens::default() }, out);
    }

    fn text(&self, speaker: Speaker, stage: Stage, text: &str, reason: StopReason, out: &mut Vec<Emit>) {
        if text.is_empty() {
            return;
        }
        let (block, start) = self.writer.text_start(speaker, stage);
        out.push(Emit::Event(start));
        out.push(Emit::Event(self.writer.text_output(&block, speaker, text)));
        out.push(Emit::Event(self.writer.text_end(&block, reason)));
    }

    fn count(&mut self, delta: Tokens, out: &mut Vec<Emit>) {
        self.usage.add(delta);
        out.push(Emit::Event(self.writer.usage(delta, self.usage)));
    }

    fn forget(&mut self, now: Instant) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.played.cut(now);
        self.next_piece = now;
        self.course = Course::default();
    }

    fn duration(&self, bytes: usize) -> Duration {
        let samples = (bytes / SAMPLE_BYTES) as u64;
        Duration::from_micros(samples * 1_000_000 / u64::from(self.rate_hz.max(1)))
    }
}

fn text_tokens(bytes: usize) -> u64 {
    bytes.div_ceil(TEXT_BYTES_PER_TOKEN) as u64
}

fn share(part: usize, whole: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)] // a share of some megabytes
    let share = part as f64 / whole.max(1) as f64;
    share
}
