//! What a prompt may ask for: audio formats and voices (reference §1.2, §1.4, §3).

use super::Refusal;
use crate::emulator::input::{AudioFormat, PromptStart};

/// Reference §3, with the one that only v1 has (`greta`).
const VOICES: [&str; 17] = [
    "tiffany", "matthew", "amy", "olivia", "kiara", "arjun", "ambre", "florian", "beatrice", "lorenzo", "tina",
    "lennart", "lupe", "carlos", "carolina", "leo", "greta",
];

/// Rate and voice of the model's audio.
pub(super) fn output(start: &PromptStart<'_>) -> Result<(u32, String), Refusal> {
    let Some(output) = &start.audio_output_configuration else {
        return Err(Refusal::invalid("promptStart without audioOutputConfiguration"));
    };
    check_format("audioOutputConfiguration", output)?;
    let voice = output.voice_id.as_deref().unwrap_or_default();
    if !VOICES.contains(&voice) {
        return Err(Refusal::said("Received invalid voiceId"));
    }
    Ok((output.sample_rate_hertz, voice.to_owned()))
}

pub(super) fn check_format(member: &str, format: &AudioFormat<'_>) -> Result<(), Refusal> {
    let wrong = if !matches!(format.sample_rate_hertz, 8_000 | 16_000 | 24_000) {
        "sampleRateHertz is not 8000, 16000 or 24000"
    } else if format.sample_size_bits.is_some_and(|bits| bits != 16) {
        "sampleSizeBits is not 16"
    } else if format.channel_count.is_some_and(|channels| channels != 1) {
        "channelCount is not 1"
    } else if format.media_type.as_ref().is_some_and(|media| !media.eq_ignore_ascii_case("audio/lpcm")) {
        "mediaType is not audio/lpcm"
    } else if format.encoding.as_ref().is_some_and(|encoding| !encoding.eq_ignore_ascii_case("base64")) {
        "encoding is not base64"
    } else {
        return Ok(());
    };
    Err(Refusal::invalid(format_args!("{member}: {wrong}")))
}
