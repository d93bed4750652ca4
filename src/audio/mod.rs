//! PCM16 arithmetic shared by both sides of the wire: lengths, levels, tones, WAV, other rates.

mod resample;

pub use resample::resample;

/// Bytes in one sample of PCM16 mono.
pub const SAMPLE_BYTES: usize = 2;

/// Whole milliseconds that `bytes` of PCM16 mono last at `rate_hz`, rounded up.
pub fn duration_ms(bytes: usize, rate_hz: u32) -> u64 {
    let samples = (bytes / SAMPLE_BYTES) as u64;
    (samples * 1_000).div_ceil(u64::from(rate_hz))
}

#[cfg(test)]
mod tests;
