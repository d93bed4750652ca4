//! Events the service sends (protocol reference §2). Unknown ones are kept whole.

use bytes::Bytes;

use super::Role;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GenerationStage {
    Speculative,
    Final,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    PartialTurn,
    EndTurn,
    Interrupted,
    ToolUse,
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputContent {
    Text { role: Role, stage: Option<GenerationStage> },
    Audio { rate_hz: Option<u32> },
    Tool,
    Other(String),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    pub speech_in: u64,
    pub text_in: u64,
    pub speech_out: u64,
    pub text_out: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageDetails {
    pub delta: TokenCounts,
    /// Cumulative for the stream, not the conversation.
    pub total: TokenCounts,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OutputEvent {
    CompletionStart {
        completion_id: String,
    },
    ContentStart {
        content_id: String,
        content: OutputContent,
    },
    TextOutput {
        content_id: String,
        role: Option<Role>,
        text: String,
    },
    AudioOutput {
        content_id: String,
        pcm: Bytes,
    },
    ToolUse {
        content_id: String,
        tool_use_id: String,
        name: String,
        arguments: String,
    },
    ContentEnd {
        content_id: String,
        stop_reason: StopReason,
    },
    CompletionEnd {
        stop_reason: StopReason,
    },
    Usage(UsageDetails),
    UserSpeechStart {
        offset_ms: Option<u64>,
    },
    UserSpeechEnd {
        offset_ms: Option<u64>,
        detection_offset_ms: Option<u64>,
    },
    /// `name` is the event's key; `raw` its whole JSON.
    Unknown {
        name: String,
        raw: String,
    },
}
