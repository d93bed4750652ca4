//! PCM16 arithmetic shared by both sides of the wire: lengths, levels, tones, WAV, other rates.

mod resample;

pub use resample::resample;

use std::time::Duration;

/// Bytes in one sample of PCM16 mono.
pub const SAMPLE_BYTES: usize = 2;

/// Whole milliseconds that `bytes` of PCM16 mono last at `rate_hz`, rounded up.
pub fn duration_ms(bytes: usize, rate_hz: u32) -> u64 {
    let samples = (bytes / SAMPLE_BYTES) as u64;
    (samples * 1_000).div_ceil(u64::from(rate_hz))
}

/// How long `bytes` of PCM16 mono last at `rate_hz`, to the nanosecond: sums of many pieces must not drift.
pub fn duration(bytes: usize, rate_hz: u32) -> Duration {
    let (samples, rate_hz) = ((bytes / SAMPLE_BYTES) as u64, u64::from(rate_hz.max(1)));
    Duration::from_secs(samples / rate_hz) + Duration::from_nanos(samples % rate_hz * 1_000_000_000 / rate_hz)
}

#[cfg(test)]
mod tests;
