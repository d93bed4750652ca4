//! PCM16 from one rate to another, a whole recording at a time: a polyphase low-pass (sinc under a Kaiser window).

use std::f64::consts::PI;

/// Zero crossings of the sinc on either side. With [`KAISER_BETA`] the stop band lies 80 dB down and the pass band
/// reaches 90 % of the lower rate's Nyquist frequency.
const ZERO_CROSSINGS: f64 = 32.0;
const KAISER_BETA: f64 = 8.0;
/// Cut-off as a part of the lower Nyquist frequency: the transition band ends there, so that nothing folds back.
const ROLL_OFF: f64 = 0.92;

/// Samples at `from_hz` as samples at `to_hz`, of the same duration. A rate of 0 gives nothing.
pub fn resample(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == to_hz {
        return samples.to_vec();
    }
    let Some(filter) = Polyphase::new(from_hz, to_hz) else { return Vec::new() };
    (0..filter.output_len(samples.len())).map(|index| filter.sample(samples, index)).collect()
}

/// One row of taps for each fraction of an input sample that an output sample can fall on.
struct Polyphase {
    /// Output samples for every `step` input samples, in lowest terms.
    phases: usize,
    step: usize,
    taps: usize,
    rows: Vec<f32>,
}

impl Polyphase {
    fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        let divisor = gcd(from_hz, to_hz);
        if from_hz == 0 || to_hz == 0 {
            return None;
        }
        let (phases, step) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        // Going down, the sinc widens so that it cuts at the new, lower Nyquist frequency.
        let cutoff = ROLL_OFF * (f64::from(to_hz) / f64::from(from_hz)).min(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let half = (ZERO_CROSSINGS / cutoff).ceil() as usize;
        let taps = 2 * half;
        let mut rows = Vec::with_capacity(phases * taps);
        for phase in 0..phases {
            let fraction = ratio(phase, phases);
            let row: Vec<f64> = (0..taps)
                .map(|tap| {
                    let distance = ratio(tap, 1) - (ratio(half, 1) - 1.0) - fraction;
                    sinc(cutoff * distance) * kaiser(distance / ratio(half, 1))
                })
                .collect();
            let sum: f64 = row.iter().sum();
            #[expect(clippy::cast_possible_truncation, reason = "24 bits of mantissa serve 16 bits of sound")]
            rows.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        Some(Self { phases, step, taps, rows })
    }

    fn output_len(&self, input: usize) -> usize {
        (input * self.phases).div_ceil(self.step)
    }

    fn sample(&self, samples: &[i16], index: usize) -> i16 {
        let (base, phase) = (index * self.step / self.phases, index * self.step % self.phases);
        // The first tap's place; before the recording there is silence.
        let first = base + 1;
        let skipped = (self.taps / 2).saturating_sub(first);
        let from = (first + skipped).saturating_sub(self.taps / 2);
        let row = self.rows.get(phase * self.taps + skipped..(phase + 1) * self.taps).unwrap_or_default();
        let window = samples.get(from..).unwrap_or_default();
        let sum: f32 = row.iter().zip(window).map(|(tap, sample)| tap * f32::from(*sample)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is what a loud peak needs")]
        let sample = sum.round() as i16;
        sample
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[expect(clippy::cast_precision_loss, reason = "counts of taps and phases, far below 2^52")]
fn ratio(numerator: usize, denominator: usize) -> f64 {
    numerator as f64 / denominator as f64
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The Kaiser window at `x` in -1..1; 0 outside.
fn kaiser(x: f64) -> f64 {
    let inside = 1.0 - x * x;
    if inside <= 0.0 { 0.0 } else { bessel_i0(KAISER_BETA * inside.sqrt()) / bessel_i0(KAISER_BETA) }
}

/// The modified Bessel function of order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-12 * sum {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests;
