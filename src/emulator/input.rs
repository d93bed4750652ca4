//! The client's events as the service reads them (reference §1): unknown members are ignored, text is borrowed.
//!
//! Audio arrives thirty times a second on every stream, so nothing here builds a tree of values.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

/// What the service answers to JSON it cannot read, a tool's schema that is an object included (reference §5.2).
pub(super) const UNPARSABLE: &str = "Unable to parse input chunk. Please check input format contains correct format.";

#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Event<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Event<'a> {
    // First, since it is nearly every event.
    #[serde(borrow)]
    AudioInput(Content<'a>),
    #[serde(borrow)]
    TextInput(Content<'a>),
    #[serde(borrow)]
    ToolResult(Content<'a>),
    #[serde(borrow)]
    ContentStart(ContentStart<'a>),
    #[serde(borrow)]
    ContentEnd(ContentEnd<'a>),
    #[serde(borrow)]
    SessionStart(SessionStart<'a>),
    #[serde(borrow)]
    PromptStart(PromptStart<'a>),
    #[serde(borrow)]
    PromptEnd(PromptEnd<'a>),
    SessionEnd(IgnoredAny),
    /// Sent by old Strands code after the end; has no meaning.
    ConnectionEnd(IgnoredAny),
}

impl<'a> Event<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Envelope<'a>>(payload).map(|envelope| envelope.event)
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::AudioInput(_) => "audioInput",
            Self::TextInput(_) => "textInput",
            Self::ToolResult(_) => "toolResult",
            Self::ContentStart(_) => "contentStart",
            Self::ContentEnd(_) => "contentEnd",
            Self::SessionStart(_) => "sessionStart",
            Self::PromptStart(_) => "promptStart",
            Self::PromptEnd(_) => "promptEnd",
            Self::SessionEnd(_) => "sessionEnd",
            Self::ConnectionEnd(_) => "connectionEnd",
        }
    }
}

/// audioInput, textInput and toolResult have one shape.
#[derive(Debug, Deserialize)]
#[allow(clippy::struct_field_names)] // the service's names
#[serde(rename_all = "camelCase")]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) prompt_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) content_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) content: Cow<'a, str>,
    /// Only an AWS sample has it here instead of on contentStart (reference §1.3).
    pub(super) role: Option<Role>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentEnd<'a> {
    #[serde(borrow)]
    pub(super) prompt_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) content_name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptEnd<'a> {
    #[serde(borrow)]
    pub(super) prompt_name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentStart<'a> {
    #[serde(borrow)]
    pub(super) prompt_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) content_name: Cow<'a, str>,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) interactive: bool,
    pub(super) role: Option<Role>,
    #[serde(borrow)]
    pub(super) audio_input_configuration: Option<AudioFormat<'a>>,
    #[serde(borrow)]
    pub(super) tool_result_input_configuration: Option<ToolResultConfiguration<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    Text,
    Audio,
    Tool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Role {
    System,
    SystemSpeech,
    User,
    Assistant,
    Tool,
}

/// audioInputConfiguration and audioOutputConfiguration. What is left out has only one legal value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AudioFormat<'a> {
    pub(super) sample_rate_hertz: u32,
    pub(super) sample_size_bits: Option<u32>,
    pub(super) channel_count: Option<u32>,
    #[serde(borrow)]
    pub(super) media_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) encoding: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) voice_id: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolResultConfiguration<'a> {
    #[serde(borrow)]
    pub(super) tool_use_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) text_input_configuration: Option<MediaType<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MediaType<'a> {
    #[serde(borrow)]
    pub(super) media_type: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionStart<'a> {
    pub(super) inference_configuration: Option<Inference>,
    #[serde(borrow)]
    pub(super) turn_detection_configuration: Option<TurnDetection<'a>>,
    /// Belongs into `turnDetectionConfiguration`; here it is refused (reference §1.1).
    pub(super) endpointing_sensitivity: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inference {
    pub(super) max_tokens: Option<u32>,
    pub(super) top_p: Option<f64>,
    pub(super) temperature: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TurnDetection<'a> {
    #[serde(borrow)]
    pub(super) endpointing_sensitivity: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptStart<'a> {
    #[serde(borrow)]
    pub(super) prompt_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) audio_output_configuration: Option<AudioFormat<'a>>,
    #[serde(borrow)]
    pub(super) tool_use_output_configuration: Option<MediaType<'a>>,
    #[serde(borrow)]
    pub(super) tool_configuration: Option<ToolConfiguration<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfiguration<'a> {
    #[serde(borrow, default)]
    pub(super) tools: Vec<Tool<'a>>,
    #[serde(borrow)]
    pub(super) tool_choice: Option<ToolChoice<'a>>,
}

/// One member and no other; there is no `none`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ToolChoice<'a> {
    Auto(Nothing),
    Any(Nothing),
    #[serde(borrow)]
    Tool(ChosenTool<'a>),
}

/// An empty object.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
pub(super) struct ChosenTool<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tool<'a> {
    #[serde(borrow)]
    pub(super) tool_spec: ToolSpec<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolSpec<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    /// For its type: what it says is the model's business.
    #[serde(borrow, rename = "description")]
    pub(super) _description: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) input_schema: InputSchema<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct InputSchema<'a> {
    /// JSON Schema as a string; an object does not parse, at the service as here.
    #[serde(borrow)]
    pub(super) json: Cow<'a, str>,
}

#[cfg(test)]
mod tests;
