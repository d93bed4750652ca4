//! Turns from a TOML file, for tests and demonstrations that must go the same way each time.
//!
//! ```toml
//! description = "One line"      # what the file shows, for whoever lists it
//!
//! [service]                     # which build of the service is played; each key may be left out
//! barge_in = "marker"           # how speaking over the answer is told: "marker", "old_marker", "text_end",
//!                               # "audio_first", "speech_only", "audio_end" (reference §2.4)
//! finals = "spoken"             # when FINAL texts come: "spoken" (once heard), "late" (with the first input 2.6 s
//!                               # after that), "next_turn" (behind the next turn's first text), "never"
//! end_turn = "last_audio"       # what ends END_TURN: "last_audio" (and the last FINAL text), "every_text" (too),
//!                               # "never"
//! completions = "stream"        # completionStart and completionEnd once for the "stream", for each "reply", "never"
//! speech_events = true          # whether userSpeechStart and userSpeechEnd are sent
//! announced_audio = true        # whether audio has a contentStart
//!
//! [[fault]]                     # what goes wrong, and where: see faults/table.rs
//! kind = "tcp_reset"
//! after_output = 12
//!
//! [[turn]]                      # taken in order, one for each thing the user says or types
//! heard = "How warm is it?"     # the transcript of a spoken turn; left out: the length of the speech; several
//!                               # strings: as many fragments
//! [[turn.step]]
//! text = "Let me look."         # one sentence; without a sound a soft tone stands for each word
//! [[turn.step]]
//! call = "getWeather"           # the steps after it wait for its result
//! arguments = { city = "Oslo" }
//! double_encoded = true         # the arguments as a JSON string within the JSON string
//! wait = false                  # the steps after it go on; the first that uses a result waits for all
//! [[turn.step]]
//! delay_ms = 300                # waited before the step
//! text = "I was told {result}"  # the JSON of the last result; {result.getWeather} of the last one of that tool,
//!                               # {result.getWeather.days.0} a member of it; in the arguments of a call, too
//! wav = "warm.wav"              # 16-bit mono, its path counted from this file
//! [[turn.step]]
//! event = "interactionTurnEnd"  # an event as it stands, with the common members added
//! fields = { reason = "x" }
//!
//! [[turn]]
//! when = "goodbye"              # instead taken whenever typed text holds this, in any case
//! [[turn.step]]
//! tone_hz = 440
//! tone_ms = 800                 # 500 unless told
//!
//! [[turn]]
//! on_result = "getWeather"      # instead taken when a result of this tool comes after its turn, which the user spoke
//! [[turn.step]]                 # over, as soon as nobody speaks
//! text = "By the way: {result}"
//! ```
//!
//! After the last turn the first one follows again.

mod reader;
mod recording;

use std::{fs, io, path::Path, time::Duration};

use bytes::Bytes;

use super::plan::{Manner, Step};
use crate::emulator::{
    build::Build,
    faults::Fault,
    settings::{BrainAction, TurnRequest},
    sound,
};
use reader::Reader;

const NO_TURN: &str = "The script has no turn for this.";

#[derive(Default)]
pub(in crate::emulator) struct Script {
    build: Build,
    faults: Vec<Fault>,
    in_order: Vec<Turn>,
    /// With the lower-case text they wait for.
    on_text: Vec<(String, Turn)>,
    /// With the tool they wait for.
    on_result: Vec<(String, Turn)>,
}

struct Turn {
    heard: Vec<String>,
    steps: Vec<Planned>,
}

struct Planned {
    after: Duration,
    does: Does,
}

enum Does {
    Say { text: String, sound: Sound },
    Call { name: String, arguments: String, manner: Manner },
    Event { name: String, fields: String },
}

enum Sound {
    Murmur,
    Tone { frequency_hz: f64, duration_ms: u32 },
    Recording { pcm: Bytes, rate_hz: u32 },
}

impl Script {
    pub(super) fn load(path: &Path) -> io::Result<Self> {
        let source = fs::read_to_string(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot read the script {}: {error}", path.display()))
        })?;
        Reader { path, source: &source }.read()
    }

    pub(super) fn build(&self) -> Build {
        self.build
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// `place` is how many turns of the script this stream has had.
    pub(super) fn answer(&self, request: &TurnRequest, place: &mut usize) -> Vec<Step> {
        let typed = request.text.as_deref().map(str::to_lowercase);
        let on_text = typed.and_then(|typed| self.on_text.iter().find(|(when, _)| typed.contains(when)));
        let turn = on_text.map(|(_, turn)| turn).or_else(|| {
            let turn = self.in_order.get(place.checked_rem(self.in_order.len())?);
            *place += 1;
            turn
        });
        let Some(turn) = turn else {
            let say = BrainAction::Say { text: NO_TURN.to_owned(), pcm: None };
            return vec![Step::at_once(say), Step::at_once(BrainAction::Done)];
        };
        turn.play(request.output_rate_hz)
    }

    /// What is said of a result of `tool` that came after its turn.
    pub(super) fn speak_of(&self, tool: &str, rate_hz: u32) -> Option<Vec<Step>> {
        let (_, turn) = self.on_result.iter().find(|(name, _)| name == tool)?;
        Some(turn.play(rate_hz))
    }
}

impl Turn {
    fn play(&self, rate_hz: u32) -> Vec<Step> {
        let heard = self.heard.iter().cloned().map(|text| Step::at_once(BrainAction::Heard(text)));
        let steps = self.steps.iter().zip(0..).map(|(step, call_id)| step.play(call_id, rate_hz));
        heard.chain(steps).chain([Step::at_once(BrainAction::Done)]).collect()
    }
}

impl Planned {
    fn play(&self, call_id: u64, rate_hz: u32) -> Step {
        let mut manner = Manner::default();
        let action = match &self.does {
            Does::Call { name, arguments, manner: of_call } => {
                manner = *of_call;
                BrainAction::Call { call_id, name: name.clone(), arguments: arguments.clone() }
            }
            Does::Event { name, fields } => BrainAction::Event { name: name.clone(), fields: fields.clone() },
            Does::Say { text, sound } => BrainAction::Say { text: text.clone(), pcm: sound.play(rate_hz) },
        };
        Step { after: self.after, action, manner }
    }
}

impl Sound {
    /// None: the murmur that stands in for words.
    fn play(&self, rate_hz: u32) -> Option<Bytes> {
        match self {
            Self::Murmur => None,
            Self::Tone { frequency_hz, duration_ms } => Some(sound::tone(*frequency_hz, *duration_ms, rate_hz).into()),
            Self::Recording { pcm, rate_hz: from_hz } => Some(sound::resample(pcm, *from_hz, rate_hz)),
        }
    }
}

#[cfg(test)]
mod tests;
