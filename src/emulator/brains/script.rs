//! Turns from a TOML file, for tests and demonstrations that must go the same way each time.
//!
//! ```toml
//! [[turn]]                      # taken in order, one for each thing the user says or types
//! heard = "How warm is it?"     # the transcript of a spoken turn; left out: the length of the speech
//! [[turn.step]]
//! text = "Let me look."         # one sentence; without a sound a soft tone stands for each word
//! [[turn.step]]
//! call = "getWeather"           # the steps after it wait for its result
//! arguments = { city = "Oslo" }
//! [[turn.step]]
//! delay_ms = 300                # waited before the step
//! text = "I was told {result}"  # the JSON of the last tool result
//! wav = "warm.wav"              # 16-bit mono, its path counted from this file
//!
//! [[turn]]
//! when = "goodbye"              # instead taken whenever typed text holds this, in any case
//! [[turn.step]]
//! tone_hz = 440
//! tone_ms = 800                 # 500 unless told
//! ```
//!
//! After the last turn the first one follows again.

use std::{
    fmt, fs, io,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use serde::Deserialize;
use toml::Spanned;

use super::plan::Step;
use crate::emulator::{
    settings::{BrainAction, TurnRequest},
    sound,
};

const TONE_MS: u32 = 500;
const LONGEST_TONE_MS: u32 = 60_000;
const LONGEST_DELAY_MS: u64 = 8 * 60_000;
/// Half the lowest output rate.
const HIGHEST_TONE_HZ: f64 = 4_000.0;
const NO_TURN: &str = "The script has no turn for this.";

pub(in crate::emulator) struct Script {
    in_order: Vec<Turn>,
    /// With the lower-case text they wait for.
    on_text: Vec<(String, Turn)>,
}

struct Turn {
    heard: Option<String>,
    steps: Vec<Planned>,
}

struct Planned {
    after: Duration,
    does: Does,
}

enum Does {
    Say { text: String, sound: Sound },
    Call { name: String, arguments: String },
}

enum Sound {
    Murmur,
    Tone { frequency_hz: f64, duration_ms: u32 },
    Recording { pcm: Bytes, rate_hz: u32 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    turn: Vec<TurnTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnTable {
    when: Option<Spanned<String>>,
    heard: Option<String>,
    step: Vec<Spanned<StepTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    delay_ms: Option<Spanned<u64>>,
    text: Option<Spanned<String>>,
    wav: Option<Spanned<PathBuf>>,
    tone_hz: Option<Spanned<f64>>,
    tone_ms: Option<Spanned<u32>>,
    call: Option<Spanned<String>>,
    arguments: Option<Spanned<serde_json::Map<String, serde_json::Value>>>,
}

impl Script {
    pub(super) fn load(path: &Path) -> io::Result<Self> {
        let source = fs::read_to_string(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot read the script {}: {error}", path.display()))
        })?;
        Reader { path, source: &source }.read()
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
        let heard = turn.heard.clone().map(|text| Step::at_once(BrainAction::Heard(text)));
        let steps = turn.steps.iter().zip(0..).map(|(step, call_id)| step.play(call_id, request.output_rate_hz));
        heard.into_iter().chain(steps).chain([Step::at_once(BrainAction::Done)]).collect()
    }
}

impl Planned {
    fn play(&self, call_id: u64, rate_hz: u32) -> Step {
        let action = match &self.does {
            Does::Call { name, arguments } => {
                BrainAction::Call { call_id, name: name.clone(), arguments: arguments.clone() }
            }
            Does::Say { text, sound } => BrainAction::Say {
                text: text.clone(),
                pcm: match sound {
                    Sound::Murmur => None,
                    Sound::Tone { frequency_hz, duration_ms } => {
                        Some(sound::tone(*frequency_hz, *duration_ms, rate_hz).into())
                    }
                    Sound::Recording { pcm, rate_hz: from_hz } => Some(sound::resample(pcm, *from_hz, rate_hz)),
                },
            },
        };
        Step { after: self.after, action }
    }
}

struct Reader<'a> {
    path: &'a Path,
    source: &'a str,
}

impl Reader<'_> {
    fn read(&self) -> io::Result<Script> {
        let file: FileTable = toml::from_str(self.source).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            // The key is in the message where it is unknown or missing, and on the line shown where its value is bad.
            let line = self.source.lines().nth(self.line(&at) - 1).unwrap_or_default().trim();
            self.error(&at, format_args!("{} in `{line}`", error.message()))
        })?;
        if file.turn.is_empty() {
            return Err(self.error(&(0..0), "turn: a script needs at least one [[turn]]"));
        }
        let mut script = Script { in_order: Vec::new(), on_text: Vec::new() };
        for table in file.turn {
            let steps = table.step.into_iter().map(|step| self.step(step)).collect::<io::Result<_>>()?;
            let turn = Turn { heard: table.heard, steps };
            match table.when {
                None => script.in_order.push(turn),
                Some(when) if when.get_ref().trim().is_empty() => {
                    return Err(self.error(&when.span(), "when: empty text is in every text"));
                }
                Some(when) => script.on_text.push((when.into_inner().to_lowercase(), turn)),
            }
        }
        Ok(script)
    }

    fn step(&self, table: Spanned<StepTable>) -> io::Result<Planned> {
        let at = table.span();
        let table = table.into_inner();
        let after = match table.delay_ms {
            Some(delay) if *delay.get_ref() > LONGEST_DELAY_MS => {
                return Err(self.error(&delay.span(), format_args!("delay_ms: more than {LONGEST_DELAY_MS}")));
            }
            delay => Duration::from_millis(delay.map_or(0, Spanned::into_inner)),
        };
        let says = table.text.is_some() || table.wav.is_some() || table.tone_hz.is_some();
        let does = match (table.call, says) {
            (Some(call), true) => return Err(self.error(&call.span(), "call: a step speaks or calls, not both")),
            (Some(name), false) => self.call(name.into_inner(), table.arguments)?,
            (None, false) => return Err(self.error(&at, "step: it needs text, wav, tone_hz or call")),
            (None, true) => {
                if let Some(arguments) = table.arguments {
                    return Err(self.error(&arguments.span(), "arguments: only with call"));
                }
                let sound = self.sound(table.wav, table.tone_hz, table.tone_ms)?;
                Does::Say { text: table.text.map_or_else(String::new, Spanned::into_inner), sound }
            }
        };
        Ok(Planned { after, does })
    }

    fn call(
        &self,
        name: String,
        arguments: Option<Spanned<serde_json::Map<String, serde_json::Value>>>,
    ) -> io::Result<Does> {
        let at = arguments.as_ref().map_or(0..0, Spanned::span);
        let arguments = serde_json::Value::from(arguments.map(Spanned::into_inner).unwrap_or_default()).to_string();
        // How the TOML reader hands dates to other formats.
        if arguments.contains("$__toml_private_datetime") {
            return Err(self.error(&at, "arguments: JSON has no dates; write them as strings"));
        }
        Ok(Does::Call { name, arguments })
    }

    fn sound(
        &self,
        wav: Option<Spanned<PathBuf>>,
        tone_hz: Option<Spanned<f64>>,
        tone_ms: Option<Spanned<u32>>,
    ) -> io::Result<Sound> {
        match (wav, tone_hz, tone_ms) {
            (Some(_), Some(tone), _) => Err(self.error(&tone.span(), "tone_hz: the step has a wav already")),
            (_, None, Some(duration)) => Err(self.error(&duration.span(), "tone_ms: only with tone_hz")),
            (Some(wav), None, None) => self.recording(&wav),
            (None, Some(tone), duration) => {
                let frequency_hz = *tone.get_ref();
                if !(20.0..HIGHEST_TONE_HZ).contains(&frequency_hz) {
                    return Err(self.error(&tone.span(), format_args!("tone_hz: outside 20 to {HIGHEST_TONE_HZ}")));
                }
                if let Some(duration) = duration.as_ref().filter(|ms| !(1..=LONGEST_TONE_MS).contains(ms.get_ref())) {
                    let message = format_args!("tone_ms: outside 1 to {LONGEST_TONE_MS}");
                    return Err(self.error(&duration.span(), message));
                }
                Ok(Sound::Tone { frequency_hz, duration_ms: duration.map_or(TONE_MS, Spanned::into_inner) })
            }
            (None, None, None) => Ok(Sound::Murmur),
        }
    }

    fn recording(&self, wav: &Spanned<PathBuf>) -> io::Result<Sound> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(wav.get_ref());
        let fail = |message: &dyn fmt::Display| {
            self.error(&wav.span(), format_args!("wav: {}: {message}", wav.get_ref().display()))
        };
        let reader = hound::WavReader::open(path).map_err(|error| fail(&error))?;
        let spec = reader.spec();
        if spec.channels != 1 || spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
            return Err(fail(&"not 16-bit mono PCM"));
        }
        if !(8_000..=48_000).contains(&spec.sample_rate) {
            return Err(fail(&"its rate is outside 8,000 to 48,000 Hz"));
        }
        let mut pcm = Vec::new();
        for sample in reader.into_samples::<i16>() {
            pcm.extend_from_slice(&sample.map_err(|error| fail(&error))?.to_le_bytes());
        }
        Ok(Sound::Recording { pcm: pcm.into(), rate_hz: spec.sample_rate })
    }

    fn error(&self, at: &Range<usize>, message: impl fmt::Display) -> io::Error {
        let text = format!("{}:{}: {message}", self.path.display(), self.line(at));
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn line(&self, at: &Range<usize>) -> usize {
        self.source.get(..at.start).map_or(1, |before| before.matches('\n').count() + 1)
    }
}

#[cfg(test)]
mod tests;
