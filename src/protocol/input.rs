//! Events we send. One value is one event-stream chunk (protocol reference §1).

use std::sync::Arc;

use bytes::Bytes;

use super::{EndpointingSensitivity, Role, SampleRate, ToolChoice, ToolSpec};

/// Names are shared, not copied: a conversation sends thirty audio events a second under the same two.
pub type Name = Arc<str>;

#[derive(Debug, Clone, PartialEq)]
pub enum InputEvent {
    SessionStart {
        max_tokens: Option<u32>,
        top_p: Option<f64>,
        temperature: Option<f64>,
        sensitivity: Option<EndpointingSensitivity>,
    },
    PromptStart {
        prompt: Name,
        voice: String,
        output_rate: SampleRate,
        tools: Vec<ToolSpec>,
        tool_choice: ToolChoice,
    },
    ContentStart {
        prompt: Name,
        content: Name,
        kind: InputContent,
    },
    TextInput {
        prompt: Name,
        content: Name,
        text: String,
    },
    AudioInput {
        prompt: Name,
        content: Name,
        pcm: Bytes,
    },
    ToolResult {
        prompt: Name,
        content: Name,
        result: String,
    },
    ContentEnd {
        prompt: Name,
        content: Name,
    },
    PromptEnd {
        prompt: Name,
    },
    SessionEnd,
}

/// What a `contentStart` opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputContent {
    Text { role: Role, interactive: bool },
    Audio { rate: SampleRate },
    ToolResult { tool_use_id: String },
}
