//! Base64 with the instructions of the processor at hand: five times as fast, and most of the work on an audio event.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod engine {
    use std::sync::LazyLock;

    use base64::engine::{Simd, general_purpose::PAD_INDIFFERENT};

    /// The service pads; an encoder that does not is understood as well.
    pub(super) static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD_INDIFFERENT));
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod engine {
    use base64::{
        alphabet,
        engine::{GeneralPurpose, general_purpose::PAD_INDIFFERENT},
    };

    pub(super) static ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PAD_INDIFFERENT);
}

use base64::{DecodeError, Engine as _};

pub(super) fn push(text: &mut String, bytes: &[u8]) {
    engine::ENGINE.encode_string(bytes, text);
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    engine::ENGINE.decode(text)
}
