//! How loud a piece of audio is.

/// Parts of full scale, 0 to 1. A full-scale sine has an RMS of 0.707.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Level {
    pub rms: f64,
    pub peak: f64,
}

/// The magnitude of the lowest sample: nothing is louder.
const FULL_SCALE: f64 = 32_768.0;

impl Level {
    /// Silence for no samples.
    pub fn of(samples: impl Iterator<Item = i16>) -> Self {
        let (mut squares, mut peak, mut count) = (0.0, 0.0_f64, 0_u64);
        for sample in samples {
            let value = f64::from(sample) / FULL_SCALE;
            squares += value * value;
            peak = peak.max(value.abs());
            count += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
        let rms = (squares / count.max(1) as f64).sqrt();
        Self { rms, peak }
    }
}

#[cfg(test)]
mod tests;
