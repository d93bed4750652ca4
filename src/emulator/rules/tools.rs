//! Tools: what a client may declare, and what it may send back (reference §1.2, §1.5).
//!
//! The shape of `toolSpec` and `toolChoice` is the parser's to judge (`input`): at the service, too, a schema that is an
//! object is no refusal but JSON that cannot be read.

use std::collections::HashSet;

use super::Refusal;
use crate::emulator::{
    input::{self, ContentStart, PromptStart, Role},
    settings::ToolChoice,
};

pub(super) const TOOL_RESPONSE: &str = "Tool Response parsing error";
/// Of Bedrock's `ToolSpecification`; the reference has no number of Nova Sonic's own.
const LONGEST_NAME: usize = 64;

/// The calls of one stream that wait for their results.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pending: HashSet<String>,
}

impl Tools {
    pub(super) fn called(&mut self, tool_use_id: &str) {
        self.pending.insert(tool_use_id.to_owned());
    }

    /// The `toolUseId` that a block is to answer.
    pub(super) fn result_for(&self, start: &ContentStart<'_>) -> Result<String, Refusal> {
        if start.role != Some(Role::Tool) {
            return Err(Refusal::because(TOOL_RESPONSE, "the role of a TOOL content is TOOL"));
        }
        let Some(configuration) = &start.tool_result_input_configuration else {
            return Err(Refusal::because(TOOL_RESPONSE, "no toolResultInputConfiguration"));
        };
        if configuration.kind.as_deref() != Some("TEXT") {
            return Err(Refusal::because(TOOL_RESPONSE, "toolResultInputConfiguration.type is not TEXT"));
        }
        // The service names the member; its exact sentence is not recorded.
        match configuration.text_input_configuration.as_ref().and_then(|inner| inner.media_type.as_deref()) {
            None => {
                return Err(Refusal::because(
                    TOOL_RESPONSE,
                    "contentType: textInputConfiguration.mediaType is missing",
                ));
            }
            Some("text/plain") => {}
            Some(_) => {
                return Err(Refusal::because(
                    TOOL_RESPONSE,
                    "contentType: textInputConfiguration.mediaType is not text/plain",
                ));
            }
        }
        if !self.pending.contains(configuration.tool_use_id.as_ref()) {
            return Err(unknown_call());
        }
        Ok(configuration.tool_use_id.clone().into_owned())
    }

    /// Its block has ended. Two blocks for one call may be open at once; the second to end is one too many.
    pub(super) fn answered(&mut self, tool_use_id: &str) -> Result<(), Refusal> {
        if self.pending.remove(tool_use_id) { Ok(()) } else { Err(unknown_call()) }
    }
}

fn unknown_call() -> Refusal {
    Refusal::invalid("no tool call with this toolUseId waits for a result")
}

pub(super) fn check_result(content: &str) -> Result<(), Refusal> {
    if is_json_object(content) {
        return Ok(());
    }
    Err(Refusal::because(TOOL_RESPONSE, "content is not a string that holds a JSON object"))
}

/// The names of a prompt's tools, and which of them the model must call.
pub(super) fn declared(start: &PromptStart<'_>) -> Result<(Vec<String>, ToolChoice), Refusal> {
    let mut names: Vec<String> = Vec::new();
    let Some(configuration) = &start.tool_configuration else { return Ok((names, ToolChoice::Auto)) };
    for tool in &configuration.tools {
        let name = tool.tool_spec.name.as_ref();
        if !is_name(name) {
            return Err(Refusal::invalid("toolSpec.name is not 1 to 64 letters, digits, underscores and hyphens"));
        }
        if names.iter().any(|other| other == name) {
            return Err(Refusal::invalid("two tools have the same toolSpec.name"));
        }
        // Strings pass the parser; what is in them must still be a schema.
        if !is_json_object(&tool.tool_spec.input_schema.json) {
            return Err(Refusal::invalid("inputSchema.json does not hold a JSON object"));
        }
        names.push(name.to_owned());
    }
    if !names.is_empty() {
        // It may be left out only without tools (reference §1.2).
        let output = start.tool_use_output_configuration.as_ref().and_then(|output| output.media_type.as_deref());
        if output != Some("application/json") {
            return Err(Refusal::invalid("tools without toolUseOutputConfiguration of mediaType application/json"));
        }
    }
    let choice = match &configuration.tool_choice {
        None | Some(input::ToolChoice::Auto(_)) => ToolChoice::Auto,
        Some(_) if names.is_empty() => return Err(Refusal::invalid("toolChoice without tools")),
        Some(input::ToolChoice::Any(_)) => ToolChoice::Any,
        Some(input::ToolChoice::Tool(chosen)) => {
            if !names.iter().any(|name| *name == chosen.name) {
                return Err(Refusal::invalid("toolChoice names a tool that is not declared"));
            }
            ToolChoice::Tool(chosen.name.clone().into_owned())
        }
    };
    Ok((names, choice))
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}
