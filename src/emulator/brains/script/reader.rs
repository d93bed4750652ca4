//! A script's file: its tables, and what is wrong with them by file, line and key.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::{Does, Planned, Script, Sound, Turn, recording};
use crate::emulator::{
    brains::{plan::Manner, results},
    build::{BargeIn, Build},
    faults::Table as FaultTable,
};

const TONE_MS: u32 = 500;
const LONGEST_TONE_MS: u32 = 60_000;
const LONGEST_DELAY_MS: u64 = 8 * 60_000;
/// Half the lowest output rate.
const HIGHEST_TONE_HZ: f64 = 4_000.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    /// For whoever lists the file; the emulator has no use for it.
    #[serde(rename = "description")]
    _description: Option<String>,
    service: Option<Spanned<Build>>,
    #[serde(default)]
    fault: Vec<Spanned<FaultTable>>,
    turn: Vec<TurnTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnTable {
    when: Option<Spanned<String>>,
    on_result: Option<Spanned<String>>,
    heard: Option<Spanned<Heard>>,
    step: Vec<Spanned<StepTable>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Heard {
    Whole(String),
    Fragments(Vec<String>),
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
    arguments: Option<Spanned<Map<String, Value>>>,
    wait: Option<Spanned<bool>>,
    double_encoded: Option<Spanned<bool>>,
    event: Option<Spanned<String>>,
    fields: Option<Spanned<Map<String, Value>>>,
}

pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) source: &'a str,
}

impl Reader<'_> {
    pub(super) fn read(&self) -> io::Result<Script> {
        let file: FileTable = toml::from_str(self.source).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            // The key is in the message where it is unknown or missing, and on the line shown where its value is bad.
            let line = self.source.lines().nth(self.line(&at) - 1).unwrap_or_default().trim();
            self.error(&at, format_args!("{} in `{line}`", error.message()))
        })?;
        if file.turn.is_empty() {
            return Err(self.error(&(0..0), "turn: a script needs at least one [[turn]]"));
        }
        let mut script = Script::default();
        if let Some(build) = file.service {
            script.build = *build.get_ref();
            if script.build.barge_in == BargeIn::SpeechOnly && !script.build.speech_events {
                return Err(self.error(&build.span(), "barge_in: speech_only needs speech_events"));
            }
        }
        for table in file.fault {
            let at = table.span();
            script.faults.push(table.into_inner().fault().map_err(|wrong| self.error(&at, wrong))?);
        }
        for table in file.turn {
            let TurnTable { when, on_result, heard, step } = table;
            if let (Some(on_result), true) = (&on_result, when.is_some() || heard.is_some()) {
                return Err(self.error(&on_result.span(), "on_result: nobody speaks or types in such a turn"));
            }
            let mut known: Vec<String> = on_result.iter().map(|tool| tool.get_ref().clone()).collect();
            let steps = step.into_iter().map(|step| self.step(step, &mut known)).collect::<io::Result<_>>()?;
            let heard = match heard.map(Spanned::into_inner) {
                None => Vec::new(),
                Some(Heard::Whole(text)) => vec![text],
                Some(Heard::Fragments(texts)) => texts,
            };
            let turn = Turn { heard, steps };
            match (when, on_result) {
                (None, None) => script.in_order.push(turn),
                (None, Some(tool)) => script.on_result.push((tool.into_inner(), turn)),
                (Some(when), _) if when.get_ref().trim().is_empty() => {
                    return Err(self.error(&when.span(), "when: empty text is in every text"));
                }
                (Some(when), _) => script.on_text.push((when.into_inner().to_lowercase(), turn)),
            }
        }
        Ok(script)
    }

    /// `known` are the tools whose results a text may name.
    fn step(&self, table: Spanned<StepTable>, known: &mut Vec<String>) -> io::Result<Planned> {
        let at = table.span();
        let table = table.into_inner();
        let after = match table.delay_ms {
            Some(delay) if *delay.get_ref() > LONGEST_DELAY_MS => {
                return Err(self.error(&delay.span(), format_args!("delay_ms: more than {LONGEST_DELAY_MS}")));
            }
            delay => Duration::from_millis(delay.map_or(0, Spanned::into_inner)),
        };
        let says = table.text.is_some() || table.wav.is_some() || table.tone_hz.is_some();
        self.only_with(
            "call",
            table.call.is_some(),
            &[
                ("arguments", table.arguments.as_ref().map(Spanned::span)),
                ("wait", table.wait.as_ref().map(Spanned::span)),
                ("double_encoded", table.double_encoded.as_ref().map(Spanned::span)),
            ],
        )?;
        self.only_with("event", table.event.is_some(), &[("fields", table.fields.as_ref().map(Spanned::span))])?;
        let does = match (table.call, table.event, says) {
            (Some(call), Some(_), _) | (Some(call), _, true) => {
                return Err(self.error(&call.span(), "call: a step speaks, calls or is an event, and only one of them"));
            }
            (None, Some(event), true) => {
                return Err(self.error(&event.span(), "event: a step speaks or is an event, not both"));
            }
            (None, None, false) => return Err(self.error(&at, "step: it needs text, wav, tone_hz, call or event")),
            (Some(name), None, false) => {
                let at = table.arguments.as_ref().map_or(at, Spanned::span);
                let arguments = self.json("arguments", table.arguments)?;
                self.check_places("arguments", &arguments, &at, known)?;
                let manner = Manner {
                    beside: table.wait.is_some_and(|wait| !wait.into_inner()),
                    twice: table.double_encoded.is_some_and(Spanned::into_inner),
                };
                known.push(name.get_ref().clone());
                Does::Call { name: name.into_inner(), arguments, manner }
            }
            (None, Some(name), false) => {
                Does::Event { name: name.into_inner(), fields: self.json("fields", table.fields)? }
            }
            (None, None, true) => {
                let at = table.text.as_ref().map_or(at, Spanned::span);
                let text = table.text.map_or_else(String::new, Spanned::into_inner);
                self.check_places("text", &text, &at, known)?;
                Does::Say { text, sound: self.sound(table.wav, table.tone_hz, table.tone_ms)? }
            }
        };
        Ok(Planned { after, does })
    }

    fn only_with(&self, key: &str, is_there: bool, others: &[(&str, Option<Range<usize>>)]) -> io::Result<()> {
        match others.iter().find_map(|(name, at)| at.as_ref().map(|at| (name, at))) {
            Some((name, at)) if !is_there => Err(self.error(at, format_args!("{name}: only with {key}"))),
            _ => Ok(()),
        }
    }

    /// A result that no call can have brought would be left out in silence.
    fn check_places(&self, key: &str, text: &str, at: &Range<usize>, known: &[String]) -> io::Result<()> {
        for tool in results::named(text) {
            if !tool.map_or(!known.is_empty(), |tool| known.iter().any(|name| name == tool)) {
                let tool = tool.unwrap_or("any tool");
                return Err(self.error(at, format_args!("{key}: a result of {tool} before it was called in this turn")));
            }
        }
        Ok(())
    }

    fn json(&self, key: &str, table: Option<Spanned<Map<String, Value>>>) -> io::Result<String> {
        let at = table.as_ref().map_or(0..0, Spanned::span);
        let json = Value::from(table.map(Spanned::into_inner).unwrap_or_default()).to_string();
        // How the TOML reader hands dates to other formats.
        if json.contains("$__toml_private_datetime") {
            return Err(self.error(&at, format_args!("{key}: JSON has no dates; write them as strings")));
        }
        Ok(json)
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
            (Some(wav), None, None) => {
                let path = self.path.parent().unwrap_or(Path::new("")).join(wav.get_ref());
                recording::read(&path)
                    .map_err(|wrong| self.error(&wav.span(), format_args!("wav: {}: {wrong}", wav.get_ref().display())))
            }
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

    fn error(&self, at: &Range<usize>, message: impl fmt::Display) -> io::Error {
        let text = format!("{}:{}: {message}", self.path.display(), self.line(at));
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn line(&self, at: &Range<usize>) -> usize {
        self.source.get(..at.start).map_or(1, |before| before.matches('\n').count() + 1)
    }
}
