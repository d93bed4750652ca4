//! What the caller has said and the stream has not yet taken.
//!
//! Audio is bounded by its length in time and refused as a whole when the queue is full; nothing taken is ever
//! dropped while the session lives. Text keeps its place among the audio, as the caller's calls came.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use super::room::Room;
use crate::{
    audio::{SAMPLE_BYTES, duration_ms},
    error::{Error, ErrorKind, Result},
};

/// What leaves the queue at once: a caller's long chunk goes piece by piece, and what is left of it stays counted.
/// As long as the longest `audioInput` (`protocol::OrderMachine`), so a piece is one event.
const PIECE_MS: u64 = 100;
/// What waits is joined up to this length: a second of single samples would be 16,000 events, whose envelopes and
/// signatures no close could get through in its time. Usual frames stay as they are.
const JOINED_MS: u64 = 20;
/// Typed input is a person's; this many messages waiting means that nothing is being sent any more.
const MAX_QUEUED_TEXTS: usize = 64;
/// The documented size of one message of history (protocol reference §4); live text has no documented one.
const MAX_TEXT_BYTES: usize = 50 * 1_024;

/// One piece at the highest rate of a device (192 kHz).
static SILENCE: [u8; 38_400] = [0; 38_400];

/// `bytes` of silence, at most one piece.
pub(super) fn silence(bytes: usize) -> Bytes {
    Bytes::from_static(SILENCE.get(..bytes).unwrap_or(&SILENCE))
}

/// Bytes of PCM16 mono in `ms` at `rate_hz`.
fn bytes_in(ms: u64, rate_hz: u32) -> usize {
    let samples = ms.saturating_mul(u64::from(rate_hz)) / 1_000;
    usize::try_from(samples).unwrap_or(usize::MAX / SAMPLE_BYTES).saturating_mul(SAMPLE_BYTES)
}

enum Item {
    Audio(BytesMut),
    /// What the caller said while muted: its length only.
    Silence(usize),
    Text(String),
}

/// The next thing to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Audio(Bytes),
    Text(String),
}

pub(super) struct InputQueue {
    /// The caller's, whatever the stream's is (`rates.rs`).
    rate_hz: u32,
    capacity_ms: u64,
    capacity_bytes: usize,
    piece_bytes: usize,
    joined_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    audio_bytes: usize,
    texts: usize,
    muted: bool,
    /// Why nothing is taken any more.
    closed: Option<Error>,
    room: Room,
    refused_chunks: u64,
    refused_bytes: usize,
}

pub(super) struct InputCounts {
    pub(super) queued_ms: u64,
    pub(super) refused_chunks: u64,
    pub(super) refused_ms: u64,
}

impl InputQueue {
    pub(super) fn new(rate_hz: u32, capacity_ms: u64) -> Self {
        Self {
            rate_hz,
            capacity_ms,
            capacity_bytes: bytes_in(capacity_ms, rate_hz),
            piece_bytes: bytes_in(PIECE_MS, rate_hz),
            joined_bytes: bytes_in(JOINED_MS, rate_hz),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the whole chunk or nothing.
    pub(super) fn try_audio(&self, pcm: &[u8]) -> Result<bool> {
        let mut state = self.lock();
        state.check_open()?;
        self.check_format(pcm.len())?;
        if state.audio_bytes + pcm.len() > self.capacity_bytes {
            state.refused_chunks += 1;
            state.refused_bytes = state.refused_bytes.saturating_add(pcm.len());
            return Ok(false);
        }
        state.audio_bytes += pcm.len();
        let muted = state.muted;
        match state.items.back_mut() {
            Some(Item::Audio(last)) if !muted && last.len() + pcm.len() <= self.joined_bytes => {
                last.extend_from_slice(pcm);
            }
            Some(Item::Silence(bytes)) if muted && *bytes + pcm.len() <= self.joined_bytes => *bytes += pcm.len(),
            _ if muted => state.items.push_back(Item::Silence(pcm.len())),
            _ => state.items.push_back(Item::Audio(BytesMut::from(pcm))),
        }
        Ok(true)
    }

    fn check_format(&self, bytes: usize) -> Result<()> {
        let wrong = |code: &str, message: String, cure: &str| {
            Err(Error::new(ErrorKind::AudioFormat, code, message).with_cure(cure.to_owned()))
        };
        if bytes == 0 {
            return wrong("empty_audio", "The audio chunk is empty.".into(), "Send at least one 16-bit sample.");
        }
        if !bytes.is_multiple_of(SAMPLE_BYTES) {
            return wrong(
                "odd_audio",
                format!("The audio chunk has {bytes} bytes, which is not a whole number of 16-bit samples."),
                "Send PCM16 little-endian mono, and cut it between samples.",
            );
        }
        if bytes > self.capacity_bytes {
            return wrong(
                "audio_too_long",
                format!(
                    "The audio chunk of {} ms is longer than the whole input buffer of {} ms.",
                    duration_ms(bytes, self.rate_hz),
                    self.capacity_ms
                ),
                "Send it in smaller pieces (32 to 100 ms is usual).",
            );
        }
        Ok(())
    }

    pub(super) fn push_text(&self, text: String) -> Result<()> {
        let mut state = self.lock();
        state.check_open()?;
        check_text(&text)?;
        if state.texts >= MAX_QUEUED_TEXTS {
            let message = format!("{MAX_QUEUED_TEXTS} texts are already waiting to be sent.");
            return Err(Error::new(ErrorKind::Throttled, "too_many_texts", message)
                .with_cure("Wait for an answer before you send more."));
        }
        state.texts += 1;
        state.items.push_back(Item::Text(text));
        Ok(())
    }

    /// A text that was not sent after all; it comes before everything else.
    pub(super) fn unpop_text(&self, text: String) {
        let mut state = self.lock();
        state.texts += 1;
        state.items.push_front(Item::Text(text));
    }

    pub(super) fn mute(&self, muted: bool) {
        self.lock().muted = muted;
    }

    /// The next piece to send, and whether somebody who waits for room must be told now. With `audio` false only a
    /// text at the head is taken.
    pub(super) fn pop(&self, audio: bool) -> (Option<Taken>, bool) {
        let mut state = self.lock();
        let held = !audio && matches!(state.items.front(), Some(Item::Audio(_) | Item::Silence(_)));
        let taken = if held { None } else { state.pop(self.piece_bytes) };
        let told = state.grant();
        (taken, told)
    }

    pub(super) fn has_room(&self, bytes: usize) -> Result<bool> {
        let state = self.lock();
        state.check_open()?;
        self.check_format(bytes)?;
        Ok(state.audio_bytes + bytes <= self.capacity_bytes)
    }

    /// Remembers that somebody waits for room for `bytes`. True: there is room already, tell them.
    pub(super) fn want_room(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        state.room.want(self.capacity_bytes, bytes);
        state.grant()
    }

    /// How long so many bytes of PCM last.
    pub(super) fn length(&self, bytes: usize) -> Duration {
        let samples = u32::try_from(bytes / SAMPLE_BYTES).unwrap_or(u32::MAX);
        Duration::from_secs(1) * samples / self.rate_hz
    }

    /// Bytes of PCM of this length.
    pub(super) fn bytes(&self, length: Duration) -> usize {
        bytes_in(u64::try_from(length.as_millis()).unwrap_or(u64::MAX), self.rate_hz)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Why nothing is taken any more, if so.
    pub(super) fn check_open(&self) -> Result<()> {
        self.lock().check_open()
    }

    /// Takes nothing more; what is queued stays. The first reason holds until [`Self::end`].
    pub(super) fn close(&self, why: Error) -> bool {
        let mut state = self.lock();
        state.closed.get_or_insert(why);
        state.grant()
    }

    /// Forgets what is queued: there is no stream any more to send it on.
    pub(super) fn end(&self, error: Option<Error>) -> bool {
        let mut state = self.lock();
        state.closed = Some(error.unwrap_or_else(closed_error));
        state.items = VecDeque::new();
        state.audio_bytes = 0;
        state.texts = 0;
        state.grant()
    }

    pub(super) fn counts(&self) -> InputCounts {
        let state = self.lock();
        InputCounts {
            queued_ms: duration_ms(state.audio_bytes, self.rate_hz),
            refused_chunks: state.refused_chunks,
            refused_ms: duration_ms(state.refused_bytes, self.rate_hz),
        }
    }
}

impl State {
    fn check_open(&self) -> Result<()> {
        self.closed.clone().map_or(Ok(()), Err)
    }

    fn grant(&mut self) -> bool {
        self.room.grant(self.audio_bytes, self.closed.is_some())
    }

    fn pop(&mut self, max_bytes: usize) -> Option<Taken> {
        let taken = match self.items.pop_front()? {
            Item::Text(text) => {
                self.texts -= 1;
                return Some(Taken::Text(text));
            }
            Item::Audio(mut pcm) => {
                let piece = pcm.split_to(pcm.len().min(max_bytes)).freeze();
                if !pcm.is_empty() {
                    self.items.push_front(Item::Audio(pcm));
                }
                piece
            }
            Item::Silence(bytes) => {
                let piece = silence(bytes.min(max_bytes));
                if bytes > piece.len() {
                    self.items.push_front(Item::Silence(bytes - piece.len()));
                }
                piece
            }
        };
        self.audio_bytes -= taken.len();
        Some(Taken::Audio(taken))
    }
}

/// Live text of the user, or a prompt.
pub(super) fn check_text(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::new(ErrorKind::Validation, "empty_text", "The text is empty.")
            .with_cure("The service refuses empty content: send at least one character."));
    }
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("The text has {} bytes; one message may have {MAX_TEXT_BYTES}.", text.len());
        return Err(Error::new(ErrorKind::Validation, "text_too_long", message)
            .with_cure("Shorten it, or send it as several messages."));
    }
    Ok(())
}

pub(super) fn limit_error() -> Error {
    Error::new(ErrorKind::Closed, "limit", "The conversation has reached one of its Limits; nothing more can be sent.")
        .with_cure("Open a new session, or raise the limit given to connect().")
}

pub(super) fn closed_error() -> Error {
    Error::new(ErrorKind::Closed, "closed", "The session is closed; nothing can be sent any more.")
        .with_cure("Open a new session.")
}

#[cfg(test)]
mod tests;
