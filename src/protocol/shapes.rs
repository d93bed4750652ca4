//! The members of the service's events as serde sees them, and readers for what sources write in several ways.
//!
//! Every member is optional here: an event with a missing id is still an event. `decode` decides what is indispensable.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{ContentKind, GenerationStage, Role, StopReason};

const KNOWN: [&str; 10] = [
    "audioOutput",
    "textOutput",
    "contentStart",
    "contentEnd",
    "completionStart",
    "completionEnd",
    "toolUse",
    "usageEvent",
    "userSpeechStart",
    "userSpeechEnd",
];

/// Strings wrapped in strings deeper than this are left as they are; nobody has reported more than two.
const MAX_WRAPPINGS: usize = 4;

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) event: Member<'a>,
}

/// A chunk with one `audioOutput` and no other event.
#[derive(Deserialize)]
pub(super) struct AudioEnvelope<'a> {
    #[serde(borrow)]
    pub(super) event: AudioMember<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AudioMember<'a> {
    #[serde(borrow, rename = "audioOutput")]
    pub(super) audio: Output<'a>,
}

/// The first event we know under `event`, or the first of all if we know none.
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) known: Option<&'static str>,
    pub(super) body: &'a RawValue,
    /// Another event we know in the same chunk.
    pub(super) second: Option<&'static str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemberVisitor;

        impl<'de> Visitor<'de> for MemberVisitor {
            type Value = Member<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member<'de>, A::Error> {
                let mut found: Option<Member<'de>> = None;
                while let Some((Name(name), body)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    let known = KNOWN.into_iter().find(|known| *known == name);
                    match &mut found {
                        Some(member) if member.known.is_some() => member.second = member.second.or(known),
                        Some(_) if known.is_none() => {}
                        _ => found = Some(Member { name, known, body, second: None }),
                    }
                }
                found.ok_or_else(|| A::Error::custom("no event"))
            }
        }

        deserializer.deserialize_map(MemberVisitor)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// `textOutput` and `audioOutput`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) content_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) role: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentStart<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) content_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text", rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) role: Option<Cow<'a, str>>,
    /// A string of JSON, a string of a string of JSON, or the object itself.
    #[serde(borrow, rename = "additionalModelFields")]
    pub(super) additional: Option<&'a RawValue>,
    #[serde(borrow, rename = "audioOutputConfiguration")]
    pub(super) audio: Option<AudioFormat<'a>>,
}

#[derive(Deserialize)]
pub(super) struct AudioFormat<'a> {
    #[serde(borrow, rename = "sampleRateHertz")]
    pub(super) rate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentEnd<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) content_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text", rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) stop_reason: Option<Cow<'a, str>>,
}

/// `completionStart` and `completionEnd`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Completion<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) completion_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolCall<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) content_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) tool_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Usage<'a> {
    #[serde(borrow)]
    pub(super) details: Option<UsageSides<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct UsageSides<'a> {
    #[serde(borrow)]
    pub(super) delta: Option<Sides<'a>>,
    #[serde(borrow)]
    pub(super) total: Option<Sides<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Sides<'a> {
    #[serde(borrow)]
    pub(super) input: Option<Tokens<'a>>,
    #[serde(borrow)]
    pub(super) output: Option<Tokens<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Tokens<'a> {
    #[serde(borrow, rename = "speechTokens")]
    pub(super) speech: Option<&'a RawValue>,
    #[serde(borrow, rename = "textTokens")]
    pub(super) text: Option<&'a RawValue>,
}

/// `userSpeechStart` and `userSpeechEnd`, which no document describes.
#[derive(Deserialize)]
pub(super) struct UserSpeech<'a> {
    #[serde(borrow, rename = "inputAudioOffsetMs")]
    pub(super) offset: Option<&'a RawValue>,
    #[serde(borrow, rename = "inputAudioDetectionOffsetMs")]
    pub(super) detection_offset: Option<&'a RawValue>,
}

/// Borrows where the JSON has no escapes; serde's `Option<Cow<str>>` would always copy.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(Option::<Name<'a>>::deserialize(deserializer)?.map(|Name(text)| text))
}

pub(super) fn owned(id: Option<Cow<'_, str>>) -> String {
    id.map(Cow::into_owned).unwrap_or_default()
}

/// A count or an offset, written as an integer, a float or a string of either. None if it is nothing of these.
pub(super) fn whole(raw: Option<&RawValue>) -> Option<u64> {
    let digits = raw?.get().trim_matches('"');
    digits.parse().ok().or_else(|| {
        let number = digits.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
        // A float cast saturates, and milliseconds or tokens beyond 2^53 do not exist.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(number.round() as u64)
    })
}

pub(super) fn role(name: &str) -> Option<Role> {
    match name {
        "USER" => Some(Role::User),
        "ASSISTANT" => Some(Role::Assistant),
        "TOOL" => Some(Role::Tool),
        "SYSTEM" => Some(Role::System),
        "SYSTEM_SPEECH" => Some(Role::SystemSpeech),
        _ => None,
    }
}

pub(super) fn content_kind(name: &str) -> Option<ContentKind> {
    match name {
        "TEXT" => Some(ContentKind::Text),
        "AUDIO" => Some(ContentKind::Audio),
        "TOOL" => Some(ContentKind::Tool),
        _ => None,
    }
}

pub(super) fn stop_reason(name: Option<&str>) -> StopReason {
    match name.unwrap_or_default() {
        "PARTIAL_TURN" => StopReason::PartialTurn,
        "END_TURN" => StopReason::EndTurn,
        "INTERRUPTED" => StopReason::Interrupted,
        "TOOL_USE" => StopReason::ToolUse,
        other => StopReason::Other(other.to_owned()),
    }
}

/// The stage in `additionalModelFields`, or None where it holds none we know.
pub(super) fn stage(raw: &str) -> Option<GenerationStage> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields<'a> {
        #[serde(borrow, default, deserialize_with = "text")]
        generation_stage: Option<Cow<'a, str>>,
    }
    let fields = unwrapped(raw);
    let fields: Fields<'_> = serde_json::from_str(&fields).ok()?;
    match fields.generation_stage?.as_ref() {
        "SPECULATIVE" => Some(GenerationStage::Speculative),
        "FINAL" => Some(GenerationStage::Final),
        _ => None,
    }
}

/// The JSON inside a JSON string, however often it was wrapped (LK peels one layer, others none).
pub(super) fn unwrapped(raw: &str) -> Cow<'_, str> {
    let mut json = Cow::Borrowed(raw);
    for _ in 0..MAX_WRAPPINGS {
        match serde_json::from_str::<String>(&json) {
            Ok(inner) => json = Cow::Owned(inner),
            Err(_) => break,
        }
    }
    json
}
