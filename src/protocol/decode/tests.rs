use ::base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::{ContentKind, GenerationStage, Role, StopReason};

/// What every event of the service carries beside its own members.
fn common(name: &str, mut body: Value) -> Value {
    let members = body.as_object_mut().expect("an object");
    members.insert("sessionId".to_owned(), json!("4b7b8c2e-session"));
    members.insert("promptName".to_owned(), json!("the-prompt"));
    members.entry("completionId").or_insert(json!("the-completion"));
    json!({"event": {name: body}})
}

fn decoded(event: &Value) -> Result<OutputEvent, DecodeError> {
    decode(event.to_string().as_bytes())
}

fn id() -> String {
    "c-1".to_owned()
}

fn text_start(role: Option<Role>, stage: Option<GenerationStage>) -> OutputEvent {
    OutputEvent::ContentStart { content_id: id(), content: OutputContent::Text { role, stage } }
}

fn ended(kind: Option<ContentKind>, stop_reason: StopReason) -> OutputEvent {
    OutputEvent::ContentEnd { content_id: id(), kind, stop_reason }
}

/// Each event in its documented form.
fn documented() -> Vec<(&'static str, Value, OutputEvent)> {
    vec![
        ("completionStart", json!({}), OutputEvent::CompletionStart { completion_id: "the-completion".to_owned() }),
        (
            "contentStart",
            json!({"contentId": "c-1", "type": "TEXT", "role": "USER",
                "textOutputConfiguration": {"mediaType": "text/plain"},
                "additionalModelFields": "{\"generationStage\":\"FINAL\"}"}),
            text_start(Some(Role::User), Some(GenerationStage::Final)),
        ),
        (
            "contentStart",
            json!({"contentId": "c-1", "type": "AUDIO", "role": "ASSISTANT", "audioOutputConfiguration": {
                "mediaType": "audio/lpcm", "sampleRateHertz": 24000, "sampleSizeBits": 16, "encoding": "base64",
                "channelCount": 1}}),
            OutputEvent::ContentStart { content_id: id(), content: OutputContent::Audio { rate_hz: Some(24_000) } },
        ),
        (
            "contentStart",
            json!({"contentId": "c-1", "type": "TOOL", "role": "TOOL",
                "toolUseOutputConfiguration": {"mediaType": "application/json"}}),
            OutputEvent::ContentStart { content_id: id(), content: OutputContent::Tool },
        ),
        (
            "textOutput",
            json!({"contentId": "c-1", "role": "ASSISTANT", "content": "Good \"morning\"\n\u{1f600}"}),
            OutputEvent::TextOutput {
                content_id: id(),
                role: Some(Role::Assistant),
                text: "Good \"morning\"\n\u{1f600}".to_owned(),
            },
        ),
        (
            "audioOutput",
            json!({"contentId": "c-1", "content": "AQL/AA=="}),
            OutputEvent::AudioOutput { content_id: id(), pcm: Bytes::from_static(&[1, 2, 255, 0]) },
        ),
        (
            "toolUse",
            json!({"contentId": "c-1", "toolName": "weather", "toolUseId": "use-1", "content": "{\"city\":\"Rome\"}"}),
            OutputEvent::ToolUse {
                content_id: id(),
                tool_use_id: "use-1".to_owned(),
                name: "weather".to_owned(),
                arguments: r#"{"city":"Rome"}"#.to_owned(),
            },
        ),
        (
            "contentEnd",
            json!({"contentId": "c-1", "type": "AUDIO", "stopReason": "END_TURN"}),
            ended(Some(ContentKind::Audio), StopReason::EndTurn),
        ),
        (
            "completionEnd",
            json!({"stopReason": "END_TURN"}),
            OutputEvent::CompletionEnd { stop_reason: StopReason::EndTurn },
        ),
        (
            "usageEvent",
            json!({"details": {
                    "delta": {
                        "input": {"speechTokens": 1, "textTokens": 2}, "output": {"speechTokens": 3, "textTokens": 4}},
                    "total": {
                        "input": {"speechTokens": 5, "textTokens": 6}, "output": {"speechTokens": 7, "textTokens": 8}}},
                "totalInputTokens": 11, "totalOutputTokens": 15, "totalTokens": 26}),
            OutputEvent::Usage(UsageDetails {
                delta: TokenCounts { speech_in: 1, text_in: 2, speech_out: 3, text_out: 4 },
                total: TokenCounts { speech_in: 5, text_in: 6, speech_out: 7, text_out: 8 },
            }),
        ),
        (
            "userSpeechStart",
            json!({"inputAudioOffsetMs": 1200}),
            OutputEvent::UserSpeechStart { offset_ms: Some(1_200) },
        ),
        (
            "userSpeechEnd",
            json!({"inputAudioOffsetMs": 2400, "inputAudioDetectionOffsetMs": 2880}),
            OutputEvent::UserSpeechEnd { offset_ms: Some(2_400), detection_offset_ms: Some(2_880) },
        ),
    ]
}

#[test]
fn each_event_in_its_documented_form() {
    for (name, body, expected) in documented() {
        assert_eq!(decoded(&common(name, body)), Ok(expected), "{name}");
    }
}

/// Forms in which sources disagree, and members that are missing or of no use.
#[test]
fn variants() {
    let start = |fields: Value| {
        let id = "c-1";
        json!({"contentId": id, "type": "TEXT", "role": "ASSISTANT", "additionalModelFields": fields})
    };
    let planned = || text_start(Some(Role::Assistant), Some(GenerationStage::Speculative));
    let no_stage = || text_start(Some(Role::Assistant), None);
    let once = r#"{ "generationStage" : "SPECULATIVE" }"#;
    let cases = [
        ("contentStart", start(json!(once)), planned()),
        ("contentStart", start(json!(json!(once).to_string())), planned()),
        ("contentStart", start(json!({"generationStage": "SPECULATIVE", "more": [1]})), planned()),
        ("contentStart", start(json!("{}")), no_stage()),
        ("contentStart", start(json!("not JSON")), no_stage()),
        ("contentStart", start(json!(r#"{"generationStage":"DRAFT"}"#)), no_stage()),
        ("contentStart", start(json!(r#"{"generationStage":7}"#)), no_stage()),
        ("contentStart", start(json!(null)), no_stage()),
        ("contentStart", json!({"contentId": "c-1", "type": "TEXT"}), text_start(None, None)),
        ("contentStart", json!({"contentId": "c-1", "type": "TEXT", "role": "NARRATOR"}), text_start(None, None)),
        (
            "contentStart",
            json!({"contentId": "c-1", "type": "VIDEO"}),
            OutputEvent::ContentStart { content_id: id(), content: OutputContent::Other("VIDEO".to_owned()) },
        ),
        (
            "contentStart",
            json!({"contentId": "c-1", "type": "AUDIO", "audioOutputConfiguration": {"sampleRateHertz": "16000"}}),
            OutputEvent::ContentStart { content_id: id(), content: OutputContent::Audio { rate_hz: Some(16_000) } },
        ),
        (
            "contentStart",
            json!({"contentId": "c-1", "type": "AUDIO", "audioOutputConfiguration": {"sampleRateHertz": 0}}),
            OutputEvent::ContentStart { content_id: id(), content: OutputContent::Audio { rate_hz: None } },
        ),
        ("contentEnd", json!({"contentId": "c-1", "stopReason": "PARTIAL_TURN"}), ended(None, StopReason::PartialTurn)),
        (
            "contentEnd",
            json!({"contentId": "c-1", "type": "TEXT", "stopReason": "INTERRUPTED"}),
            ended(Some(ContentKind::Text), StopReason::Interrupted),
        ),
        (
            "contentEnd",
            json!({"contentId": "c-1", "type": "TOOL", "stopReason": "TOOL_USE"}),
            ended(Some(ContentKind::Tool), StopReason::ToolUse),
        ),
        (
            "contentEnd",
            json!({"contentId": "c-1", "stopReason": "TIRED"}),
            ended(None, StopReason::Other("TIRED".to_owned())),
        ),
        ("contentEnd", json!({"contentId": "c-1"}), ended(None, StopReason::Other(String::new()))),
        (
            "audioOutput",
            json!({"content": "AQL/AA"}),
            OutputEvent::AudioOutput { content_id: String::new(), pcm: Bytes::from_static(&[1, 2, 255, 0]) },
        ),
        (
            "userSpeechStart",
            json!({"inputAudioOffsetMs": "1200.4"}),
            OutputEvent::UserSpeechStart { offset_ms: Some(1_200) },
        ),
        ("userSpeechStart", json!({"inputAudioOffsetMs": -3}), OutputEvent::UserSpeechStart { offset_ms: None }),
        ("userSpeechStart", json!({"inputAudioOffsetMs": [1]}), OutputEvent::UserSpeechStart { offset_ms: None }),
        ("userSpeechEnd", json!({}), OutputEvent::UserSpeechEnd { offset_ms: None, detection_offset_ms: None }),
        ("usageEvent", json!({"totalTokens": 26}), OutputEvent::Usage(UsageDetails::default())),
        (
            "usageEvent",
            json!({"details": {"delta": {"input": {"speechTokens": 2.0}}}}),
            OutputEvent::Usage(UsageDetails {
                delta: TokenCounts { speech_in: 2, ..TokenCounts::default() },
                total: TokenCounts::default(),
            }),
        ),
    ];
    for (name, body, expected) in cases {
        let event = common(name, body);
        assert_eq!(decoded(&event), Ok(expected), "{event}");
    }
}

#[test]
fn tool_arguments_are_unwrapped_however_they_come() {
    let arguments = json!({"city": "Rome"});
    let wrapped_once = json!(arguments.to_string());
    let wrapped_twice = json!(wrapped_once.to_string());
    for content in [arguments.clone(), wrapped_once, wrapped_twice] {
        let event = common("toolUse", json!({"toolName": "weather", "toolUseId": "use-1", "content": content}));
        let Ok(OutputEvent::ToolUse { arguments: found, .. }) = decoded(&event) else { panic!("{event}") };
        assert_eq!(serde_json::from_str::<Value>(&found).expect("JSON"), arguments, "{event}");
    }
}

#[test]
fn escaped_audio_is_audio() {
    let payload = br#"{"event":{"audioOutput":{"content":"AQL\/AA\u003d="}}}"#;
    let expected = OutputEvent::AudioOutput { content_id: String::new(), pcm: Bytes::from_static(&[1, 2, 255, 0]) };
    assert_eq!(decode(payload), Ok(expected));
}

#[test]
fn unknown_events_are_kept_whole() {
    let raw = r#"{"event": {"serviceMetrics": {"latency": [1.50, "\u00e9"]}}, "p": "padding"}"#;
    let expected = OutputEvent::Unknown { name: "serviceMetrics".to_owned(), raw: raw.to_owned() };
    assert_eq!(decode(raw.as_bytes()), Ok(expected));
}

#[test]
fn strangers_beside_an_event_are_ignored() {
    let body = r#"{"completionEnd":{"stopReason":"END_TURN"}"#;
    let expected = OutputEvent::CompletionEnd { stop_reason: StopReason::EndTurn };
    for raw in [
        format!(r#"{{"padding":"abc","event":{body}}}}}"#),
        format!(r#"{{"event":{body},"trace":{{}}}}}}"#),
        format!(r#"{{"event":{{"trace":[],{}}}}}"#, &body[1..]),
    ] {
        assert_eq!(decode(raw.as_bytes()), Ok(expected.clone()), "{raw}");
    }
}

#[test]
fn what_cannot_be_understood_is_named() {
    let audio = |content: Value| common("audioOutput", json!({"contentId": "c-1", "content": content})).to_string();
    let cases = [
        (String::new(), DecodeError::NotJson { line: 1, column: 0 }),
        ("{\"event\":\n{".to_owned(), DecodeError::NotJson { line: 2, column: 1 }),
        ("[]".to_owned(), DecodeError::NoEvent),
        ("{}".to_owned(), DecodeError::NoEvent),
        (r#"{"event":{}}"#.to_owned(), DecodeError::NoEvent),
        (r#"{"event":"audioOutput"}"#.to_owned(), DecodeError::NoEvent),
        (audio(json!("AQID")), DecodeError::OddPcm { bytes: 3 }),
        (audio(json!("****")), DecodeError::NotBase64),
        (audio(json!(null)), DecodeError::Missing { event: "audioOutput", field: "content" }),
        (r#"{"event":{"textOutput":{}}}"#.to_owned(), DecodeError::Missing { event: "textOutput", field: "content" }),
        (r#"{"event":{"toolUse":{}}}"#.to_owned(), DecodeError::Missing { event: "toolUse", field: "toolUseId" }),
        (
            r#"{"event":{"toolUse":{"toolUseId":"u"}}}"#.to_owned(),
            DecodeError::Missing { event: "toolUse", field: "toolName" },
        ),
        (
            r#"{"event":{"audioOutput":{},"textOutput":{}}}"#.to_owned(),
            DecodeError::TwoEvents { first: "audioOutput", second: "textOutput" },
        ),
        (
            r#"{"event":{"contentEnd":{"contentId":7}}}"#.to_owned(),
            DecodeError::Shape { event: "contentEnd", line: 1, column: 14 },
        ),
        (
            r#"{"event":{"audioOutput":{"content":7}}}"#.to_owned(),
            DecodeError::Shape { event: "audioOutput", line: 1, column: 12 },
        ),
    ];
    for (payload, expected) in cases {
        assert_eq!(decode(payload.as_bytes()), Err(expected), "{payload}");
    }
}

#[test]
fn an_unknown_event_in_another_encoding_is_named_by_its_first_strange_byte() {
    // In the event and beside it: the parser finds the first, and would skip over the second.
    for payload in [r#"{"event":{"novelty":{"x":"?"}}}"#, r#"{"beside":"?","event":{"novelty":{}}}"#] {
        let mut payload = payload.as_bytes().to_vec();
        let at = payload.iter().position(|byte| *byte == b'?').expect("a place");
        payload[at] = 0xff;
        assert_eq!(decode(&payload), Err(DecodeError::NotJson { line: 1, column: at + 1 }));
    }
}

#[test]
fn every_role_is_told_and_another_is_none() {
    for (spelt, role) in [
        ("USER", Some(Role::User)),
        ("ASSISTANT", Some(Role::Assistant)),
        ("TOOL", Some(Role::Tool)),
        ("SYSTEM", Some(Role::System)),
        ("SYSTEM_SPEECH", Some(Role::SystemSpeech)),
        ("NARRATOR", None),
    ] {
        let start = common("contentStart", json!({"contentId": id(), "type": "TEXT", "role": spelt}));
        assert_eq!(decoded(&start), Ok(text_start(role, None)), "{spelt}");
    }
}

#[test]
fn beside_an_unknown_event_the_known_one_counts_and_else_the_first() {
    for (payload, expected) in [
        (r#"{"event":{"novelty":{},"completionStart":{}}}"#, None),
        (r#"{"event":{"completionStart":{},"novelty":{}}}"#, None),
        (r#"{"event":{"novelty":{},"other":{}}}"#, Some("novelty")),
    ] {
        let name = match decode(payload.as_bytes()) {
            Ok(OutputEvent::Unknown { name, .. }) => Some(name),
            Ok(OutputEvent::CompletionStart { .. }) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(name.as_deref(), expected, "{payload}");
    }
}

#[test]
fn errors_do_not_repeat_what_was_said() {
    for body in [
        json!({"textOutput": "SECRET"}),
        json!({"textOutput": {"content": {"SECRET": 1}}}),
        json!({"audioOutput": {"content": "SECRET!"}}),
        json!({"usageEvent": {"details": "SECRET"}}),
        json!("SECRET"),
    ] {
        let error = decoded(&json!({"event": body})).expect_err("nonsense");
        assert!(!error.to_string().contains("SECRET"), "{error}");
        assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!(r#"{{"event":{{"novelty":{}{}}}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert!(matches!(decode(deep.as_bytes()), Ok(OutputEvent::Unknown { .. })));
}

#[test]
fn the_marker_is_told_from_speech() {
    use crate::protocol::is_interruption_marker;
    for marker in ["{ \"interrupted\" : true }\n", r#"{"interrupted":true}"#, r#" {"interrupted":true,"at":5}"#] {
        assert!(is_interruption_marker(marker), "{marker}");
    }
    for speech in
        ["", "interrupted", r#"{"interrupted":false}"#, r#"{"interrupted":"true"}"#, "{", r#"[{"interrupted":true}]"#]
    {
        assert!(!is_interruption_marker(speech), "{speech}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_to_a_real_event_makes_it_panic(
        which in 0_usize..12,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>()), 1..6),
    ) {
        let (name, body, _) = documented().swap_remove(which);
        let mut payload = common(name, body).to_string().into_bytes();
        for (at, byte) in cuts {
            let at = at.index(payload.len());
            match byte {
                Some(byte) => payload[at] = byte,
                None => payload.truncate(at.max(1)),
            }
        }
        let _ = decode(&payload);
    }

    #[test]
    fn text_round_trip(content_id in any::<String>(), text in any::<String>(), role in 0_usize..3) {
        let (role, name) = [(Some(Role::User), "USER"), (Some(Role::Assistant), "ASSISTANT"), (None, "?")][role];
        let event = common("textOutput", json!({"contentId": content_id, "role": name, "content": text}));
        prop_assert_eq!(decoded(&event), Ok(OutputEvent::TextOutput { content_id, role, text }));
    }

    #[test]
    fn audio_round_trip(samples in prop::collection::vec(any::<i16>(), 0..3_200)) {
        let pcm: Vec<u8> = samples.into_iter().flat_map(i16::to_le_bytes).collect();
        let event = common("audioOutput", json!({"contentId": "c-1", "content": STANDARD.encode(&pcm)}));
        prop_assert_eq!(decoded(&event), Ok(OutputEvent::AudioOutput { content_id: id(), pcm: pcm.into() }));
    }

    #[test]
    fn tool_use_round_trip(tool_use_id: String, name: String, key: String, value: i64) {
        let arguments = json!({key: value}).to_string();
        let event = common("toolUse", json!({
            "contentId": "c-1", "toolUseId": tool_use_id, "toolName": name, "content": arguments}));
        prop_assert_eq!(decoded(&event), Ok(OutputEvent::ToolUse { content_id: id(), tool_use_id, name, arguments }));
    }

    #[test]
    fn usage_round_trip(counts in any::<[u32; 8]>()) {
        let counts = counts.map(u64::from);
        let sides = |c: &[u64]| json!({
            "input": {"speechTokens": c[0], "textTokens": c[1]}, "output": {"speechTokens": c[2], "textTokens": c[3]}});
        let details = json!({"delta": sides(&counts[..4]), "total": sides(&counts[4..])});
        let event = common("usageEvent", json!({"details": details}));
        let tokens = |c: &[u64]| TokenCounts { speech_in: c[0], text_in: c[1], speech_out: c[2], text_out: c[3] };
        let expected = UsageDetails { delta: tokens(&counts[..4]), total: tokens(&counts[4..]) };
        prop_assert_eq!(decoded(&event), Ok(OutputEvent::Usage(expected)));
    }

    #[test]
    fn unknown_round_trip(name in "[a-zA-Z]{1,20}X", value in any::<String>()) {
        let raw = json!({"event": {name.as_str(): {"value": value}}}).to_string();
        prop_assert_eq!(decode(raw.as_bytes()), Ok(OutputEvent::Unknown { name, raw }));
    }
}
