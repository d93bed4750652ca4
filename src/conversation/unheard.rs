//! What the user said that no final transcript covers yet: a stream that ends takes it along, so the next one is given
//! it again.
//!
//! Positions are bytes of PCM since the audio block of the present stream began, silence included, as the service's
//! own offsets count. Where a build tells no offsets, the end of an utterance is found by ear.

use std::{collections::VecDeque, mem, time::Duration};

use bytes::Bytes;

use crate::audio::{SAMPLE_BYTES, samples};

/// Kept of a speech that has no transcript: longer than anybody speaks without a pause.
const MOST: Duration = Duration::from_mins(2);
/// Kept before a voice is heard: quiet beginnings of words are below any threshold.
const BEFORE: Duration = Duration::from_millis(300);
/// Kept where no voice is heard: a stream may hear silence twice for so long (60 ms are allowed to a hand-over).
const ROOM: Duration = Duration::from_millis(50);
/// The service understands within two seconds of a pause. What it has not understood so long after a voice was heard
/// was none.
const NOT_SPEECH: Duration = Duration::from_secs(15);
/// The shortest pause that ends a turn (480 ms measured), less what a voice fades out in.
const PAUSE: Duration = Duration::from_millis(300);
/// No text comes of an utterance before it has been over for so long (480 ms measured): what ended later is the next.
const OVER: Duration = Duration::from_millis(380);
/// Where no pause is heard, so much of what is newest may belong to the next utterance.
const MAY_BE_NEXT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Unheard {
    rate_hz: u32,
    chunks: VecDeque<Chunk>,
    ear: Ear,
    /// Where the stream stands.
    end: u64,
    /// When the last piece was given, and the last with a voice in it.
    given: Duration,
    voice_given: Duration,
}

#[derive(Debug, Clone)]
struct Chunk {
    said: Spoken,
    end: u64,
    /// It came sooner after the last than it would have been spoken: on its way again, or after a wait.
    hasty: bool,
}

/// A piece of the user's audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    pub pcm: Bytes,
    /// How much of it comes after the last voice in it; None: no voice is heard.
    quiet_bytes: Option<u64>,
}

impl Chunk {
    fn start(&self) -> u64 {
        self.end.saturating_sub(self.said.pcm.len() as u64)
    }

    fn is_voice(&self) -> bool {
        self.said.quiet_bytes.is_some()
    }

    /// Where the last voice in it ends.
    fn voice_end(&self) -> u64 {
        self.end.saturating_sub(self.said.quiet_bytes.unwrap_or_default())
    }
}

impl Unheard {
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            chunks: VecDeque::new(),
            ear: Ear::default(),
            end: 0,
            given: Duration::ZERO,
            voice_given: Duration::ZERO,
        }
    }

    /// The stream was given `pcm` of the user, which ends at `end`.
    pub fn said(&mut self, pcm: Bytes, end: u64, now: Duration) {
        let quiet_bytes = self.ear.hears(&pcm, self.rate_hz);
        self.said_again(Spoken { pcm, quiet_bytes }, end, now);
    }

    /// As [`Self::said`], of what was taken for an earlier stream.
    pub fn said_again(&mut self, said: Spoken, end: u64, now: Duration) {
        self.forget_silence(now);
        if said.quiet_bytes.is_some() {
            self.voice_given = now;
        }
        self.end = end;
        let hasty = (now.saturating_sub(self.given)) * 2 < self.length(said.pcm.len() as u64);
        self.given = now;
        self.chunks.push_back(Chunk { said, end, hasty });
        self.forget_quiet();
        let most = self.bytes(MOST);
        while self.end.saturating_sub(self.chunks.front().map_or(self.end, Chunk::start)) > most {
            self.chunks.pop_front();
        }
    }

    /// The stream was given silence of ours up to `end`: a pause, and nothing to say again.
    pub fn paused(&mut self, end: u64, now: Duration) {
        self.end = end;
        self.forget_silence(now);
    }

    /// The service has understood everything up to `position`.
    pub fn understood_to(&mut self, position: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.end <= position) {
            self.chunks.pop_front();
        }
        if let Some(first) = self.chunks.front_mut()
            && first.start() < position
        {
            let bytes = usize::try_from(position - first.start()).unwrap_or(usize::MAX) / SAMPLE_BYTES * SAMPLE_BYTES;
            let _ = first.said.pcm.split_to(bytes.min(first.said.pcm.len()));
            if first.voice_end() <= position {
                first.said.quiet_bytes = None;
            }
        }
        self.forget_quiet();
    }

    /// The service has understood an utterance, and did not say where it ended: at the last pause. Or, where several
    /// may have come in one go, at the first.
    pub fn understood_the_last(&mut self) {
        if self.chunks.iter().any(|chunk| chunk.is_voice() && chunk.hasty) {
            if let Some(end) = self.first_pause() {
                self.understood_to(end);
            }
            return;
        }
        let (pause, over) = (self.bytes(PAUSE), self.bytes(OVER));
        let mut next_begins = self.end;
        for chunk in self.chunks.iter().rev().filter(|chunk| chunk.is_voice()) {
            let ended = chunk.voice_end();
            if self.end.saturating_sub(ended) >= over && next_begins.saturating_sub(ended) >= pause {
                self.understood_to(next_begins.saturating_sub(self.bytes(BEFORE)).max(chunk.end));
                return;
            }
            next_begins = chunk.start();
        }
        let unsure = self.bytes(MAY_BE_NEXT);
        self.understood_to(self.end.saturating_sub(unsure));
    }

    /// Where the first pause is over that no utterance can have in it.
    fn first_pause(&self) -> Option<u64> {
        let over = self.bytes(OVER);
        let mut ended: Option<u64> = None;
        for chunk in self.chunks.iter().filter(|chunk| chunk.is_voice()) {
            if ended.is_some_and(|ended| chunk.start().saturating_sub(ended) >= over) {
                return Some(chunk.start().saturating_sub(self.bytes(BEFORE)).max(ended.unwrap_or_default()));
            }
            ended = Some(chunk.voice_end());
        }
        ended.filter(|ended| self.end.saturating_sub(*ended) >= over)
    }

    /// Since when somebody speaks whom the service has not understood yet; zero while nobody does.
    pub fn voice(&self) -> Duration {
        match self.chunks.iter().find(|chunk| chunk.is_voice()) {
            Some(first) => self.length(self.end.saturating_sub(first.start())),
            None => Duration::ZERO,
        }
    }

    /// What the next stream must be given first, and its length where somebody speaks in it; its positions count from there.
    /// Where no voice was heard it is a moment of the room, since words begin quietly. Each piece is noted again by
    /// [`Self::said_again`] as it goes up.
    pub fn take(&mut self) -> (VecDeque<Spoken>, Duration) {
        let voice = self.chunks.iter().any(Chunk::is_voice);
        if !voice {
            self.understood_to(self.end.saturating_sub(self.bytes(ROOM)));
        }
        let bytes: usize = self.chunks.iter().map(|chunk| chunk.said.pcm.len()).sum();
        let length = if voice { self.length(bytes as u64) } else { Duration::ZERO };
        self.end = 0;
        (mem::take(&mut self.chunks).into_iter().map(|chunk| chunk.said).collect(), length)
    }

    /// Forgets a voice that nobody understood: it was none.
    fn forget_silence(&mut self, now: Duration) {
        if self.voice_given + NOT_SPEECH < now {
            for chunk in &mut self.chunks {
                chunk.said.quiet_bytes = None;
            }
        }
        self.forget_quiet();
    }

    /// Forgets what came before any voice.
    fn forget_quiet(&mut self) {
        let voice_at = self.chunks.iter().position(Chunk::is_voice);
        let begins = voice_at.and_then(|at| self.chunks.get(at)).map_or(self.end, Chunk::start);
        let keep_from = begins.saturating_sub(self.bytes(BEFORE));
        while self.chunks.front().is_some_and(|chunk| !chunk.is_voice() && chunk.end <= keep_from) {
            self.chunks.pop_front();
        }
    }

    fn bytes(&self, length: Duration) -> u64 {
        u64::try_from(length.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(self.rate_hz)) / 1_000
            * SAMPLE_BYTES as u64
    }

    fn length(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes / SAMPLE_BYTES as u64 * 1_000_000 / u64::from(self.rate_hz.max(1)))
    }
}

/// Tells a voice from a room by its level alone: anything well above the quietest of late. It errs towards a voice,
/// since a noise said twice harms less than a word lost.
#[derive(Debug)]
struct Ear {
    floor: f32,
}

/// -60 dB: below it no microphone carries a voice.
const SILENCE: f32 = 33.0;
/// A voice is so much louder than its room (10 dB).
const ABOVE: f32 = 3.2;
/// The floor doubles in three seconds of steady sound, since a person pauses for breath sooner.
const RISE_PER_S: f32 = 0.23;
/// So much is listened to at a time.
const WINDOW_MS: u32 = 20;

impl Default for Ear {
    fn default() -> Self {
        Self { floor: SILENCE / ABOVE }
    }
}

impl Ear {
    /// How much of `pcm` comes after the last voice in it; None: no voice.
    fn hears(&mut self, pcm: &[u8], rate_hz: u32) -> Option<u64> {
        let window = (rate_hz / 1_000 * WINDOW_MS) as usize * SAMPLE_BYTES;
        let mut quiet = None;
        for piece in pcm.chunks(window.max(SAMPLE_BYTES)) {
            let voice = self.is_voice(piece, rate_hz);
            quiet = if voice { Some(0) } else { quiet.map(|quiet| quiet + piece.len() as u64) };
        }
        quiet
    }

    #[expect(clippy::cast_precision_loss, reason = "levels, not counts")]
    fn is_voice(&mut self, pcm: &[u8], rate_hz: u32) -> bool {
        let count = (pcm.len() / SAMPLE_BYTES).max(1) as f32;
        let level = samples(pcm).map(|sample| f32::from(sample.unsigned_abs())).sum::<f32>() / count;
        let seconds = count / rate_hz.max(1) as f32;
        let voice = level >= SILENCE && level >= self.floor * ABOVE;
        self.floor = if level < self.floor { level.max(1.0) } else { self.floor * (1.0 + RISE_PER_S * seconds) };
        voice
    }
}

#[cfg(test)]
mod tests;
