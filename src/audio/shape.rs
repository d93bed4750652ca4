//! Samples of other formats and several channels, as PCM16 mono.

use super::{SAMPLE_BYTES, bytes};

/// Formats of one sample, all little-endian: those of WAV files and of arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Unsigned, silence at 128.
    U8,
    I16,
    I24,
    I32,
    /// -1 to 1; what lies beyond is clipped, what is no number is silence.
    F32,
    F64,
}

/// Full scale of PCM16. A float of 1.0 lies one step above the loudest sample and is clipped to it; so floats made by
/// dividing PCM16 by 32,768, as most libraries do, come back bit for bit.
const FULL_SCALE: f64 = 32_768.0;

impl Form {
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => SAMPLE_BYTES,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Interleaved `channels` as PCM16LE mono, their mean where there are several. None where `data` is no whole number
    /// of frames or there is no channel.
    pub fn to_mono(self, data: &[u8], channels: usize) -> Option<Vec<u8>> {
        let frame = self.bytes().checked_mul(channels).filter(|frame| *frame > 0)?;
        if !data.len().is_multiple_of(frame) {
            return None;
        }
        if (self, channels) == (Self::I16, 1) {
            return Some(data.to_vec());
        }
        Some(match self {
            Self::U8 => mono::<1>(data, channels, |[byte]| (f64::from(byte) - 128.0) * 256.0),
            Self::I16 => mono(data, channels, |raw| f64::from(i16::from_le_bytes(raw))),
            Self::I24 => mono(data, channels, |[a, b, c]| f64::from(i32::from_le_bytes([0, a, b, c])) / 65_536.0),
            Self::I32 => mono(data, channels, |raw| f64::from(i32::from_le_bytes(raw)) / 65_536.0),
            Self::F32 => mono(data, channels, |raw| f64::from(f32::from_le_bytes(raw)) * FULL_SCALE),
            Self::F64 => mono(data, channels, |raw| f64::from_le_bytes(raw) * FULL_SCALE),
        })
    }
}

fn mono<const BYTES: usize>(data: &[u8], channels: usize, value: impl Fn([u8; BYTES]) -> f64) -> Vec<u8> {
    let samples = data.as_chunks::<BYTES>().0;
    #[expect(clippy::cast_precision_loss, reason = "a count of channels")]
    let share = 1.0 / channels as f64;
    bytes(samples.chunks_exact(channels).map(|frame| {
        let mean = frame.iter().map(|sample| value(*sample)).sum::<f64>() * share;
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and makes 0 of what is no number")]
        let sample = mean.round() as i16;
        sample
    }))
}

#[cfg(test)]
mod tests;
