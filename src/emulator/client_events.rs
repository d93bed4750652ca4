//! What a client sends, for the tests of the dialogue: the shapes of reference §1.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

pub(super) const PROMPT: &str = "p";

pub(super) fn event(name: &str, body: &Value) -> Vec<u8> {
    json!({"event": {name: body}}).to_string().into_bytes()
}

pub(super) fn session_start() -> Vec<u8> {
    event("sessionStart", &json!({"inferenceConfiguration": {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}}))
}

pub(super) fn prompt_start() -> Vec<u8> {
    prompt_start_with("matthew", 24_000, &json!([]))
}

pub(super) fn prompt_start_with(voice: &str, rate_hz: u32, tools: &Value) -> Vec<u8> {
    event(
        "promptStart",
        &json!({
            "promptName": PROMPT,
            "textOutputConfiguration": {"mediaType": "text/plain"},
            "audioOutputConfiguration": {"mediaType": "audio/lpcm", "sampleRateHertz": rate_hz, "sampleSizeBits": 16,
                "channelCount": 1, "voiceId": voice, "encoding": "base64", "audioType": "SPEECH"},
            "toolUseOutputConfiguration": {"mediaType": "application/json"},
            "toolConfiguration": {"tools": tools},
        }),
    )
}

pub(super) fn tool(name: &str) -> Value {
    json!({"toolSpec": {"name": name, "description": "", "inputSchema": {"json": r#"{"type":"object"}"#}}})
}

pub(super) fn text_start(name: &str, role: &str, interactive: bool) -> Vec<u8> {
    event(
        "contentStart",
        &json!({"promptName": PROMPT, "contentName": name, "type": "TEXT", "interactive": interactive, "role": role,
            "textInputConfiguration": {"mediaType": "text/plain"}}),
    )
}

pub(super) fn text_input(name: &str, text: &str) -> Vec<u8> {
    event("textInput", &json!({"promptName": PROMPT, "contentName": name, "content": text}))
}

pub(super) fn content_end(name: &str) -> Vec<u8> {
    event("contentEnd", &json!({"promptName": PROMPT, "contentName": name}))
}

pub(super) fn text_block(name: &str, role: &str, interactive: bool, text: &str) -> Vec<Vec<u8>> {
    vec![text_start(name, role, interactive), text_input(name, text), content_end(name)]
}

pub(super) fn audio_start(name: &str) -> Vec<u8> {
    audio_start_at(name, 16_000)
}

pub(super) fn audio_start_at(name: &str, rate_hz: u32) -> Vec<u8> {
    event(
        "contentStart",
        &json!({"promptName": PROMPT, "contentName": name, "type": "AUDIO", "interactive": true, "role": "USER",
            "audioInputConfiguration": {"mediaType": "audio/lpcm", "sampleRateHertz": rate_hz, "sampleSizeBits": 16,
                "channelCount": 1, "audioType": "SPEECH", "encoding": "base64"}}),
    )
}

pub(super) fn audio_input(name: &str, pcm: &[u8]) -> Vec<u8> {
    event("audioInput", &json!({"promptName": PROMPT, "contentName": name, "content": BASE64.encode(pcm)}))
}

pub(super) fn tool_result_start(name: &str, tool_use_id: &str) -> Vec<u8> {
    event(
        "contentStart",
        &json!({"promptName": PROMPT, "contentName": name, "interactive": false, "type": "TOOL", "role": "TOOL",
            "toolResultInputConfiguration": {"toolUseId": tool_use_id, "type": "TEXT",
                "textInputConfiguration": {"mediaType": "text/plain"}}}),
    )
}

pub(super) fn tool_result(name: &str, content: &str) -> Vec<u8> {
    event("toolResult", &json!({"promptName": PROMPT, "contentName": name, "content": content}))
}

pub(super) fn prompt_end() -> Vec<u8> {
    event("promptEnd", &json!({"promptName": PROMPT}))
}

pub(super) fn session_end() -> Vec<u8> {
    event("sessionEnd", &json!({}))
}
