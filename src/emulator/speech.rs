//! The model's side of a turn as the service sends it (reference §2.3 to §2.5).
//!
//! For each sentence a SPECULATIVE text, then its audio in 80 ms pieces, three times faster than it is played; the FINAL
//! text follows once the sentence has been heard, by clock. A barge-in drops the rest: what was not heard never gets
//! a FINAL text.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    dialogue::Emit,
    output::{Block, INTERRUPTED_MARKER, Speaker, Stage, StopReason, Tokens, Writer},
    pace::Pace,
    sound,
};
use crate::audio::{SAMPLE_BYTES, duration_ms};

const PIECE_MS: u32 = 80;
const FASTER_THAN_PLAYED: u32 = 3;
/// How long a loudspeaker may lag behind our clock: network, jitter buffer, sound card.
const LOUDSPEAKER_LAG: Duration = Duration::from_millis(600);
/// For orientation in usage events only; the service's tokenizer is not known.
const SPEECH_TOKENS_PER_SECOND: u64 = 25;
const TEXT_BYTES_PER_TOKEN: usize = 4;

enum Item {
    Sentence { text: String, pcm: Bytes },
    Tool { tool_use_id: String, name: String, arguments: String },
}

/// A sentence whose audio is being sent.
struct Sending {
    block: Block,
    pcm: Bytes,
    sent: usize,
    text_bytes: usize,
}

/// A sentence that was announced and has no FINAL text yet.
struct Announced {
    text: String,
    starts: Instant,
    ends: Instant,
    last: bool,
}

pub(super) struct Speech {
    writer: Writer,
    rate_hz: u32,
    pace: Pace,
    queue: VecDeque<Item>,
    queued_bytes: usize,
    sending: Option<Sending>,
    next_piece: Instant,
    announced: VecDeque<Announced>,
    /// When all audio sent so far has been played.
    played_until: Instant,
    /// The loudest 20 ms of what is being played.
    level: f32,
    /// The brain has nothing to add to this turn.
    finishing: bool,
    end_turn_sent: bool,
    completion_started: bool,
    usage: Tokens,
    said: Vec<String>,
    audio_bytes: u64,
}

impl Speech {
    pub(super) fn new(prompt_name: &str, rate_hz: u32, pace: Pace, now: Instant) -> Self {
        Self {
            writer: Writer::new(prompt_name),
            rate_hz,
            pace,
            queue: VecDeque::new(),
            queued_bytes: 0,
            sending: None,
            next_piece: now,
            announced: VecDeque::new(),
            played_until: now,
            level: 0.0,
            finishing: false,
            end_turn_sent: false,
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
        out.push(Emit::Event(self.writer.user_speech_start(offset_ms)));
        self.start_completion(out);
    }

    pub(super) fn user_ended(&self, offset_ms: u64, detected_ms: u64, out: &mut Vec<Emit>) {
        out.push(Emit::Event(self.writer.user_speech_end(offset_ms, detected_ms)));
    }

    /// The one transcript of an utterance of `spoken_ms`.
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

    /// No more will be said or called in this turn.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
    }

    pub(super) fn begin_turn(&mut self) {
        self.finishing = false;
        self.end_turn_sent = false;
    }

    /// What the user's loudspeaker plays now, as the RMS of its loudest 20 ms.
    pub(super) fn level(&self, now: Instant) -> Option<f32> {
        (self.level > 0.0 && now < self.played_until + LOUDSPEAKER_LAG).then_some(self.level)
    }

    /// The sentences heard since the last call.
    pub(super) fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let piece = self.sending.as_ref().filter(|sending| sending.sent < sending.pcm.len()).map(|_| self.next_piece);
        let heard = self.announced.front().map(|sentence| sentence.ends);
        piece.into_iter().chain(heard).min()
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
                Some(sending) if self.queue.is_empty() && !self.finishing => {
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
                    None => break,
                },
            }
        }
        if self.finishing && !self.end_turn_sent && self.sending.is_none() {
            self.end_silently(out);
        }
        self.send_finals(now, out);
    }

    /// The user spoke or typed over the model. What was heard of the present sentence gets its FINAL text, then the
    /// marker; nothing more of this turn follows.
    pub(super) fn interrupt(&mut self, now: Instant, out: &mut Vec<Emit>) {
        self.send_finals(now, out);
        let sending = self.sending.take();
        if sending.is_some() || !self.announced.is_empty() {
            if let Some(sentence) = self.announced.pop_front() {
                let heard = now.saturating_duration_since(sentence.starts);
                let whole = sentence.ends.saturating_duration_since(sentence.starts);
                let words = first_words(&sentence.text, heard.as_secs_f64() / whole.as_secs_f64());
                self.send_final(words, StopReason::PartialTurn, out);
            }
            self.text(Speaker::Assistant, Stage::Final, INTERRUPTED_MARKER, StopReason::Interrupted, out);
            if let Some(sending) = sending {
                out.push(Emit::Event(self.writer.audio_end(&sending.block, StopReason::EndTurn)));
            }
        }
        self.forget(now);
    }

    /// The client ended the prompt: nothing more is said, and what was sent counts as heard.
    pub(super) fn end_prompt(&mut self, now: Instant, out: &mut Vec<Emit>) {
        let sending = self.sending.take();
        let sent = sending.as_ref().map_or(1.0, |sending| share(sending.sent, sending.pcm.len()));
        if let Some(sending) = sending {
            self.end_audio(&sending, true, out);
        }
        while let Some(sentence) = self.announced.pop_front() {
            let share = if self.announced.is_empty() { sent } else { 1.0 };
            let reason = if sentence.last { StopReason::EndTurn } else { StopReason::PartialTurn };
            self.send_final(first_words(&sentence.text, share), reason, out);
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
        out.push(Emit::Event(event));
        block
    }

    pub(super) fn close_audio(&mut self, block: &Block, out: &mut Vec<Emit>) {
        out.push(Emit::Event(self.writer.audio_end(block, StopReason::EndTurn)));
    }

    fn start_completion(&mut self, out: &mut Vec<Emit>) {
        if !self.completion_started {
            self.completion_started = true;
            out.push(Emit::Event(self.writer.completion_start()));
        }
    }

    fn start_sentence(&mut self, text: String, pcm: Bytes, now: Instant, out: &mut Vec<Emit>) {
        self.start_completion(out);
        self.text(Speaker::Assistant, Stage::Speculative, &text, StopReason::PartialTurn, out);
        let (block, event) = self.writer.audio_start(self.rate_hz);
        out.push(Emit::Event(event));
        if self.level(now).is_none() {
            self.level = 0.0;
        }
        self.level = self.level.max(sound::loudest_window(&pcm, self.rate_hz));
        self.next_piece = self.next_piece.max(now);
        let starts = self.played_until.max(self.next_piece);
        let ends = starts + self.pace.scale(self.duration(pcm.len()));
        self.played_until = ends;
        self.sending = Some(Sending { block, pcm, sent: 0, text_bytes: text.len() });
        self.announced.push_back(Announced { text, starts, ends, last: false });
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
        let reason = if last { StopReason::EndTurn } else { StopReason::PartialTurn };
        out.push(Emit::Event(self.writer.audio_end(&sending.block, reason)));
        self.end_turn_sent = last;
        if let Some(sentence) = self.announced.back_mut() {
            sentence.last = last;
        }
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
        let block = self.open_audio(out);
        self.close_audio(&block, out);
        self.end_turn_sent = true;
    }

    fn send_call(&mut self, tool_use_id: &str, name: &str, arguments: &str, out: &mut Vec<Emit>) {
        self.start_completion(out);
        let (block, start) = self.writer.tool_start();
        out.push(Emit::Event(start));
        out.push(Emit::Event(self.writer.tool_use(&block, tool_use_id, name, arguments)));
        out.push(Emit::Event(self.writer.tool_end(&block)));
        self.count(Tokens { text_out: text_tokens(name.len() + arguments.len()), ..Tokens::default() }, out);
    }

    fn send_finals(&mut self, now: Instant, out: &mut Vec<Emit>) {
        while let Some(sentence) = self.announced.pop_front_if(|sentence| sentence.ends <= now) {
            let reason = if sentence.last { StopReason::EndTurn } else { StopReason::PartialTurn };
            self.send_final(&sentence.text, reason, out);
        }
    }

    fn send_final(&mut self, text: &str, reason: StopReason, out: &mut Vec<Emit>) {
        if !text.is_empty() {
            self.text(Speaker::Assistant, Stage::Final, text, reason, out);
            self.said.push(text.to_owned());
        }
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
        self.announced.clear();
        self.played_until = now;
        self.next_piece = now;
        self.level = 0.0;
        self.finishing = false;
        self.end_turn_sent = false;
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

/// The words that fit wholly into the first `share` of `text`.
fn first_words(text: &str, share: f64) -> &str {
    if share >= 1.0 {
        return text;
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = (text.len() as f64 * share.max(0.0)) as usize;
    let end = text.char_indices().rfind(|(at, letter)| *at <= bytes && letter.is_whitespace()).map_or(0, |(at, _)| at);
    text.get(..end).unwrap_or_default()
}
