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
/// The service understands within two seconds of a pause. What it has not understood so long after a voice was heard
/// was none.
const NOT_SPEECH: Duration = Duration::from_secs(15);
/// The shortest pause that ends a turn (480 ms measured), less what a voice fades out in.
const PAUSE: Duration = Duration::from_millis(300);
/// Where noise hides the pause, so much of what is newest may belong to the next utterance.
const MAY_BE_NEXT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Unheard {
    rate_hz: u32,
    chunks: VecDeque<Chunk>,
    ear: Ear,
    /// Where the stream stands.
    end: u64,
    /// No audio after this is a voice, as far as heard.
    last_voice_end: u64,
}

#[derive(Debug, Clone)]
struct Chunk {
    pcm: Bytes,
    end: u64,
    voice: bool,
}

impl Chunk {
    fn start(&self) -> u64 {
        self.end.saturating_sub(self.pcm.len() as u64)
    }
}

impl Unheard {
    pub fn new(rate_hz: u32) -> Self {
        Self { rate_hz, chunks: VecDeque::new(), ear: Ear::default(), end: 0, last_voice_end: 0 }
    }

    /// The stream was given `pcm` of the user, which ends at `end`.
    pub fn said(&mut self, pcm: Bytes, end: u64) {
        let voice = self.ear.hears(&pcm, self.rate_hz);
        if voice {
            self.last_voice_end = end;
        }
        self.end = end;
        self.chunks.push_back(Chunk { pcm, end, voice });
        self.forget_silence();
        let most = self.bytes(MOST);
        while self.end.saturating_sub(self.chunks.front().map_or(self.end, Chunk::start)) > most {
            self.chunks.pop_front();
        }
    }

    /// The stream was given silence of ours up to `end`: a pause, and nothing to say again.
    pub fn paused(&mut self, end: u64) {
        self.end = end;
        self.forget_silence();
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
            drop(first.pcm.split_to(bytes.min(first.pcm.len())));
        }
        self.forget_silence();
    }

    /// The service has understood an utterance, and did not say where it ended: at the last pause.
    pub fn understood_the_last(&mut self) {
        let pause = self.bytes(PAUSE);
        let mut next_begins = self.end;
        for chunk in self.chunks.iter().rev().filter(|chunk| chunk.voice) {
            if next_begins.saturating_sub(chunk.end) >= pause {
                self.understood_to(next_begins.saturating_sub(self.bytes(BEFORE)).max(chunk.end));
                return;
            }
            next_begins = chunk.start();
        }
        let unsure = self.bytes(MAY_BE_NEXT);
        self.understood_to(self.end.saturating_sub(unsure));
    }

    /// Since when somebody speaks whom the service has not understood yet; zero while nobody does.
    pub fn voice(&self) -> Duration {
        match self.chunks.iter().find(|chunk| chunk.voice) {
            Some(first) => self.length(self.end.saturating_sub(first.start())),
            None => Duration::ZERO,
        }
    }

    /// What the next stream must be given first; its positions count from there. Nothing where no voice was heard.
    /// Each piece is noted again by [`Self::said`] as it goes up.
    pub fn take(&mut self) -> VecDeque<Bytes> {
        let voice = self.chunks.iter().any(|chunk| chunk.voice);
        self.end = 0;
        self.last_voice_end = 0;
        let chunks = mem::take(&mut self.chunks);
        if voice { chunks.into_iter().map(|chunk| chunk.pcm).collect() } else { VecDeque::new() }
    }

    /// Forgets what came before any voice, and a voice that nobody understood.
    fn forget_silence(&mut self) {
        if self.end.saturating_sub(self.last_voice_end) > self.bytes(NOT_SPEECH) {
            self.chunks.clear();
        }
        let voice_at = self.chunks.iter().position(|chunk| chunk.voice);
        let begins = voice_at.and_then(|at| self.chunks.get(at)).map_or(self.end, Chunk::start);
        let keep_from = begins.saturating_sub(self.bytes(BEFORE));
        while self.chunks.front().is_some_and(|chunk| !chunk.voice && chunk.end <= keep_from) {
            self.chunks.pop_front();
        }
    }

    fn bytes(&self, length: Duration) -> u64 {
        u64::try_from(length.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(self.rate_hz)) / 1_000
            * SAMPLE_BYTES as u64
    }

    pub(super) fn length(&self, bytes: u64) -> Duration {
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

impl Default for Ear {
    fn default() -> Self {
        Self { floor: SILENCE / ABOVE }
    }
}

impl Ear {
    #[expect(clippy::cast_precision_loss, reason = "levels, not counts")]
    fn hears(&mut self, pcm: &[u8], rate_hz: u32) -> bool {
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
