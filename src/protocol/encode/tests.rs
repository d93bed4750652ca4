use std::sync::Arc;

use ::base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parsed(event: &InputEvent) -> Value {
    let bytes = encode(event);
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)))
}

fn prompt() -> Arc<str> {
    "the-prompt".into()
}

fn content() -> Arc<str> {
    "the-content".into()
}

fn prompt_start(tools: Vec<ToolSpec>, tool_choice: ToolChoice) -> InputEvent {
    let output_rate = SampleRate::Hz24000;
    InputEvent::PromptStart { prompt: prompt(), voice: "tiffany".into(), output_rate, tools, tool_choice }
}

/// Every event, beside the form AWS documents for it.
#[test]
fn each_event_has_its_documented_form() {
    let cases = [
        (
            InputEvent::SessionStart {
                max_tokens: Some(1024),
                top_p: Some(0.9),
                temperature: Some(0.7),
                sensitivity: Some(EndpointingSensitivity::Medium),
            },
            json!({"sessionStart": {
                "inferenceConfiguration": {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7},
                "turnDetectionConfiguration": {"endpointingSensitivity": "MEDIUM"}}}),
        ),
        (
            InputEvent::SessionStart { max_tokens: None, top_p: None, temperature: Some(1.0), sensitivity: None },
            json!({"sessionStart": {"inferenceConfiguration": {"temperature": 1}}}),
        ),
        (
            InputEvent::SessionStart { max_tokens: None, top_p: None, temperature: None, sensitivity: None },
            json!({"sessionStart": {"inferenceConfiguration": {}}}),
        ),
        (
            prompt_start(Vec::new(), ToolChoice::Auto),
            json!({"promptStart": {
                "promptName": "the-prompt",
                "textOutputConfiguration": {"mediaType": "text/plain"},
                "audioOutputConfiguration": {
                    "mediaType": "audio/lpcm", "sampleRateHertz": 24000, "sampleSizeBits": 16, "channelCount": 1,
                    "voiceId": "tiffany", "encoding": "base64", "audioType": "SPEECH"}}}),
        ),
        (
            start(InputContent::Text { role: Role::System, interactive: false }),
            json!({"contentStart": {
                "promptName": "the-prompt", "contentName": "the-content", "type": "TEXT", "interactive": false,
                "role": "SYSTEM", "textInputConfiguration": {"mediaType": "text/plain"}}}),
        ),
        (
            start(InputContent::Text { role: Role::User, interactive: true }),
            json!({"contentStart": {
                "promptName": "the-prompt", "contentName": "the-content", "type": "TEXT", "interactive": true,
                "role": "USER", "textInputConfiguration": {"mediaType": "text/plain"}}}),
        ),
        (
            start(InputContent::Audio { rate: SampleRate::Hz8000 }),
            json!({"contentStart": {
                "promptName": "the-prompt", "contentName": "the-content", "type": "AUDIO", "interactive": true,
                "role": "USER", "audioInputConfiguration": {
                    "mediaType": "audio/lpcm", "sampleRateHertz": 8000, "sampleSizeBits": 16, "channelCount": 1,
                    "audioType": "SPEECH", "encoding": "base64"}}}),
        ),
        (
            start(InputContent::ToolResult { tool_use_id: "use-1".into() }),
            json!({"contentStart": {
                "promptName": "the-prompt", "contentName": "the-content", "type": "TOOL", "interactive": false,
                "role": "TOOL", "toolResultInputConfiguration": {
                    "toolUseId": "use-1", "type": "TEXT", "textInputConfiguration": {"mediaType": "text/plain"}}}}),
        ),
        (
            InputEvent::TextInput { prompt: prompt(), content: content(), text: "Go \"on\".\n".into() },
            json!({"textInput": {
                "promptName": "the-prompt", "contentName": "the-content", "content": "Go \"on\".\n"}}),
        ),
        (
            InputEvent::AudioInput { prompt: prompt(), content: content(), pcm: Bytes::from_static(&[1, 2, 255, 0]) },
            json!({"audioInput": {
                "promptName": "the-prompt", "contentName": "the-content", "content": "AQL/AA=="}}),
        ),
        (
            InputEvent::ToolResult { prompt: prompt(), content: content(), result: r#"{"temp":21}"#.into() },
            json!({"toolResult": {
                "promptName": "the-prompt", "contentName": "the-content", "content": "{\"temp\":21}"}}),
        ),
        (
            InputEvent::ContentEnd { prompt: prompt(), content: content() },
            json!({"contentEnd": {"promptName": "the-prompt", "contentName": "the-content"}}),
        ),
        (InputEvent::PromptEnd { prompt: prompt() }, json!({"promptEnd": {"promptName": "the-prompt"}})),
        (InputEvent::SessionEnd, json!({"sessionEnd": {}})),
    ];
    for (event, body) in cases {
        let mut sent = parsed(&event);
        // JSON has one kind of number; serde_json has two.
        if let Some(temperature) = sent.pointer_mut("/event/sessionStart/inferenceConfiguration/temperature") {
            *temperature = if *temperature == json!(1.0) { json!(1) } else { temperature.take() };
        }
        assert_eq!(sent, json!({"event": body}), "{event:?}");
    }
}

fn start(kind: InputContent) -> InputEvent {
    InputEvent::ContentStart { prompt: prompt(), content: content(), kind }
}

#[test]
fn audio_is_written_without_growing_the_buffer() {
    let name: Arc<str> = "9b2f4f0e-8f0e-4b57-9a5e-0d8f8b1e2c3d".into();
    for bytes in [0, 2, 640, 1_024, 4_800] {
        let json = encode(&InputEvent::AudioInput {
            prompt: name.clone(),
            content: name.clone(),
            pcm: Bytes::from(vec![7; bytes]),
        });
        let reserved = ENVELOPE_BYTES + bytes.div_ceil(3) * 4;
        assert!(json.len() <= reserved, "{} bytes, {reserved} reserved", json.len());
        assert!(json.capacity() <= reserved, "grown to {}", json.capacity());
    }
}

#[test]
fn every_ascii_character_survives() {
    let all: String = ('\0'..='\x7f').collect();
    let event = InputEvent::TextInput { prompt: prompt(), content: content(), text: all.clone() };
    assert_eq!(parsed(&event)["event"]["textInput"]["content"], json!(all));
}

#[test]
fn every_character_below_the_blank_is_escaped_and_counted() {
    for byte in 0..0x80_u8 {
        let text = char::from(byte).to_string();
        let event = InputEvent::TextInput { prompt: prompt(), content: content(), text: text.clone() };
        let expected = format!(r#""content":{}"#, escaped(&text));
        assert!(String::from_utf8(encode(&event)).unwrap().contains(&expected), "{expected}");
        assert_eq!(json_string_bytes(&text), escaped(&text).len(), "{byte:#x}");
    }
}

/// As `encode` writes it: the five short escapes of control characters that JSON has, less the two nobody uses.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
        .replace('\r', r"\r")
        .replace('\t', r"\t")
        .chars()
        .fold(
            String::from('"'),
            |json, c| if c < ' ' { format!("{json}\\u{:04x}", u32::from(c)) } else { format!("{json}{c}") },
        )
        + "\""
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives(text in any::<String>(), name in any::<String>()) {
        let event = InputEvent::TextInput { prompt: name.as_str().into(), content: content(), text: text.clone() };
        let body = parsed(&event);
        prop_assert_eq!(&body["event"]["textInput"]["content"], &json!(text));
        prop_assert_eq!(&body["event"]["textInput"]["promptName"], &json!(name));
    }

    #[test]
    fn any_audio_survives(pcm in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let event = InputEvent::AudioInput { prompt: prompt(), content: content(), pcm: pcm.clone().into() };
        let body = parsed(&event);
        let sent = body["event"]["audioInput"]["content"].as_str().expect("a string");
        prop_assert_eq!(STANDARD.decode(sent).expect("base64"), pcm);
    }

    #[test]
    fn any_setting_survives(max_tokens in any::<Option<u32>>(), top_p in prop::option::of(0.0..=1.0_f64)) {
        let body = parsed(&InputEvent::SessionStart { max_tokens, top_p, temperature: None, sensitivity: None });
        let inference = &body["event"]["sessionStart"]["inferenceConfiguration"];
        prop_assert_eq!(inference.get("maxTokens").and_then(Value::as_u64), max_tokens.map(u64::from));
        let sent = inference.get("topP").and_then(Value::as_f64);
        prop_assert_eq!(sent.is_some(), top_p.is_some());
        // serde_json's own parser is off by one in the last place now and then.
        prop_assert!((sent.unwrap_or_default() - top_p.unwrap_or_default()).abs() < 1e-15);
    }

    #[test]
    fn the_length_of_a_string_is_known_before_it_is_written(text in any::<String>()) {
        let mut json = String::new();
        push_string(&mut json, &text);
        prop_assert_eq!(json.len(), json_string_bytes(&text));
        prop_assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
    }
}

#[test]
fn tools_are_declared_with_their_schema_as_a_string() {
    let tool = |name: &str, schema: &str| ToolSpec {
        name: name.into(),
        description: format!("What \"{name}\" does."),
        schema: schema.into(),
    };
    let tools = vec![tool("getWeather", r#"{"type":"object"}"#), tool("hangUp", "{}")];
    let declared = json!([
        {"toolSpec": {"name": "getWeather", "description": "What \"getWeather\" does.",
            "inputSchema": {"json": r#"{"type":"object"}"#}}},
        {"toolSpec": {"name": "hangUp", "description": "What \"hangUp\" does.", "inputSchema": {"json": "{}"}}},
    ]);
    for (choice, form) in [
        (ToolChoice::Auto, None),
        (ToolChoice::Any, Some(json!({"any": {}}))),
        (ToolChoice::Tool("hangUp".into()), Some(json!({"tool": {"name": "hangUp"}}))),
    ] {
        let event = parsed(&prompt_start(tools.clone(), choice));
        let start = &event["event"]["promptStart"];
        assert_eq!(start["toolUseOutputConfiguration"], json!({"mediaType": "application/json"}));
        assert_eq!(start["toolConfiguration"]["tools"], declared);
        assert_eq!(start["toolConfiguration"].get("toolChoice"), form.as_ref());
    }
}
