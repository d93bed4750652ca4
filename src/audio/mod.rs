//! PCM16 in any shape, for both sides of the wire: lengths, levels, other rates, other sample formats, G.711.

mod g711;
mod kernel;
mod level;
mod resample;
mod shape;

pub use g711::Law;
pub use level::Level;
pub use resample::{Resampler, resample};
pub use shape::Form;

/// Bytes in one sample of PCM16 mono.
pub const SAMPLE_BYTES: usize = 2;

/// Whole milliseconds that `bytes` of PCM16 mono last at `rate_hz`, rounded up.
pub fn duration_ms(bytes: usize, rate_hz: u32) -> u64 {
    let samples = (bytes / SAMPLE_BYTES) as u64;
    (samples * 1_000).div_ceil(u64::from(rate_hz))
}

/// The samples in PCM16LE; half a sample at the end is left out.
pub fn samples(pcm: &[u8]) -> impl Iterator<Item = i16> + '_ {
    pcm.as_chunks::<SAMPLE_BYTES>().0.iter().map(|sample| i16::from_le_bytes(*sample))
}

/// PCM16LE of `samples`.
pub fn bytes(samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
    samples.into_iter().flat_map(i16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests;
