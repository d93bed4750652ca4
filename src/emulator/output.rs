//! The model's events as JSON (reference §2), written straight into bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The text that says "interrupted" (reference §2.4), and how older builds spelt it.
pub(super) const INTERRUPTED_MARKER: &str = r#"{ "interrupted" : true }"#;
pub(super) const OLD_INTERRUPTED_MARKER: &str = "{\"interrupted\":true}\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Speculative,
    Final,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    PartialTurn,
    EndTurn,
    Interrupted,
    ToolUse,
}

impl StopReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::PartialTurn => "PARTIAL_TURN",
            Self::EndTurn => "END_TURN",
            Self::Interrupted => "INTERRUPTED",
            Self::ToolUse => "TOOL_USE",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Assistant,
}

impl Speaker {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Assistant => "ASSISTANT",
        }
    }
}

/// Tokens of one kind of traffic, in and out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) speech_in: u64,
    pub(super) text_in: u64,
    pub(super) speech_out: u64,
    pub(super) text_out: u64,
}

impl Tokens {
    pub(super) fn add(&mut self, other: Self) {
        self.speech_in += other.speech_in;
        self.text_in += other.text_in;
        self.speech_out += other.speech_out;
        self.text_out += other.text_out;
    }

    fn json(self) -> Value {
        json!({
            "input": {"speechTokens": self.speech_in, "textTokens": self.text_in},
            "output": {"speechTokens": self.speech_out, "textTokens": self.text_out},
        })
    }
}

/// The name of an event of ours, or of a script's.
pub(super) fn event_name(event: &[u8]) -> &str {
    const BEFORE: &[u8] = br#"{"event":{""#;
    let name = event.strip_prefix(BEFORE).and_then(|rest| rest.split(|byte| *byte == b'"').next());
    name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
}

/// A block the model has announced: what its later events need.
#[derive(Debug, Clone)]
pub(super) struct Block {
    content_id: String,
    audio_prefix: Vec<u8>,
}

/// Writes the events of one stream: the names they all carry are escaped once.
pub(super) struct Writer {
    /// `"sessionId":"..","promptName":".."`
    origin: String,
    /// The same with `completionId`.
    common: String,
}

impl Writer {
    pub(super) fn new(prompt_name: &str) -> Self {
        let origin = format!(r#""sessionId":"{}","promptName":{}"#, Uuid::new_v4(), quoted(prompt_name));
        let mut writer = Self { origin, common: String::new() };
        writer.renew_completion();
        writer
    }

    /// From here on events carry another `completionId`. Measured is one for the whole stream (reference §2).
    pub(super) fn renew_completion(&mut self) {
        self.common = format!(r#"{},"completionId":"{}""#, self.origin, Uuid::new_v4());
    }

    /// Any event: the members of `fields`, a JSON object, replace common ones of the same name.
    pub(super) fn any(&self, name: &str, fields: &str) -> Vec<u8> {
        let mut body: Map<String, Value> = serde_json::from_str(&format!("{{{}}}", self.common)).unwrap_or_default();
        body.extend(serde_json::from_str::<Map<String, Value>>(fields).unwrap_or_default());
        json!({"event": {name: body}}).to_string().into_bytes()
    }

    pub(super) fn completion_start(&self) -> Vec<u8> {
        self.event("completionStart", "")
    }

    pub(super) fn completion_end(&self) -> Vec<u8> {
        self.event("completionEnd", r#","stopReason":"END_TURN""#)
    }

    pub(super) fn text_start(&self, speaker: Speaker, stage: Stage) -> (Block, Vec<u8>) {
        let stage = match stage {
            Stage::Speculative => "SPECULATIVE",
            Stage::Final => "FINAL",
        };
        let block = self.block();
        let role = speaker.as_str();
        // A JSON string within JSON, as the service sends it.
        let fields = format!(
            r#","contentId":"{}","type":"TEXT","role":"{role}","textOutputConfiguration":{{"mediaType":"text/plain"}},"additionalModelFields":"{{\"generationStage\":\"{stage}\"}}""#,
            block.content_id
        );
        let event = self.event("contentStart", &fields);
        (block, event)
    }

    pub(super) fn text_output(&self, block: &Block, speaker: Speaker, text: &str) -> Vec<u8> {
        let fields =
            format!(r#","contentId":"{}","role":"{}","content":{}"#, block.content_id, speaker.as_str(), quoted(text));
        self.event("textOutput", &fields)
    }

    pub(super) fn audio_start(&self, rate_hz: u32) -> (Block, Vec<u8>) {
        let block = self.block();
        let fields = format!(
            r#","contentId":"{}","type":"AUDIO","role":"ASSISTANT","audioOutputConfiguration":{{"mediaType":"audio/lpcm","sampleRateHertz":{rate_hz},"sampleSizeBits":16,"encoding":"base64","channelCount":1}}"#,
            block.content_id
        );
        let event = self.event("contentStart", &fields);
        (block, event)
    }

    pub(super) fn audio_output(block: &Block, pcm: &[u8]) -> Vec<u8> {
        let mut event = Vec::with_capacity(block.audio_prefix.len() + pcm.len().div_ceil(3) * 4 + 4);
        event.extend_from_slice(&block.audio_prefix);
        let start = event.len();
        event.resize(start + pcm.len().div_ceil(3) * 4, 0);
        let written = event.get_mut(start..).and_then(|room| BASE64.encode_slice(pcm, room).ok()).unwrap_or(0);
        event.truncate(start + written);
        event.extend_from_slice(br#""}}}"#);
        event
    }

    /// The same for audio that is base64 already and known to be well formed.
    pub(super) fn audio_output_encoded(block: &Block, content: &str) -> Vec<u8> {
        let mut event = Vec::with_capacity(block.audio_prefix.len() + content.len() + 4);
        event.extend_from_slice(&block.audio_prefix);
        event.extend_from_slice(content.as_bytes());
        event.extend_from_slice(br#""}}}"#);
        event
    }

    pub(super) fn tool_start(&self) -> (Block, Vec<u8>) {
        let block = self.block();
        let fields = format!(
            r#","contentId":"{}","type":"TOOL","role":"TOOL","toolUseOutputConfiguration":{{"mediaType":"application/json"}}"#,
            block.content_id
        );
        let event = self.event("contentStart", &fields);
        (block, event)
    }

    pub(super) fn tool_use(&self, block: &Block, tool_use_id: &str, name: &str, arguments: &str) -> Vec<u8> {
        let fields = format!(
            r#","contentId":"{}","toolName":{},"toolUseId":"{tool_use_id}","content":{}"#,
            block.content_id,
            quoted(name),
            quoted(arguments)
        );
        self.event("toolUse", &fields)
    }

    pub(super) fn text_end(&self, block: &Block, reason: StopReason) -> Vec<u8> {
        self.content_end(block, "TEXT", reason)
    }

    pub(super) fn audio_end(&self, block: &Block, reason: StopReason) -> Vec<u8> {
        self.content_end(block, "AUDIO", reason)
    }

    pub(super) fn tool_end(&self, block: &Block) -> Vec<u8> {
        self.content_end(block, "TOOL", StopReason::ToolUse)
    }

    /// Undocumented, and without a completion (reference §2).
    pub(super) fn user_speech_start(&self, offset_ms: u64) -> Vec<u8> {
        format!(r#"{{"event":{{"userSpeechStart":{{{},"inputAudioOffsetMs":{offset_ms}}}}}}}"#, self.origin)
            .into_bytes()
    }

    pub(super) fn user_speech_end(&self, offset_ms: u64, detected_ms: u64) -> Vec<u8> {
        format!(
            r#"{{"event":{{"userSpeechEnd":{{{},"inputAudioOffsetMs":{offset_ms},"inputAudioDetectionOffsetMs":{detected_ms}}}}}}}"#,
            self.origin
        )
        .into_bytes()
    }

    pub(super) fn usage(&self, delta: Tokens, total: Tokens) -> Vec<u8> {
        let (input, output) = (total.speech_in + total.text_in, total.speech_out + total.text_out);
        let fields = format!(
            r#","details":{},"totalInputTokens":{input},"totalOutputTokens":{output},"totalTokens":{}"#,
            json!({"delta": delta.json(), "total": total.json()}),
            input + output
        );
        self.event("usageEvent", &fields)
    }

    fn content_end(&self, block: &Block, kind: &str, reason: StopReason) -> Vec<u8> {
        let fields =
            format!(r#","contentId":"{}","type":"{kind}","stopReason":"{}""#, block.content_id, reason.as_str());
        self.event("contentEnd", &fields)
    }

    /// `fields` begins with a comma, or is empty.
    fn event(&self, name: &str, fields: &str) -> Vec<u8> {
        format!(r#"{{"event":{{"{name}":{{{}{fields}}}}}}}"#, self.common).into_bytes()
    }

    fn block(&self) -> Block {
        let content_id = Uuid::new_v4().to_string();
        let audio_prefix =
            format!(r#"{{"event":{{"audioOutput":{{{},"contentId":"{content_id}","content":""#, self.common)
                .into_bytes();
        Block { content_id, audio_prefix }
    }
}

/// `text` as a JSON string with its quotes.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
