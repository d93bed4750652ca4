//! Sounds the emulator makes itself: tones, placeholder speech, other rates, levels.

use std::f64::consts::TAU;

use bytes::Bytes;

use crate::audio::{self, Level, SAMPLE_BYTES, samples};

/// A fifth of full scale: plainly audible, never startling.
const TONE_PEAK: f64 = 6_500.0;
/// Rise and fall of each tone, so that it does not click.
const EDGE_MS: u32 = 15;
const WORD_GAP_MS: u32 = 70;
/// Longer texts fall silent there; a reply of two minutes proves as much as a longer one.
const MOST_WORDS: usize = 300;

/// PCM16LE mono of a sine.
pub(super) fn tone(frequency_hz: f64, duration_ms: u32, rate_hz: u32) -> Vec<u8> {
    let samples = samples_in(duration_ms, rate_hz);
    let edge = samples_in(EDGE_MS, rate_hz).min(samples / 2).max(1);
    let mut pcm = Vec::with_capacity(samples as usize * SAMPLE_BYTES);
    for n in 0..samples {
        let envelope = f64::from(n.min(samples - n).min(edge)) / f64::from(edge);
        let value = TONE_PEAK * envelope * (TAU * frequency_hz * f64::from(n) / f64::from(rate_hz)).sin();
        #[allow(clippy::cast_possible_truncation)] // within the peak
        pcm.extend_from_slice(&(value as i16).to_le_bytes());
    }
    pcm
}

/// Placeholder speech for a text without audio: a soft tone per word, as long as the word, at about speaking pace.
pub(super) fn murmur(text: &str, rate_hz: u32) -> Vec<u8> {
    let mut pcm = Vec::new();
    for (word, place) in text.split_whitespace().take(MOST_WORDS).zip(0_u32..) {
        let letters = u32::try_from(word.chars().count()).unwrap_or(u32::MAX).min(8);
        // Five pitches around a speaking voice; neighbours differ, so that words can be told apart.
        let frequency_hz = 180.0 + 30.0 * f64::from((place * 2 + letters) % 5);
        pcm.extend(tone(frequency_hz, 150 + 35 * letters, rate_hz));
        pcm.resize(pcm.len() + samples_in(WORD_GAP_MS, rate_hz) as usize * SAMPLE_BYTES, 0);
    }
    pcm
}

/// The same sound at another rate, bit-exact between equal ones.
pub(super) fn resample(pcm: &Bytes, from_hz: u32, to_hz: u32) -> Bytes {
    if from_hz == to_hz {
        return pcm.clone();
    }
    let given: Vec<i16> = samples(pcm).collect();
    audio::bytes(audio::resample(&given, from_hz, to_hz)).into()
}

/// RMS of the loudest 20 ms.
pub(super) fn loudest_window(pcm: &[u8], rate_hz: u32) -> f32 {
    let window = samples_in(20, rate_hz).max(1) as usize * SAMPLE_BYTES;
    pcm.chunks(window).map(rms).fold(0.0, f32::max)
}

/// In steps of 16 bits.
pub(super) fn rms(pcm: &[u8]) -> f32 {
    #[allow(clippy::cast_possible_truncation)] // a level, at most 32,768
    let level = (Level::of(samples(pcm)).rms * 32_768.0) as f32;
    level
}

fn samples_in(duration_ms: u32, rate_hz: u32) -> u32 {
    u32::try_from(u64::from(rate_hz) * u64::from(duration_ms) / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
