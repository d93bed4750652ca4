//! The low-pass behind the resampler: rubato's sinc tables, read at exact fractions of an input sample.
//!
//! rubato's `Async` resampler is not used, for three reasons: it counts time in floating point, so that its phase depends
//! on how the input is cut; it works in blocks, whose length adds to the delay; and each one owns its table (half a
//! megabyte from 44.1 kHz), which hundreds of conversations at the same rate can share.

use std::sync::{Arc, Mutex};

use rubato::{
    WindowFunction,
    interpolation::interp_cubic,
    sinc_interpolator::{AnyInterpolator, SincInterpolator as _, make_interpolator},
};

/// The lookahead, which is the whole delay, stays below this part of a second: 10 ms.
const DELAYS_IN_A_SECOND: usize = 100;
/// Under a Blackman-Harris window of N taps the response has fallen by 100 dB this far past the cut-off (as a part of the
/// input's Nyquist frequency, times N), and stays 110 dB down from there. So the stop band begins at the lower of both
/// Nyquist frequencies. rubato's own choice (`f_cutoff: None`) leaves out that the input's rate sets the width: going
/// down from 48 to 16 kHz it would let the first 280 Hz past the new Nyquist frequency fold back.
const HALF_TRANSITION: f32 = 7.6;
const WINDOW: WindowFunction = WindowFunction::BlackmanHarris;
/// Tables above this many taps (640 kB) are replaced by a coarse one and cubic interpolation: every usual pair of rates
/// lies below (the largest, 44.1 and 22.05 kHz to 16 kHz and back, have 141,000), 44,056 Hz and the like above.
const MAX_EXACT_TAPS: usize = 160_000;
/// Points for each sample of the lower rate in the coarse table: a cubic between them errs by less than -130 dB.
const COARSE_POINTS: usize = 64;
/// A process meets few pairs of rates; a table of the largest kind takes some 10 ms to build.
const MAX_CACHED: usize = 8;

static CACHE: Mutex<Vec<Arc<Kernel>>> = Mutex::new(Vec::new());

/// The filter between two rates. Shared and never changed.
pub(super) struct Kernel {
    from_hz: u32,
    to_hz: u32,
    interpolator: AnyInterpolator<f32>,
    /// Output samples for every `down` input samples, in lowest terms.
    up: usize,
    down: usize,
    /// The table has a row for each place that an output sample can fall on.
    exact: bool,
}

/// Where an output sample falls: `phase` parts of `up` behind the input sample `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: usize,
    pub(super) phase: usize,
}

impl Kernel {
    /// From the cache where it can be had. Both rates must be in the resampler's range.
    pub(super) fn between(from_hz: u32, to_hz: u32) -> Arc<Self> {
        let same = |kernel: &Arc<Self>| kernel.from_hz == from_hz && kernel.to_hz == to_hz;
        // Never waiting: in the child of a fork the lock may be held by a thread that is not there any more.
        if let Some(known) = CACHE.try_lock().ok().and_then(|cache| cache.iter().find(|kernel| same(kernel)).cloned()) {
            return known;
        }
        let built = Arc::new(Self::build(from_hz, to_hz));
        if let Ok(mut cache) = CACHE.try_lock()
            && !cache.iter().any(same)
        {
            if cache.len() == MAX_CACHED {
                cache.remove(0);
            }
            cache.push(built.clone());
        }
        built
    }

    fn build(from_hz: u32, to_hz: u32) -> Self {
        let divisor = gcd(from_hz, to_hz);
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        // The most taps whose half, with the margin of `lookahead`, fits the delay; rubato wants a multiple of 8.
        let taps = ((from_hz as usize / DELAYS_IN_A_SECOND).saturating_sub(2) * 2 / 8 * 8).max(8);
        #[expect(clippy::cast_precision_loss, reason = "rates and counts of taps, far below 2^24")]
        let cutoff = (to_hz as f32 / from_hz as f32).min(1.0) - HALF_TRANSITION / taps as f32;
        let exact = up * taps <= MAX_EXACT_TAPS;
        let rows = if exact { up } else { (COARSE_POINTS * up).div_ceil(down).min(COARSE_POINTS) };
        // The cut-off is relative to the input's Nyquist frequency already, hence the ratio of 1.
        let interpolator = make_interpolator(taps, 1.0, Some(cutoff), rows, WINDOW);
        Self { from_hz, to_hz, interpolator, up, down, exact }
    }

    /// The first place that has a whole lookbehind before it.
    pub(super) fn first(&self) -> Place {
        Place { base: self.lookbehind(), phase: 0 }
    }

    pub(super) fn next(&self, place: Place) -> Place {
        let phase = place.phase + self.down;
        Place { base: place.base + phase / self.up, phase: phase % self.up }
    }

    /// Input samples that must stand before a base.
    pub(super) fn lookbehind(&self) -> usize {
        self.interpolator.nbr_points() / 2 + 1
    }

    /// Input samples that must stand behind a base: half the taps, one for rubato's bounds, one for the cubic.
    pub(super) fn lookahead(&self) -> usize {
        self.interpolator.nbr_points() / 2 + if self.exact { 1 } else { 2 }
    }

    /// The output at `place` of `wave`, which holds its lookbehind and lookahead.
    pub(super) fn value(&self, wave: &[f32], place: Place) -> f32 {
        if self.exact {
            return self.at(wave, place.base * self.up + place.phase);
        }
        let rows = self.interpolator.nbr_sincs();
        let fine = place.phase * rows;
        let row = place.base * rows + fine / self.up;
        #[expect(clippy::cast_precision_loss, reason = "both below 2^24")]
        let fraction = (fine % self.up) as f32 / self.up as f32;
        interp_cubic(
            fraction,
            &[self.at(wave, row - 1), self.at(wave, row), self.at(wave, row + 1), self.at(wave, row + 2)],
        )
    }

    /// The sinc centred `row` rows behind the start of `wave`. In rubato's table row 0 is one row behind a sample.
    fn at(&self, wave: &[f32], row: usize) -> f32 {
        let rows = self.interpolator.nbr_sincs();
        let index = (row - 1) / rows + 1 - self.interpolator.nbr_points() / 2;
        self.interpolator.get_sinc_interpolated(wave, index, (row - 1) % rows)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}
