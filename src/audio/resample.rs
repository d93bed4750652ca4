//! PCM16 from one rate to another as it comes, in pieces of any size.

use std::sync::Arc;

use super::kernel::{Kernel, Place};

/// What [`Resampler`] takes on either side: every rate of a sound card or a recording.
const RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=384_000;
/// Input is worked off in blocks of so many samples, and the past is dropped as often.
const BLOCK: usize = 2_048;

/// Keeps its phase from piece to piece: however the input is cut, the output is the same.
///
/// The delay is that of a linear-phase filter, less than 10 ms (`kernel.rs`); [`Self::flush`] brings what it holds
/// back. The output begins with the sample that stands where the input begins, so nothing is shifted in time.
pub struct Resampler {
    /// None between equal rates: samples pass untouched and at once.
    filter: Option<Filter>,
}

struct Filter {
    kernel: Arc<Kernel>,
    /// The lookbehind of `place` and everything after it; silence before the first sample.
    wave: Vec<f32>,
    /// Where the next output sample falls in `wave`.
    place: Place,
}

impl Resampler {
    /// None for a rate outside 1,000 to 384,000 Hz.
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        if !RATES_HZ.contains(&from_hz) || !RATES_HZ.contains(&to_hz) {
            return None;
        }
        let filter = (from_hz != to_hz).then(|| Filter::new(Kernel::between(from_hz, to_hz)));
        Some(Self { filter })
    }

    /// Takes all of `pcm` and appends to `out` what can be said so far.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        match &mut self.filter {
            Some(filter) => {
                filter.push(pcm.iter().map(|sample| f32::from(*sample)), &mut |value| out.push(pcm16(value)));
            }
            None => out.extend_from_slice(pcm),
        }
    }

    /// Ends the input: appends the rest, so that `input * to / from` samples, rounded up, came out since the last flush.
    /// The next push begins anew.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        if let Some(filter) = &mut self.filter {
            filter.flush(&mut |value| out.push(pcm16(value)));
        }
    }

    /// Forgets the input so far, as after a flush that nobody hears.
    pub fn reset(&mut self) {
        if let Some(filter) = &mut self.filter {
            filter.reset();
        }
    }
}

impl Filter {
    fn new(kernel: Arc<Kernel>) -> Self {
        let mut filter = Self { place: kernel.first(), kernel, wave: Vec::new() };
        filter.reset();
        filter
    }

    fn reset(&mut self) {
        self.place = self.kernel.first();
        self.wave.clear();
        self.wave.resize(self.kernel.lookbehind(), 0.0);
    }

    fn push(&mut self, input: impl Iterator<Item = f32>, out: &mut impl FnMut(f32)) {
        let mut input = input.peekable();
        while input.peek().is_some() {
            self.wave.extend(input.by_ref().take(BLOCK));
            self.say_before(self.wave.len().saturating_sub(self.kernel.lookahead()), out);
            // Seldom, since each time moves the lookbehind: pieces of one sample must not cost a thousand moves each.
            let past = self.place.base - self.kernel.lookbehind();
            if past >= BLOCK {
                self.wave.drain(..past);
                self.place.base -= past;
            }
        }
    }

    fn flush(&mut self, out: &mut impl FnMut(f32)) {
        let end = self.wave.len();
        self.wave.resize(end + self.kernel.lookahead(), 0.0);
        self.say_before(end, out);
        self.reset();
    }

    /// All that falls before the sample `end`, whose lookahead is in `wave`.
    fn say_before(&mut self, end: usize, out: &mut impl FnMut(f32)) {
        while self.place.base < end {
            out(self.kernel.value(&self.wave, self.place));
            self.place = self.kernel.next(self.place);
        }
    }
}

/// A whole recording: `samples` at `from_hz` as samples at `to_hz`, of the same duration. Nothing for a rate that
/// [`Resampler::new`] does not take.
pub fn resample(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    let mut out = Vec::new();
    if let Some(mut resampler) = Resampler::new(from_hz, to_hz) {
        resampler.push(samples, &mut out);
        resampler.flush(&mut out);
    }
    out
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is what a loud peak needs")]
fn pcm16(value: f32) -> i16 {
    value.round() as i16
}

#[cfg(test)]
mod tests;
