//! When the user begins and ends to speak: energy endpointing over 20 ms windows.
//!
//! It counts samples, not time: like the service it needs audio after the speech to find its end (reference §8.1),
//! and a burst after a network stall is heard as it was spoken.

use std::collections::VecDeque;

use super::rules::Sensitivity;
use crate::audio::SAMPLE_BYTES;

const WINDOWS_PER_SECOND: u32 = 50;
const WINDOW_MS: u64 = 20;
/// Nothing below -47 dBFS is speech, however quiet the room.
const LOWEST_BAR: f32 = 150.0;
/// Speech is 10 dB above the quietest window of the last seconds.
const ABOVE_FLOOR: f32 = 3.2;
/// Once begun, speech may fall to half the bar (-6 dB) before a window counts as silent.
const KEEP: f32 = 0.5;
/// While the model is heard, the user must reach -15 dB of its loudest window: an echo at -20 dB stays 5 dB below, and
/// a person at the usual -26 dBFS still gets over a loud synthetic voice.
const AGAINST_MODEL: f32 = 0.18;
/// A window above the bar counts two, one below it takes one away, and so many make a beginning: a click, a knock or
/// typing does not.
const ONSET: u32 = 10;
const ONSET_AGAINST_MODEL: u32 = 18;
/// Fast speech at speed 10 would otherwise be cut at every plosive.
const SHORTEST_PAUSE_MS: u64 = 100;
/// Kept from before the beginning, so that soft first consonants are not lost.
const PRE_ROLL_MS: u64 = 300;
/// A hesitant beginning is kept no longer than this.
const LONGEST_ONSET_MS: u64 = 2_000;
/// Kept of the silence after the last voiced window.
const POST_ROLL_MS: u64 = 120;
/// An utterance that grows longer is taken as ended.
const LONGEST_UTTERANCE_MS: u64 = 60_000;
/// The noise floor is the quietest window of the last ten half seconds: speech dips that low between words, a fan does
/// not.
const FLOOR_BUCKETS: usize = 10;
const WINDOWS_PER_BUCKET: u32 = 25;
const FIRST_FLOOR: f32 = 30.0;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Offsets are milliseconds of audio since the block began.
    Began {
        offset_ms: u64,
    },
    Ended {
        offset_ms: u64,
        detected_ms: u64,
        pcm: Vec<u8>,
    },
}

pub(super) struct Hearing {
    rate_hz: u32,
    window_samples: u32,
    pause_windows: u64,
    /// The window being filled.
    sum_of_squares: u64,
    samples: u32,
    windows: u64,
    floor: VecDeque<f32>,
    bucket: (f32, u32),
    onset: u32,
    /// The window in which `onset` last left zero.
    onset_since: u64,
    /// Before speech: the pre-roll. In speech: the utterance.
    kept: Vec<u8>,
    speech: Option<Utterance>,
}

struct Utterance {
    last_voiced_window: u64,
    last_voiced_kept: usize,
}

impl Hearing {
    /// Pauses of 400, 540 and 800 ms: the middle one lies between the two that were measured (480 and 600 ms,
    /// reference §1.1), the others keep about the distances that AWS documents. `speed` divides them.
    pub(super) fn new(rate_hz: u32, sensitivity: Sensitivity, speed: f64) -> Self {
        let pause_ms = match sensitivity {
            Sensitivity::High => 400.0,
            Sensitivity::Medium => 540.0,
            Sensitivity::Low => 800.0,
        } / speed;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 800 / speed, and `as` saturates
        let pause_ms = (pause_ms as u64).max(SHORTEST_PAUSE_MS);
        Self {
            rate_hz,
            window_samples: rate_hz / WINDOWS_PER_SECOND,
            pause_windows: pause_ms.div_ceil(WINDOW_MS),
            sum_of_squares: 0,
            samples: 0,
            windows: 0,
            floor: VecDeque::from([FIRST_FLOOR; FLOOR_BUCKETS]),
            bucket: (f32::MAX, 0),
            onset: 0,
            onset_since: 0,
            kept: Vec::new(),
            speech: None,
        }
    }

    /// The user is speaking now.
    pub(super) fn is_hearing(&self) -> bool {
        self.speech.is_some()
    }

    /// Takes PCM16LE of whole samples. `model_level` is the loudest 20 ms of what the user's loudspeaker plays now.
    pub(super) fn feed(&mut self, pcm: &[u8], model_level: Option<f32>, heard: &mut Vec<Heard>) {
        let (mut samples, _) = pcm.as_chunks::<SAMPLE_BYTES>();
        // By the window: silence goes up all day, and one sample at a time costs five times as much.
        while !samples.is_empty() {
            let missing = (self.window_samples - self.samples) as usize;
            let (now, later) = samples.split_at(missing.min(samples.len()));
            samples = later;
            self.kept.extend_from_slice(now.as_flattened());
            let squares = now.iter().map(|sample| u64::from(i16::from_le_bytes(*sample).unsigned_abs()).pow(2));
            self.sum_of_squares += squares.sum::<u64>();
            #[allow(clippy::cast_possible_truncation)] // at most a window, 480 samples
            let taken = now.len() as u32;
            self.samples += taken;
            if self.samples == self.window_samples {
                #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // at most 480 * 2^30 and 32,768
                let level = (self.sum_of_squares as f64 / f64::from(self.samples)).sqrt() as f32;
                self.sum_of_squares = 0;
                self.samples = 0;
                self.window(level, model_level, heard);
            }
        }
    }

    fn window(&mut self, level: f32, model_level: Option<f32>, heard: &mut Vec<Heard>) {
        self.windows += 1;
        let bar = self.bar(model_level);
        self.learn_floor(level);
        match &mut self.speech {
            None => {
                if level < bar {
                    self.onset = self.onset.saturating_sub(1);
                } else {
                    if self.onset == 0 {
                        self.onset_since = self.windows - 1;
                    }
                    self.onset += 2;
                }
                let needed = if model_level.is_some() { ONSET_AGAINST_MODEL } else { ONSET };
                if self.onset >= needed {
                    let began = self.onset_since.max(self.windows.saturating_sub(LONGEST_ONSET_MS / WINDOW_MS));
                    self.trim_pre_roll((self.windows - began) * WINDOW_MS + PRE_ROLL_MS);
                    self.speech =
                        Some(Utterance { last_voiced_window: self.windows, last_voiced_kept: self.kept.len() });
                    heard.push(Heard::Began { offset_ms: began * WINDOW_MS });
                    self.onset = 0;
                } else if self.kept.len() > self.bytes_in(2 * (LONGEST_ONSET_MS + PRE_ROLL_MS)) {
                    // Moving the tail at each window would copy it fifty times a second.
                    self.trim_pre_roll(LONGEST_ONSET_MS + PRE_ROLL_MS);
                }
            }
            Some(utterance) => {
                if level >= bar * KEEP {
                    utterance.last_voiced_window = self.windows;
                    utterance.last_voiced_kept = self.kept.len();
                }
                let silent = self.windows - utterance.last_voiced_window;
                if silent >= self.pause_windows || self.kept.len() >= self.bytes_in(LONGEST_UTTERANCE_MS) {
                    self.end_speech(heard);
                }
            }
        }
    }

    fn end_speech(&mut self, heard: &mut Vec<Heard>) {
        let Some(utterance) = self.speech.take() else { return };
        let mut pcm = std::mem::take(&mut self.kept);
        pcm.truncate(utterance.last_voiced_kept + self.bytes_in(POST_ROLL_MS));
        heard.push(Heard::Ended {
            offset_ms: utterance.last_voiced_window * WINDOW_MS,
            detected_ms: self.windows * WINDOW_MS,
            pcm,
        });
    }

    fn bar(&self, model_level: Option<f32>) -> f32 {
        let floor = self.floor.iter().copied().fold(f32::MAX, f32::min);
        let quiet_room = (floor * ABOVE_FLOOR).max(LOWEST_BAR);
        quiet_room.max(model_level.unwrap_or_default() * AGAINST_MODEL)
    }

    fn learn_floor(&mut self, level: f32) {
        let (quietest, windows) = &mut self.bucket;
        *quietest = quietest.min(level);
        *windows += 1;
        if *windows == WINDOWS_PER_BUCKET {
            self.floor.pop_front();
            self.floor.push_back(*quietest);
            self.bucket = (f32::MAX, 0);
        }
    }

    fn trim_pre_roll(&mut self, ms: u64) {
        let bytes = self.bytes_in(ms);
        self.kept.drain(..self.kept.len().saturating_sub(bytes));
    }

    fn bytes_in(&self, ms: u64) -> usize {
        usize::try_from(u64::from(self.rate_hz) * ms / 1_000).unwrap_or(usize::MAX).saturating_mul(SAMPLE_BYTES)
    }
}

#[cfg(test)]
mod tests;
