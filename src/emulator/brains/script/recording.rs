//! Recordings that a script names.

use std::path::Path;

use super::Sound;

/// What is wrong with it, if it is no 16-bit mono WAV file.
pub(super) fn read(path: &Path) -> Result<Sound, String> {
    let reader = hound::WavReader::open(path).map_err(|error| error.to_string())?;
    let spec = reader.spec();
    if spec.channels != 1 || spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
        return Err("not 16-bit mono PCM".into());
    }
    if !(8_000..=48_000).contains(&spec.sample_rate) {
        return Err("its rate is outside 8,000 to 48,000 Hz".into());
    }
    let mut pcm = Vec::new();
    for sample in reader.into_samples::<i16>() {
        pcm.extend_from_slice(&sample.map_err(|error| error.to_string())?.to_le_bytes());
    }
    Ok(Sound::Recording { pcm: pcm.into(), rate_hz: spec.sample_rate })
}
