//! Events the service sends (protocol reference §2). Unknown ones are kept whole.
//!
//! An id that the service left out is the empty string.

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
    /// `role` is None where the service named none or one we do not know.
    Text {
        role: Option<Role>,
        stage: Option<GenerationStage>,
    },
    Audio {
        rate_hz: Option<u32>,
    },
    Tool,
    Other(String),
}

/// What a `contentEnd` says it ends; the only word on it when the block was never announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentKind {
    Text,
    Audio,
    Tool,
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
        /// JSON, however many times the service had wrapped it in a string.
        arguments: String,
    },
    ContentEnd {
        content_id: String,
        kind: Option<ContentKind>,
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

/// Whether an ASSISTANT text is not speech but the service's word that the user barged in: `{ "interrupted" : true }`.
/// Parsed, since builds differ in spacing and in a trailing newline.
pub fn is_interruption_marker(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Marker {
        interrupted: bool,
    }
    // Nearly all texts are speech; only what could be an object is worth a parser.
    text.trim_start().starts_with('{') && serde_json::from_str::<Marker>(text).is_ok_and(|marker| marker.interrupted)
}
