//! Where builds of the service differ: regions and months were recorded to behave differently (reference §2.3, §2.4).
//!
//! A script says which of them it plays; every other brain gets the one that was recorded most.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Build {
    pub(super) barge_in: BargeIn,
    pub(super) finals: Finals,
    pub(super) end_turn: EndTurn,
    pub(super) completions: Completions,
    /// Whether `userSpeechStart` and `userSpeechEnd` are sent.
    pub(super) speech_events: bool,
    /// Whether audio has a `contentStart`.
    pub(super) announced_audio: bool,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            barge_in: BargeIn::Marker,
            finals: Finals::Spoken,
            end_turn: EndTurn::LastAudio,
            completions: Completions::Stream,
            speech_events: true,
            announced_audio: true,
        }
    }
}

/// How the client learns that the user spoke over the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BargeIn {
    /// An ASSISTANT text `{ "interrupted" : true }`, whose block ends INTERRUPTED.
    Marker,
    /// The same as older builds spelt it: no blanks, and a line feed at the end.
    OldMarker,
    /// No marker: the FINAL text of what was heard ends INTERRUPTED, and nothing else tells.
    TextEnd,
    /// AUDIO ends `END_TURN` first, then the FINAL text of what was heard ends INTERRUPTED.
    AudioFirst,
    /// Only `userSpeechStart`: every block ends `PARTIAL_TURN`.
    SpeechOnly,
    /// AUDIO ends INTERRUPTED.
    AudioEnd,
}

/// When the FINAL text of a sentence comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finals {
    /// As soon as the sentence was heard.
    Spoken,
    /// With the first input that comes 2.6 seconds after that, or later.
    Late,
    /// After the next turn has begun: behind its first SPECULATIVE text.
    NextTurn,
    Never,
}

/// Which blocks of the assistant end with `END_TURN`; all others end `PARTIAL_TURN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndTurn {
    /// The last AUDIO block and the last FINAL text.
    LastAudio,
    /// The last AUDIO block and every text.
    EveryText,
    Never,
}

/// What `completionStart` and `completionEnd` enclose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Completions {
    /// The stream, as measured: the end comes after `promptEnd`.
    Stream,
    /// Each reply, as the documentation reads.
    Reply,
    Never,
}
