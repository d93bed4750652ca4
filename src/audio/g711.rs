//! G.711, the two 8-bit codings of telephone lines.

use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// North America and Japan; PCMU in SIP and WebRTC.
    Mu,
    /// Elsewhere; PCMA.
    A,
}

impl Law {
    pub fn decode(self, code: u8) -> i16 {
        match self {
            Self::Mu => decode_ulaw(code),
            Self::A => decode_alaw(code),
        }
    }

    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_ulaw(sample),
            Self::A => encode_alaw(sample),
        }
    }
}

#[cfg(test)]
mod tests;
