//! The service's side of one stream: it understands utterances, answers them with text and sound, and calls tools.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use super::{
    dice::{Dice, Weather},
    world::{MS, SharedWorld, UNIT_SAMPLES, lock, results, tokens},
};
use crate::session::tests::peer::Heard;

/// The pause that ends an utterance.
const PAUSE_BYTES: u64 = 480 * MS as u64;

pub(super) struct Model {
    pub(super) stream: usize,
    pub(super) dice: Dice,
    weather: Weather,
    world: SharedWorld,
    /// What is to be said, and when.
    pub(super) script: BTreeMap<(Duration, u64), Line>,
    lines: u64,
    blocks: u64,
    /// Bytes of audio heard.
    position: u64,
    silent_bytes: u64,
    /// The units of the utterance that is being spoken, and all so far.
    speaking: BTreeMap<i16, usize>,
    heard: BTreeMap<i16, usize>,
    /// What waits for an answer.
    asked: Vec<String>,
    /// What the reply answers that is on its way.
    answering: Vec<String>,
    reply_began: bool,
    answered_any: bool,
    /// When the text of the last utterance comes: they keep their order.
    last_text: Duration,
    /// Calls without a result, by id: for which utterance, and whether the reply waits for it.
    waiting: BTreeMap<String, (u32, bool)>,
    /// Results given to this stream, and those that it was only told of.
    known: BTreeSet<u32>,
    read: BTreeSet<u32>,
    history: Vec<(String, String)>,
    /// When the history was complete.
    begun: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) event: Value,
    /// Of the reply: it is not said any more once the user barges in.
    reply: bool,
    /// With it the reply is complete.
    last: bool,
    /// What was said once this is.
    said: Option<String>,
}

impl Model {
    pub(super) fn new(stream: usize, world: &SharedWorld) -> Self {
        let (dice, weather) = {
            let world = lock(world);
            (world.dice(1_000 + stream as u64), world.weather.clone())
        };
        Self {
            stream,
            dice,
            weather,
            world: world.clone(),
            script: BTreeMap::new(),
            lines: 0,
            blocks: 0,
            position: 0,
            silent_bytes: 0,
            speaking: BTreeMap::new(),
            heard: BTreeMap::new(),
            asked: Vec::new(),
            answering: Vec::new(),
            reply_began: false,
            answered_any: false,
            last_text: Duration::ZERO,
            waiting: BTreeMap::new(),
            known: BTreeSet::new(),
            read: BTreeSet::new(),
            history: Vec::new(),
            begun: None,
        }
    }

    pub(super) fn hears(&mut self, heard: Heard, now: Duration) {
        match heard {
            Heard::Audio(pcm) => self.hears_audio(&pcm, now),
            Heard::History(role, text) => {
                self.learn(&text);
                self.history.push((role, text));
            }
            Heard::Text(text) => {
                lock(&self.world).note(now, || format!("stream {} is asked {text:?}", self.stream));
                // Later it may have to be: an older stream was to answer it, and broke.
                let told = if self.begun == Some(now) { self.unanswered() } else { Vec::new() };
                for token in tokens(&text) {
                    assert!(!told.contains(&token), "{token} is asked and was told: {:?}", self.history);
                }
                self.learn(&text);
                if self.weather.echoes && !tokens(&text).is_empty() {
                    let at = now + Duration::from_millis(5);
                    self.says_text("USER", "FINAL", &text, at, false, "PARTIAL_TURN");
                }
                let mut asked = tokens(&text);
                if asked.is_empty() {
                    asked.push("note".to_owned());
                }
                self.ask(asked, now);
            }
            Heard::Result(id, json) => {
                let (number, holds) = self.waiting.remove(&id).unwrap_or_else(|| panic!("nobody waits for {id}"));
                assert_eq!(results(&json), [number], "the result of another call");
                lock(&self.world).told.insert(number);
                self.known.insert(number);
                if !holds {
                    self.asked.push(format!("r{number}"));
                }
                self.reply(now);
            }
        }
    }

    /// What the history ends with, where that is a question.
    fn unanswered(&self) -> Vec<String> {
        self.history.last().filter(|(role, _)| role == "USER").map(|(_, text)| tokens(text)).unwrap_or_default()
    }

    fn learn(&mut self, text: &str) {
        let results = results(text);
        lock(&self.world).told.extend(&results);
        self.read.extend(&results);
    }

    /// The history is complete: what must hold for it.
    pub(super) fn begins(&mut self, most_bytes: usize, now: Duration) {
        self.begun = Some(now);
        let bytes: usize = self.history.iter().map(|(_, text)| text.len()).sum();
        assert!(bytes <= most_bytes, "{bytes} bytes of history");
        for pair in self.history.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "the roles do not alternate: {:?}", self.history);
        }
        let users = self.history.iter().filter(|(role, _)| role == "USER");
        let told: Vec<String> = users.flat_map(|(_, text)| tokens(text)).collect();
        let once: BTreeSet<&String> = told.iter().collect();
        // By ear alone something may have to be said twice.
        assert!(once.len() == told.len() || !self.weather.offsets, "told twice: {told:?}");
    }

    fn hears_audio(&mut self, pcm: &[u8], now: Duration) {
        let samples: Vec<i16> = pcm.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        for run in samples.chunk_by(|one, other| one == other) {
            self.position += run.len() as u64 * 2;
            if run[0] == 0 {
                self.silent_bytes += run.len() as u64 * 2;
                if self.silent_bytes >= PAUSE_BYTES && !self.speaking.is_empty() {
                    self.understands(now);
                }
                continue;
            }
            self.silent_bytes = 0;
            if self.speaking.is_empty() {
                self.voice_begins(now);
            }
            *self.speaking.entry(run[0]).or_default() += run.len();
            let heard = self.heard.entry(run[0]).or_default();
            *heard += run.len();
            assert!(*heard <= UNIT_SAMPLES, "stream {} hears unit {} twice", self.stream, run[0]);
        }
    }

    fn voice_begins(&mut self, now: Duration) {
        if self.weather.offsets {
            let offset = self.position / MS as u64;
            self.plain(json!({"event": {"userSpeechStart": {"inputAudioOffsetMs": offset}}}), now);
        }
        // What was to be said is not said; a reply that has not begun will answer all together.
        self.script.retain(|_, line| !line.reply);
        let answering = std::mem::take(&mut self.answering);
        if !self.reply_began {
            self.asked.splice(0..0, answering);
        } else if self.weather.markers {
            self.says_text("ASSISTANT", "FINAL", "{ \"interrupted\" : true }", now, false, "INTERRUPTED");
        }
        self.reply_began = false;
    }

    /// An utterance is complete.
    fn understands(&mut self, now: Duration) {
        let units = std::mem::take(&mut self.speaking);
        let mut words = Vec::new();
        {
            let mut world = lock(&self.world);
            let numbers: BTreeSet<u32> = units.keys().map(|unit| world.utterance(*unit)).collect();
            for number in numbers {
                let whole = world.spoken[&number].clone().all(|unit| units.get(&unit) == Some(&UNIT_SAMPLES));
                if whole {
                    world.whole.insert(number);
                    words.push(format!("u{number}"));
                } else {
                    words.push(format!("part-of-u{number}"));
                }
            }
            world.note(now, || format!("stream {} understands {words:?}", self.stream));
        }
        if self.weather.offsets {
            let offset = self.position / MS as u64;
            let end = json!({"event": {"userSpeechEnd": {"inputAudioOffsetMs": offset.saturating_sub(480),
                "inputAudioDetectionOffsetMs": offset}}});
            self.plain(end, now);
        }
        let at = self.last_text.max(now + self.dice.ms(0, 250));
        self.last_text = at;
        self.says_text("USER", "FINAL", &words.join(" "), at, false, "PARTIAL_TURN");
        self.ask(words, at);
    }

    fn ask(&mut self, tokens: Vec<String>, now: Duration) {
        self.asked.extend(tokens);
        self.reply(now);
    }

    /// Begins to answer, unless something must come before that.
    fn reply(&mut self, now: Duration) {
        let waits = |waiting: &BTreeMap<String, (u32, bool)>| waiting.values().any(|(_, holds)| *holds);
        let busy = !self.answering.is_empty() || !self.speaking.is_empty();
        if busy || self.asked.is_empty() || waits(&self.waiting) {
            return;
        }
        let mut at = now + self.dice.ms(20, 300);
        for token in self.asked.clone() {
            if let Ok(number) = token.trim_start_matches('u').parse::<u32>()
                && self.calls_for(number)
            {
                self.call(number, at);
                at += Duration::from_millis(5);
            }
        }
        if waits(&self.waiting) {
            return;
        }
        self.answering = std::mem::take(&mut self.asked);
        let mut answered = self.answering.join(" ");
        if !std::mem::replace(&mut self.answered_any, true) {
            // It has read what was left without an answer.
            answered.extend(self.unanswered().iter().flat_map(|token| [" ", token]));
        }
        let sentences = self.dice.within(1, 2);
        for sentence in 1..=sentences {
            let text = format!("re {answered} part {sentence}");
            self.says_text("ASSISTANT", "SPECULATIVE", &text, at, true, "PARTIAL_TURN");
            let block = self.block();
            self.line(audio_start(&block), at, true);
            for _ in 0..self.dice.within(1, 5) {
                at += self.dice.ms(5, 60);
                let pcm = BASE64.encode(vec![1_u8; 80 * MS]);
                self.line(json!({"event": {"audioOutput": {"contentId": block, "content": pcm}}}), at, true);
            }
            let last = sentence == sentences;
            let reason = if last { "END_TURN" } else { "PARTIAL_TURN" };
            let end = json!({"event": {"contentEnd": {"contentId": block, "type": "AUDIO", "stopReason": reason}}});
            self.lines += 1;
            self.script.insert((at, self.lines), Line { event: end, reply: true, last, said: Some(text) });
        }
    }

    fn calls_for(&mut self, number: u32) -> bool {
        let always = lock(&self.world).dice(50_000 + u64::from(number)).percent(self.weather.tools);
        let calls_here = self.waiting.values().any(|(waiting, _)| *waiting == number);
        let knows = self.known.contains(&number) || (self.read.contains(&number) && self.dice.percent(70));
        always && !calls_here && !knows
    }

    fn call(&mut self, number: u32, at: Duration) {
        let id = format!("call-{}-{number}", self.stream);
        let block = self.block();
        let holds = !lock(&self.world).dice(60_000 + u64::from(number)).percent(25);
        for event in [
            json!({"event": {"contentStart": {"contentId": block, "type": "TOOL", "role": "TOOL"}}}),
            json!({"event": {"toolUse": {"contentId": block, "toolUseId": id, "toolName": "look",
                "content": format!("{{\"u\":{number}}}")}}}),
            json!({"event": {"contentEnd": {"contentId": block, "type": "TOOL", "stopReason": "TOOL_USE"}}}),
        ] {
            self.line(event, at, false);
        }
        self.waiting.insert(id, (number, holds));
    }

    fn block(&mut self) -> String {
        self.blocks += 1;
        format!("block-{}-{}", self.stream, self.blocks)
    }

    fn says_text(&mut self, role: &str, stage: &str, text: &str, at: Duration, reply: bool, reason: &str) {
        let block = self.block();
        let stage = json!({"generationStage": stage}).to_string();
        for event in [
            json!({"event": {"contentStart": {"contentId": block, "type": "TEXT", "role": role,
                "additionalModelFields": stage}}}),
            json!({"event": {"textOutput": {"contentId": block, "role": role, "content": text}}}),
            json!({"event": {"contentEnd": {"contentId": block, "type": "TEXT", "stopReason": reason}}}),
        ] {
            self.line(event, at, reply);
        }
    }

    fn plain(&mut self, event: Value, at: Duration) {
        self.line(event, at, false);
    }

    fn line(&mut self, event: Value, at: Duration, reply: bool) {
        self.lines += 1;
        self.script.insert((at, self.lines), Line { event, reply, last: false, said: None });
    }

    /// The next event that is due.
    pub(super) fn due(&mut self, now: Duration) -> Option<Value> {
        let (at, number) = *self.script.first_key_value().filter(|((at, _), _)| *at <= now)?.0;
        let line = self.script.remove(&(at, number))?;
        self.reply_began |= line.reply && !line.event["event"]["audioOutput"].is_null();
        // It comes late, and now and then not at all.
        if let Some(said) = line.said
            && self.dice.percent(85)
        {
            let late = now + self.dice.ms(0, 3_000);
            self.says_text("ASSISTANT", "FINAL", &said, late, false, "END_TURN");
        }
        if line.last {
            self.reply_began = false;
            self.answering.clear();
            self.reply(now);
        }
        Some(line.event)
    }
}

fn audio_start(block: &str) -> Value {
    json!({"event": {"contentStart": {"contentId": block, "type": "AUDIO", "role": "ASSISTANT",
        "audioOutputConfiguration": {"mediaType": "audio/lpcm", "sampleRateHertz": 8_000}}}})
}
