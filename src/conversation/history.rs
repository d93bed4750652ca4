//! What both sides said, turn by turn: what the user said, what the assistant meant to say, and how much of that was
//! really heard.
//!
//! Shared between the conversation, which writes it, and the session's handle, which reads it and reports playback:
//! hence the mutex around it, never held for longer than one call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Speaker, Timings};

#[derive(Debug, Clone, Default)]
pub struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    /// Of a conversation whose next turn has this number: those before it were another process's.
    pub fn counting_from(first_turn: u32) -> Self {
        Self(Arc::new(Mutex::new(History { turns_before: first_turn.saturating_sub(1), ..History::default() })))
    }

    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub struct History {
    /// Turns of this conversation that are not in here.
    turns_before: u32,
    turns: Vec<TurnRecord>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TurnRecord {
    pub number: u32,
    /// What `prompt()` began the turn with: the user said nothing.
    prompt: Option<String>,
    pub interrupted: bool,
    pub timings: Timings,
    user: Vec<Line>,
    assistant: Vec<Line>,
    /// Audio that belongs to no announced sentence.
    unannounced: Duration,
    /// Audio of an answer that broke off with its stream and was begun anew.
    lost: Duration,
    /// How much of the turn the page or program says it played.
    played: Option<Duration>,
    /// How much a loudspeaker that began at once had played when the turn was cut.
    by_clock: Option<Duration>,
    /// The service, not the caller, cut it: its FINAL texts then end where its voice did.
    cut_by_model: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Line {
    segment: u32,
    planned: Option<String>,
    said: Option<String>,
    audio: Duration,
}

impl History {
    pub fn turns(&self) -> &[TurnRecord] {
        &self.turns
    }

    pub(super) fn turns_before(&self) -> u32 {
        self.turns_before
    }

    pub fn turn(&self, number: u32) -> Option<&TurnRecord> {
        self.turns.get(self.place(number)?)
    }

    fn find(&mut self, number: u32) -> Option<&mut TurnRecord> {
        let place = self.place(number)?;
        self.turns.get_mut(place)
    }

    /// Numbers count on without gaps.
    fn place(&self, number: u32) -> Option<usize> {
        usize::try_from(number.checked_sub(self.turns_before)?.checked_sub(1)?).ok()
    }

    /// The caller has played so much of the turn, all told. It never grows less.
    pub fn played(&mut self, number: u32, heard: Duration) {
        if let Some(turn) = self.find(number) {
            turn.played = Some(turn.played.unwrap_or_default().max(heard));
        }
    }

    pub(super) fn begin(&mut self, number: u32, timings: Timings) {
        self.turns.push(TurnRecord { number, timings, ..TurnRecord::default() });
    }

    pub(super) fn prompted(&mut self, number: u32, text: String) {
        if let Some(turn) = self.find(number) {
            turn.prompt = Some(text);
        }
    }

    /// The turn's answer will be given anew from its beginning.
    pub(super) fn answer_again(&mut self, number: u32) {
        if let Some(turn) = self.find(number) {
            turn.lost += turn.received();
            turn.assistant.clear();
            turn.unannounced = Duration::ZERO;
        }
    }

    pub(super) fn text(&mut self, number: u32, speaker: Speaker, segment: u32, text: &str, is_final: bool) {
        let Some(turn) = self.find(number) else { return };
        let lines = match speaker {
            Speaker::User => &mut turn.user,
            Speaker::Assistant => &mut turn.assistant,
        };
        let at = lines.iter().position(|line| line.segment == segment).unwrap_or_else(|| {
            lines.push(Line { segment, planned: None, said: None, audio: Duration::ZERO });
            lines.len() - 1
        });
        if let Some(line) = lines.get_mut(at) {
            *(if is_final { &mut line.said } else { &mut line.planned }) = Some(text.trim().to_owned());
        }
    }

    /// A piece of audio belongs to the sentence announced last.
    pub(super) fn audio(&mut self, number: u32, length: Duration) {
        if let Some(turn) = self.find(number) {
            match turn.assistant.iter_mut().rev().find(|line| line.planned.is_some()) {
                Some(line) => line.audio += length,
                None => turn.unannounced += length,
            }
        }
    }

    /// The turn was cut while `unplayed` of its audio was still ahead of a loudspeaker that began at once.
    pub(super) fn cut(&mut self, number: u32, by_model: bool, unplayed: Duration) {
        if let Some(turn) = self.find(number) {
            turn.interrupted = true;
            turn.cut_by_model = by_model;
            turn.by_clock = Some(turn.received().saturating_sub(unplayed));
        }
    }

    pub(super) fn ended(&mut self, number: u32, timings: Timings) {
        if let Some(turn) = self.find(number) {
            turn.timings = timings;
        }
    }
}

impl TurnRecord {
    pub fn user_text(&self) -> String {
        join(self.user.iter().filter_map(Line::text))
    }

    /// What the turn's answer answers: what the caller had the model asked, and what the user said. Words that are not
    /// final belong to an utterance that is still to be understood.
    pub fn question(&self) -> String {
        join(self.prompt.as_deref().into_iter().chain(self.user.iter().filter_map(|line| line.said.as_deref())))
    }

    /// Whether it asks something and nothing of an answer was heard.
    pub(super) fn waits(&self) -> bool {
        let silent = self.received().is_zero() && self.assistant.iter().all(|line| line.said.is_none());
        silent && !self.interrupted && !self.question().is_empty()
    }

    /// What the assistant meant to say.
    pub fn planned_text(&self) -> String {
        join(self.assistant.iter().filter_map(|line| line.planned.as_deref().or(line.said.as_deref())))
    }

    /// Whether all that the user said is final.
    pub fn user_is_final(&self) -> bool {
        self.user.iter().all(|line| line.said.is_some())
    }

    /// Whether nothing of the answer is still to be replaced by its FINAL. What an interrupted one still owes never
    /// comes.
    pub fn assistant_is_final(&self) -> bool {
        self.interrupted || self.assistant.iter().all(|line| line.said.is_some())
    }

    /// What the user heard of the assistant: of a turn that was cut, as far as playback got, in whole words in
    /// proportion to the sentence's audio; else as far as the service says that it spoke; else as far as a
    /// loudspeaker that began at once.
    pub fn heard_text(&self) -> String {
        if !self.interrupted {
            return join(self.assistant.iter().filter_map(Line::text));
        }
        let last_said = self.assistant.iter().rposition(|line| line.said.is_some());
        // The caller's cut is unknown to the service, which goes on and says FINAL to all of it.
        let told = if self.cut_by_model { last_said } else { None };
        let lines = match told {
            Some(last) => self.assistant.get(..=last).unwrap_or_default(),
            None => &self.assistant,
        };
        let heard = match (self.played, told) {
            (Some(played), _) => played.saturating_sub(self.lost),
            (None, Some(_)) => return join(lines.iter().filter_map(|line| line.said.as_deref())),
            (None, None) => self.by_clock.unwrap_or_default(),
        };
        if lines.iter().all(|line| line.audio.is_zero()) {
            // Builds that announce nothing: all of the text shares all of the audio.
            let text = join(lines.iter().filter_map(Line::text));
            return first_words(&text, share(heard, self.unannounced)).to_owned();
        }
        let mut left = heard.saturating_sub(self.unannounced);
        join(lines.iter().filter_map(|line| {
            let text = line.text()?;
            let share = share(left, line.audio);
            left = left.saturating_sub(line.audio);
            Some(first_words(text, share))
        }))
    }

    fn received(&self) -> Duration {
        self.assistant.iter().map(|line| line.audio).sum::<Duration>() + self.unannounced
    }
}

impl Line {
    fn text(&self) -> Option<&str> {
        self.said.as_deref().or(self.planned.as_deref())
    }
}

fn join<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

/// How much of a sentence `left` of playback covers; nothing of one that had no sound.
fn share(left: Duration, audio: Duration) -> f64 {
    // Playback is reported in milliseconds; what is a hair short of a sentence is the sentence.
    const HAIR: Duration = Duration::from_millis(20);
    if audio.is_zero() || left.is_zero() {
        0.0
    } else if left + HAIR >= audio {
        1.0
    } else {
        left.as_secs_f64() / audio.as_secs_f64()
    }
}

/// The words that fit wholly into the first `share` of `text`, by their length.
fn first_words(text: &str, share: f64) -> &str {
    if share >= 1.0 {
        return text;
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let most = (text.chars().count() as f64 * share) as usize;
    let mut end = 0;
    for (index, (at, letter)) in text.char_indices().enumerate() {
        if index > most {
            break;
        }
        if letter.is_whitespace() {
            end = at;
        }
    }
    text.get(..end).unwrap_or_default().trim_end()
}
