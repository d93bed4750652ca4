//! What one stream is opened with.

/// Bytes in one sample: 16 bits, mono, both ways (D-in).
pub const SAMPLE_BYTES: usize = 2;

/// PCM rates the service takes and gives (D-in: 8000 | 16000 | 24000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleRate {
    Hz8000,
    Hz16000,
    Hz24000,
}

impl SampleRate {
    pub fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            _ => None,
        }
    }

    pub fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointingSensitivity {
    High,
    Medium,
    Low,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    System,
    SystemSpeech,
    User,
    Assistant,
    Tool,
}

/// One message of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

/// One tool the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments, as text: the service takes it as a string within JSON.
    pub schema: String,
}

/// Whether the model must call a tool. There is no "none": leave the tools out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    #[default]
    Auto,
    Any,
    Tool(String),
}

/// Everything `sessionStart`, `promptStart` and the SYSTEM block say.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    pub system: Option<String>,
    pub voice: String,
    pub input_rate: SampleRate,
    pub output_rate: SampleRate,
    pub sensitivity: Option<EndpointingSensitivity>,
    pub max_tokens: Option<u32>,
    pub top_p: Option<f64>,
    pub temperature: Option<f64>,
    pub tools: Vec<ToolSpec>,
    pub tool_choice: ToolChoice,
}

#[cfg(test)]
mod tests {
    use super::SampleRate;

    #[test]
    fn a_rate_is_one_of_three() {
        for hz in [8_000, 16_000, 24_000] {
            assert_eq!(SampleRate::from_hz(hz).map(SampleRate::hz), Some(hz));
        }
        for hz in [0, 1, 11_025, 44_100, 48_000] {
            assert_eq!(SampleRate::from_hz(hz), None);
        }
    }
}
