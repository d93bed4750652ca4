//! The service's JSON as an output event, every documented variant accepted.
//!
//! No value tree is built, and audio goes from the payload straight into its own buffer. Errors name the event and the
//! place, never the content, which is somebody's speech.

use bytes::Bytes;
use serde::Deserialize;

use super::{
    OutputContent, OutputEvent, SAMPLE_BYTES, TokenCounts, UsageDetails, base64,
    shapes::{self, AudioEnvelope, Envelope},
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the chunk is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the chunk is JSON but no event: it has no object `event` with a member")]
    NoEvent,
    #[error("the chunk holds both {first} and {second}, where one event is the rule")]
    TwoEvents { first: &'static str, second: &'static str },
    #[error("{event} has not its documented shape (line {line}, column {column} of its body)")]
    Shape { event: &'static str, line: usize, column: usize },
    #[error("{event} has no `{field}`")]
    Missing { event: &'static str, field: &'static str },
    #[error("audioOutput: `content` is not base64")]
    NotBase64,
    #[error("audioOutput: {bytes} bytes are not a whole number of 16-bit samples")]
    OddPcm { bytes: usize },
}

/// Decodes one chunk's payload.
pub fn decode(payload: &[u8]) -> Result<OutputEvent, DecodeError> {
    // Nearly all bytes are audio, so that is tried first, in one pass; anything else is given up at its name.
    if let Ok(AudioEnvelope { event }) = serde_json::from_slice(payload) {
        return audio(event.audio);
    }
    let Envelope { event } = serde_json::from_slice(payload).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => DecodeError::NoEvent,
        _ => DecodeError::NotJson { line: error.line(), column: error.column() },
    })?;
    if let Some(second) = event.second {
        return Err(DecodeError::TwoEvents { first: event.known.unwrap_or_default(), second });
    }
    let body = event.body.get();
    match event.known {
        Some("audioOutput") => audio(parse("audioOutput", body)?),
        Some("textOutput") => text(body),
        Some("contentStart") => content_start(body),
        Some("contentEnd") => {
            let end: shapes::ContentEnd = parse("contentEnd", body)?;
            Ok(OutputEvent::ContentEnd {
                content_id: shapes::owned(end.content_id),
                kind: end.kind.as_deref().and_then(shapes::content_kind),
                stop_reason: shapes::stop_reason(end.stop_reason.as_deref()),
            })
        }
        Some("completionStart") => {
            let completion: shapes::Completion = parse("completionStart", body)?;
            Ok(OutputEvent::CompletionStart { completion_id: shapes::owned(completion.completion_id) })
        }
        Some("completionEnd") => {
            let completion: shapes::Completion = parse("completionEnd", body)?;
            Ok(OutputEvent::CompletionEnd { stop_reason: shapes::stop_reason(completion.stop_reason.as_deref()) })
        }
        Some("toolUse") => tool_use(body),
        Some("usageEvent") => usage(body),
        Some("userSpeechStart") => {
            let speech: shapes::UserSpeech = parse("userSpeechStart", body)?;
            Ok(OutputEvent::UserSpeechStart { offset_ms: shapes::whole(speech.offset) })
        }
        Some("userSpeechEnd") => {
            let speech: shapes::UserSpeech = parse("userSpeechEnd", body)?;
            Ok(OutputEvent::UserSpeechEnd {
                offset_ms: shapes::whole(speech.offset),
                detection_offset_ms: shapes::whole(speech.detection_offset),
            })
        }
        _ => unknown(event.name.into_owned(), payload),
    }
}

fn audio(audio: shapes::Output<'_>) -> Result<OutputEvent, DecodeError> {
    let content = audio.content.ok_or(DecodeError::Missing { event: "audioOutput", field: "content" })?;
    let pcm = base64::decode(&content).map_err(|_| DecodeError::NotBase64)?;
    if pcm.len() % SAMPLE_BYTES != 0 {
        return Err(DecodeError::OddPcm { bytes: pcm.len() });
    }
    Ok(OutputEvent::AudioOutput { content_id: shapes::owned(audio.content_id), pcm: Bytes::from(pcm) })
}

fn text(body: &str) -> Result<OutputEvent, DecodeError> {
    let text: shapes::Output = parse("textOutput", body)?;
    Ok(OutputEvent::TextOutput {
        content_id: shapes::owned(text.content_id),
        role: text.role.as_deref().and_then(shapes::role),
        text: text.content.ok_or(DecodeError::Missing { event: "textOutput", field: "content" })?.into_owned(),
    })
}

fn content_start(body: &str) -> Result<OutputEvent, DecodeError> {
    let start: shapes::ContentStart = parse("contentStart", body)?;
    let content = match start.kind.as_deref().unwrap_or_default() {
        "TEXT" => OutputContent::Text {
            role: start.role.as_deref().and_then(shapes::role),
            stage: start.additional.and_then(|fields| shapes::stage(fields.get())),
        },
        "AUDIO" => OutputContent::Audio {
            rate_hz: start
                .audio
                .and_then(|format| shapes::whole(format.rate))
                .and_then(|hz| u32::try_from(hz).ok())
                .filter(|hz| *hz > 0),
        },
        "TOOL" => OutputContent::Tool,
        other => OutputContent::Other(other.to_owned()),
    };
    Ok(OutputEvent::ContentStart { content_id: shapes::owned(start.content_id), content })
}

fn tool_use(body: &str) -> Result<OutputEvent, DecodeError> {
    let tool: shapes::ToolCall = parse("toolUse", body)?;
    let missing = |field| DecodeError::Missing { event: "toolUse", field };
    Ok(OutputEvent::ToolUse {
        content_id: shapes::owned(tool.content_id),
        tool_use_id: tool.tool_use_id.ok_or_else(|| missing("toolUseId"))?.into_owned(),
        name: tool.tool_name.ok_or_else(|| missing("toolName"))?.into_owned(),
        arguments: tool.content.map(|raw| shapes::unwrapped(raw.get()).into_owned()).unwrap_or_default(),
    })
}

fn usage(body: &str) -> Result<OutputEvent, DecodeError> {
    let usage: shapes::Usage = parse("usageEvent", body)?;
    let details = usage.details.unwrap_or_default();
    let counts = |sides: Option<shapes::Sides<'_>>| {
        let shapes::Sides { input, output } = sides.unwrap_or_default();
        let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
        TokenCounts {
            speech_in: shapes::whole(input.speech).unwrap_or_default(),
            text_in: shapes::whole(input.text).unwrap_or_default(),
            speech_out: shapes::whole(output.speech).unwrap_or_default(),
            text_out: shapes::whole(output.text).unwrap_or_default(),
        }
    };
    Ok(OutputEvent::Usage(UsageDetails { delta: counts(details.delta), total: counts(details.total) }))
}

fn unknown(name: String, payload: &[u8]) -> Result<OutputEvent, DecodeError> {
    // The parser skips over strings it has no use for, without looking at their encoding.
    match std::str::from_utf8(payload) {
        Ok(raw) => Ok(OutputEvent::Unknown { name, raw: raw.to_owned() }),
        Err(error) => Err(DecodeError::NotJson { line: 1, column: error.valid_up_to() + 1 }),
    }
}

fn parse<'a, T: Deserialize<'a>>(event: &'static str, body: &'a str) -> Result<T, DecodeError> {
    // serde's own message would quote the value it did not expect.
    serde_json::from_str(body).map_err(|error| DecodeError::Shape { event, line: error.line(), column: error.column() })
}

#[cfg(test)]
mod tests;
