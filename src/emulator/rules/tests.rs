use serde_json::json;

use super::*;
use crate::emulator::{client_events::*, input::UNPARSABLE};

/// What the first refused event got, and which it was.
fn judge(rules: &mut Rules, events: &[Vec<u8>]) -> Option<(usize, String)> {
    events.iter().enumerate().find_map(|(index, payload)| {
        let refused = match Event::parse(payload) {
            Ok(event) => rules.accept(&event).err().map(|refusal| refusal.0),
            Err(_) => Some(UNPARSABLE.to_owned()),
        };
        refused.map(|text| (index, text))
    })
}

fn opened() -> Vec<Vec<u8>> {
    vec![session_start(), prompt_start()]
}

fn with_audio() -> Vec<Vec<u8>> {
    [opened(), text_block("s", "SYSTEM", false, "Be kind."), vec![audio_start("a"), audio_input("a", &[0; 64])]]
        .concat()
}

fn history(messages: usize, bytes: usize) -> Vec<Vec<u8>> {
    (0..messages)
        .flat_map(|n| {
            text_block(&format!("h{n}"), if n % 2 == 0 { "USER" } else { "ASSISTANT" }, false, &"x".repeat(bytes))
        })
        .collect()
}

#[test]
fn legal_sequences_pass() {
    let closing = || vec![content_end("a"), prompt_end(), session_end()];
    let table: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("plain", [with_audio(), closing()].concat()),
        ("no prompt at all", vec![session_start(), session_end()]),
        ("strands' farewell", [with_audio(), closing(), vec![event("connectionEnd", &json!({}))]].concat()),
        (
            "history marked interactive, as in AWS's sample",
            [
                opened(),
                text_block("s", "SYSTEM", false, "x"),
                text_block("u", "USER", true, "hi"),
                text_block("b", "ASSISTANT", true, "hello"),
                vec![audio_start("a")],
            ]
            .concat(),
        ),
        (
            "script hint",
            [opened(), text_block("s", "SYSTEM", false, "x"), text_block("h", "SYSTEM_SPEECH", false, "y")].concat(),
        ),
        ("the longest history", [opened(), history(4, 50 * 1_024)].concat()),
        ("typed text", [with_audio(), text_block("t", "USER", true, "hi"), closing()].concat()),
        ("a note in between", [with_audio(), text_block("t", "USER", false, "hi"), closing()].concat()),
        ("ASSISTANT text, dropped", [with_audio(), text_block("t", "ASSISTANT", true, "hi"), closing()].concat()),
        (
            "several textInputs in one block",
            [
                with_audio(),
                vec![text_start("t", "USER", true), text_input("t", "a"), text_input("t", "b"), content_end("t")],
            ]
            .concat(),
        ),
        ("audio again under a new name", [with_audio(), vec![content_end("a"), audio_start("a2")]].concat()),
        (
            "the role on textInput",
            [
                opened(),
                vec![
                    event("contentStart", &json!({"promptName": PROMPT, "contentName": "s", "type": "TEXT"})),
                    event(
                        "textInput",
                        &json!({"promptName": PROMPT, "contentName": "s", "role": "SYSTEM", "content": "x"}),
                    ),
                    content_end("s"),
                ],
            ]
            .concat(),
        ),
        (
            "sensitivity where it belongs",
            vec![event("sessionStart", &json!({"turnDetectionConfiguration": {"endpointingSensitivity": "HIGH"}}))],
        ),
        ("nothing configured", vec![event("sessionStart", &json!({}))]),
    ];
    for (name, events) in table {
        assert_eq!(judge(&mut Rules::new(), &events), None, "{name}");
    }
}

/// A name, events of which the last is refused, and words of the refusal.
type Case = (&'static str, Vec<Vec<u8>>, &'static str);

fn refuses_the_last(table: Vec<Case>) {
    for (name, events, words) in table {
        let (index, text) = judge(&mut Rules::new(), &events).unwrap_or_else(|| panic!("{name}: accepted"));
        assert!(text.contains(words), "{name}: {text}");
        // Blocks built whole may be refused before their contentEnd.
        assert!(index + 3 >= events.len(), "{name}: refused event {index} of {}", events.len());
    }
}

fn one(start: Vec<Vec<u8>>, last: Vec<u8>) -> Vec<Vec<u8>> {
    [start, vec![last]].concat()
}

#[test]
fn a_wrong_setup_gets_the_services_words() {
    let schema = json!([{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}]);
    let scalar = json!([{"toolSpec": {"name": "t", "inputSchema": {"json": "7"}}}]);
    refuses_the_last(vec![
        (
            "flat sensitivity",
            vec![event("sessionStart", &json!({"endpointingSensitivity": "HIGH"}))],
            "Invalid input request, please fix your input and try again.",
        ),
        (
            "unknown sensitivity",
            vec![event("sessionStart", &json!({"turnDetectionConfiguration": {"endpointingSensitivity": "high"}}))],
            "endpointingSensitivity is not",
        ),
        ("no tokens", vec![event("sessionStart", &json!({"inferenceConfiguration": {"maxTokens": 0}}))], "maxTokens"),
        ("topP", vec![event("sessionStart", &json!({"inferenceConfiguration": {"topP": 1.5}}))], "topP is outside"),
        (
            "temperature",
            vec![event("sessionStart", &json!({"inferenceConfiguration": {"temperature": -1}}))],
            "temperature",
        ),
        ("second sessionStart", one(opened(), session_start()), "sessionStart was sent before"),
        ("promptStart first", vec![prompt_start()], "promptStart before sessionStart"),
        ("second promptStart", one(opened(), prompt_start()), "a stream has one prompt"),
        ("voice", one(vec![session_start()], prompt_start_with("bob", 24_000, &json!([]))), "Received invalid voiceId"),
        (
            "output rate",
            one(vec![session_start()], prompt_start_with("amy", 44_100, &json!([]))),
            "audioOutputConfiguration: sampleRateHertz",
        ),
        (
            "schema object",
            one(vec![session_start()], prompt_start_with("amy", 24_000, &schema)),
            "Unable to parse input chunk. Please check input format contains correct format.",
        ),
        ("schema scalar", one(vec![session_start()], prompt_start_with("amy", 24_000, &scalar)), "inputSchema.json"),
        (
            "no output",
            one(vec![session_start()], event("promptStart", &json!({"promptName": PROMPT}))),
            "audioOutputConfiguration",
        ),
        ("unknown event", one(opened(), event("bargeIn", &json!({}))), "Unable to parse input chunk"),
    ]);
}

#[test]
fn wrong_texts_get_the_services_words() {
    refuses_the_last(vec![
        (
            "duplicate SYSTEM",
            [opened(), text_block("s", "SYSTEM", false, "x"), vec![text_start("s2", "SYSTEM", false)]].concat(),
            "Duplicate SYSTEM content. SYSTEM content can only be provided once per prompt",
        ),
        ("late SYSTEM", one(opened_audio(), text_start("s", "SYSTEM", false)), HISTORY_FIRST),
        (
            "SYSTEM after history",
            one([opened(), history(1, 9)].concat(), text_start("s", "SYSTEM", false)),
            "before the history",
        ),
        (
            "huge SYSTEM input",
            [opened(), vec![text_start("s", "SYSTEM", false), text_input("s", &"x".repeat(32 * 1_024))]].concat(),
            "SYSTEM textInput",
        ),
        (
            "ASSISTANT first",
            one(opened(), text_start("h", "ASSISTANT", false)),
            "first message of the history must be USER",
        ),
        ("late history", one(with_audio(), text_start("h", "ASSISTANT", false)), HISTORY_FIRST),
        (
            "long message",
            [opened(), history(1, 50 * 1_024 + 1)].concat(),
            "Chat history is over max limit. Trim chat history and try again.",
        ),
        (
            "long history",
            [opened(), history(5, 50 * 1_024)].concat(),
            "Chat history is over max limit. Trim chat history and try again.",
        ),
        ("TEXT of a tool", one(opened(), text_start("x", "TOOL", false)), "cannot have the role TOOL"),
        (
            "TEXT of nobody",
            [
                opened(),
                vec![
                    event("contentStart", &json!({"promptName": PROMPT, "contentName": "s", "type": "TEXT"})),
                    text_input("s", "x"),
                ],
            ]
            .concat(),
            "without a role",
        ),
        ("reused name", one(with_audio(), text_start("s", "USER", true)), "contentName was used before"),
        ("text without a block", one(opened(), text_input("s", "x")), "No open content found"),
        (
            "empty text",
            [opened(), vec![text_start("s", "SYSTEM", false), content_end("s")]].concat(),
            "Cannot end content [s] as no content data was received",
        ),
    ]);
}

#[test]
fn wrong_audio_gets_the_services_words() {
    let bad_audio = |member: &str, value: serde_json::Value| {
        let mut body = json!({"sampleRateHertz": 16_000});
        body[member] = value;
        event(
            "contentStart",
            &json!({"promptName": PROMPT, "contentName": "a", "type": "AUDIO", "role": "USER", "audioInputConfiguration": body}),
        )
    };
    refuses_the_last(vec![
        (
            "audio block while text is open",
            [opened(), vec![text_start("s", "SYSTEM", false), audio_start("a")]].concat(),
            HISTORY_FIRST,
        ),
        (
            "audio while live text is open",
            [with_audio(), vec![text_start("t", "USER", true), audio_input("a", &[0; 2])]].concat(),
            HISTORY_FIRST,
        ),
        ("audio before its block", one(opened(), audio_input("a", &[0; 2])), "No open content found"),
        ("audio under another name", one(with_audio(), audio_input("b", &[0; 2])), "No open content found"),
        ("audio twice", one(with_audio(), audio_start("b")), "an audio content is open already"),
        ("input rate", one(opened(), audio_start_at("a", 44_100)), "audioInputConfiguration: sampleRateHertz"),
        ("sample size", one(opened(), bad_audio("sampleSizeBits", json!(8))), "sampleSizeBits is not 16"),
        ("stereo", one(opened(), bad_audio("channelCount", json!(2))), "channelCount is not 1"),
        ("mp3", one(opened(), bad_audio("mediaType", json!("audio/mpeg"))), "mediaType is not audio/lpcm"),
        ("hex", one(opened(), bad_audio("encoding", json!("hex"))), "encoding is not base64"),
        (
            "no audio format",
            one(opened(), event("contentStart", &json!({"promptName": PROMPT, "contentName": "a", "type": "AUDIO"}))),
            "audioInputConfiguration",
        ),
        (
            "audio of the assistant",
            one(
                opened(),
                event(
                    "contentStart",
                    &json!({"promptName": PROMPT, "contentName": "a", "type": "AUDIO", "role": "ASSISTANT", "audioInputConfiguration": {"sampleRateHertz": 8_000}}),
                ),
            ),
            "role of AUDIO is USER",
        ),
        (
            "empty audio",
            [opened(), vec![audio_start("a"), content_end("a")]].concat(),
            "Cannot end content [a] as no content data was received",
        ),
        (
            "audio after its end",
            [with_audio(), vec![content_end("a"), audio_input("a", &[0; 2])]].concat(),
            "No open content found",
        ),
    ]);
}

#[test]
fn wrong_ends_get_the_services_words() {
    refuses_the_last(vec![
        ("content before prompt", one(vec![session_start()], text_start("s", "SYSTEM", false)), "No open prompt found"),
        ("another prompt", one(opened(), event("promptEnd", &json!({"promptName": "q"}))), "No open prompt found"),
        ("end without a block", one(opened(), content_end("s")), "No open content found"),
        (
            "promptEnd with audio open",
            one(with_audio(), prompt_end()),
            "All contents must be closed before ending prompt",
        ),
        (
            "promptEnd with text open",
            [opened(), vec![text_start("s", "SYSTEM", false), prompt_end()]].concat(),
            "All contents must be closed before ending prompt",
        ),
        ("promptEnd without audio", one(opened(), prompt_end()), "must have at least one audio content"),
        (
            "content after promptEnd",
            [with_audio(), vec![content_end("a"), prompt_end(), text_start("t", "USER", true)]].concat(),
            "No open prompt found",
        ),
        ("sessionEnd first", vec![session_end()], "sessionEnd before sessionStart"),
        ("sessionEnd with a prompt", one(opened(), session_end()), "sessionEnd before promptEnd"),
        ("sessionEnd twice", vec![session_start(), session_end(), session_end()], "sessionEnd was sent before"),
        ("anything after sessionEnd", vec![session_start(), session_end(), prompt_start()], "Invalid input request"),
        (
            "a result nobody asked for",
            one(with_audio(), tool_result_start("r", "none")),
            "Invalid input request, please fix your input and try again.",
        ),
    ]);
}

fn opened_audio() -> Vec<Vec<u8>> {
    [opened(), vec![audio_start("a"), audio_input("a", &[0; 2])]].concat()
}

/// A name, events, and words of the refusal of the last of them, or None where all are accepted.
type ToolCase = (&'static str, Vec<Vec<u8>>, Option<&'static str>);

#[test]
fn a_tool_result_must_be_a_json_object_in_a_block_of_its_own() {
    let start = |role: &str, inner: serde_json::Value| {
        event(
            "contentStart",
            &json!({"promptName": PROMPT, "contentName": "r", "type": "TOOL", "role": role,
                "toolResultInputConfiguration": {"toolUseId": "id", "type": "TEXT", "textInputConfiguration": inner}}),
        )
    };
    let text = || json!({"mediaType": "text/plain"});
    let bare =
        event("contentStart", &json!({"promptName": PROMPT, "contentName": "r", "type": "TOOL", "role": "TOOL"}));
    let untyped = event(
        "contentStart",
        &json!({"promptName": PROMPT, "contentName": "r", "type": "TOOL", "role": "TOOL",
            "toolResultInputConfiguration": {"toolUseId": "id", "textInputConfiguration": text()}}),
    );
    let table: Vec<ToolCase> = vec![
        ("object", vec![start("TOOL", text()), tool_result("r", r#"{"t":1}"#), content_end("r")], None),
        ("plain text", vec![start("TOOL", text()), tool_result("r", "21 degrees")], Some(TOOL_RESPONSE)),
        ("array", vec![start("TOOL", text()), tool_result("r", "[1]")], Some(TOOL_RESPONSE)),
        ("scalar", vec![start("TOOL", text()), tool_result("r", "21")], Some(TOOL_RESPONSE)),
        ("encoded twice", vec![start("TOOL", text()), tool_result("r", r#""{\"t\":1}""#)], Some(TOOL_RESPONSE)),
        ("role USER", vec![start("USER", text())], Some(TOOL_RESPONSE)),
        ("no media type", vec![start("TOOL", json!({}))], Some("contentType")),
        ("another media type", vec![start("TOOL", json!({"mediaType": "text/html"}))], Some("contentType")),
        ("no type", vec![untyped], Some(TOOL_RESPONSE)),
        ("no configuration", vec![bare], Some(TOOL_RESPONSE)),
        ("textInput inside", vec![start("TOOL", text()), text_input("r", "{}")], Some(TOOL_RESPONSE)),
        ("twice", vec![start("TOOL", text()), tool_result("r", "{}"), tool_result("r", "{}")], Some(TOOL_RESPONSE)),
        ("empty", vec![start("TOOL", text()), content_end("r")], Some("Cannot end content [r]")),
        ("without a block", vec![tool_result("r", "{}")], Some("No open content found")),
        ("in a TEXT block", vec![text_start("x", "USER", true), tool_result("x", "{}")], Some(TOOL_RESPONSE)),
        (
            "answered before",
            vec![start("TOOL", text()), tool_result("r", "{}"), content_end("r"), tool_result_start("r2", "id")],
            Some("Invalid input request"),
        ),
        (
            "two blocks at once for one call",
            vec![
                start("TOOL", text()),
                tool_result_start("r2", "id"),
                tool_result("r", "{}"),
                tool_result("r2", "{}"),
                content_end("r"),
                content_end("r2"),
            ],
            Some("Invalid input request"),
        ),
        (
            "audio goes on while a result is open",
            vec![start("TOOL", text()), audio_input("a", &[0; 2]), tool_result("r", "{}"), content_end("r")],
            None,
        ),
    ];
    for (name, events, words) in table {
        let mut rules = Rules::new();
        assert_eq!(judge(&mut rules, &with_audio()), None);
        rules.tool_called("id");
        let verdict = judge(&mut rules, &events);
        match words {
            None => assert_eq!(verdict, None, "{name}"),
            Some(words) => {
                let (index, text) = verdict.unwrap_or_else(|| panic!("{name}: accepted"));
                assert!(text.contains(words), "{name}: {text}");
                assert_eq!(index, events.len() - 1, "{name}");
            }
        }
    }
}

/// Reference §1.2.
#[test]
fn tools_are_declared_as_documented() {
    let spec = |name: &str| json!({"name": name, "description": "d", "inputSchema": {"json": "{}"}});
    let two = || json!([tool("a"), tool("b")]);
    let prompt = |configuration: serde_json::Value| {
        event(
            "promptStart",
            &json!({"promptName": PROMPT, "audioOutputConfiguration": {"sampleRateHertz": 8_000, "voiceId": "amy"},
                "toolUseOutputConfiguration": {"mediaType": "application/json"}, "toolConfiguration": configuration}),
        )
    };
    let chosen = |choice: serde_json::Value| prompt(json!({"tools": two(), "toolChoice": choice}));
    let without_output = |media: serde_json::Value| {
        event(
            "promptStart",
            &json!({"promptName": PROMPT, "audioOutputConfiguration": {"sampleRateHertz": 8_000, "voiceId": "amy"},
                "toolUseOutputConfiguration": media, "toolConfiguration": {"tools": two()}}),
        )
    };
    let mut undescribed = spec("t");
    undescribed["description"] = json!(7);
    let legal = [
        ("no choice", prompt(json!({"tools": two()})), ToolChoice::Auto),
        ("auto", chosen(json!({"auto": {}})), ToolChoice::Auto),
        ("any", chosen(json!({"any": {}})), ToolChoice::Any),
        ("one", chosen(json!({"tool": {"name": "b"}})), ToolChoice::Tool("b".into())),
        ("no tools", prompt(json!({"tools": []})), ToolChoice::Auto),
        ("auto without tools", prompt(json!({"toolChoice": {"auto": {}}})), ToolChoice::Auto),
        ("every letter", prompt(json!({"tools": [{"toolSpec": spec("aZ_9-")}]})), ToolChoice::Auto),
    ];
    for (name, payload, choice) in legal {
        let mut rules = Rules::new();
        assert_eq!(judge(&mut rules, &[session_start()]), None);
        match rules.accept(&Event::parse(&payload).unwrap()) {
            Ok(Meaning::Prompt { tool_choice, .. }) => assert_eq!(tool_choice, choice, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let illegal = [
        ("none", chosen(json!({"none": {}})), UNPARSABLE),
        ("a word", chosen(json!("any")), UNPARSABLE),
        ("two at once", chosen(json!({"auto": {}, "any": {}})), UNPARSABLE),
        ("tool without a name", chosen(json!({"tool": {}})), UNPARSABLE),
        ("a tool that is not there", chosen(json!({"tool": {"name": "c"}})), "not declared"),
        ("any of no tools", prompt(json!({"tools": [], "toolChoice": {"any": {}}})), "toolChoice without tools"),
        ("no toolSpec", prompt(json!({"tools": [spec("t")]})), UNPARSABLE),
        ("no schema", prompt(json!({"tools": [{"toolSpec": {"name": "t"}}]})), UNPARSABLE),
        ("no name", prompt(json!({"tools": [{"toolSpec": {"inputSchema": {"json": "{}"}}}]})), UNPARSABLE),
        ("a number for a description", prompt(json!({"tools": [{"toolSpec": undescribed}]})), UNPARSABLE),
        (
            "schema of no JSON",
            prompt(json!({"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": "x"}}}]})),
            "JSON object",
        ),
        ("an empty name", prompt(json!({"tools": [{"toolSpec": spec("")}]})), "toolSpec.name"),
        ("a name with a blank", prompt(json!({"tools": [{"toolSpec": spec("get weather")}]})), "toolSpec.name"),
        ("a long name", prompt(json!({"tools": [{"toolSpec": spec(&"x".repeat(65))}]})), "toolSpec.name"),
        ("twice the same", prompt(json!({"tools": [tool("a"), tool("a")]})), "same toolSpec.name"),
        ("no output configuration", without_output(json!(null)), "toolUseOutputConfiguration"),
        ("another output", without_output(json!({"mediaType": "text/plain"})), "toolUseOutputConfiguration"),
    ];
    refuses_the_last(illegal.map(|(name, payload, words)| (name, vec![session_start(), payload], words)).into());
}

#[test]
fn meanings_carry_what_the_blocks_held() {
    let mut rules = Rules::new();
    let mut told = Vec::new();
    let events = [
        opened(),
        text_block("s", "SYSTEM", false, "Be kind."),
        text_block("u", "USER", false, "hi"),
        vec![audio_start("a")],
        vec![text_start("t", "USER", true), text_input("t", "one "), text_input("t", "two"), content_end("t")],
    ]
    .concat();
    for payload in &events {
        let event = Event::parse(payload).unwrap();
        match rules.accept(&event).unwrap() {
            Meaning::Nothing => {}
            meaning => told.push(format!("{meaning:?}")),
        }
    }
    assert_eq!(
        told,
        [
            "Session(Medium)",
            r#"Prompt { name: "p", rate_hz: 24000, voice: "matthew", tools: [], tool_choice: Auto }"#,
            r#"System("Be kind.")"#,
            r#"History(User, "hi")"#,
            "AudioOpened { rate_hz: 16000, role_given: true }",
            r#"Typed("one two")"#,
        ]
    );
}
