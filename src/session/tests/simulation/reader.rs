//! What was promised to who reads events, checked without a look at how it is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::world::tokens;
use crate::conversation::{EndReason, Event, EventKind, Speaker};

#[derive(Debug, Default)]
struct Turn {
    asked: BTreeSet<String>,
    /// What the answer says that it answers: more than was asked in this turn, where somebody was in a hurry.
    answers: BTreeSet<String>,
    /// Since when its answer is heard.
    answer: Option<Instant>,
    interrupted: bool,
    ended: bool,
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What the user wants an answer to.
    pub(super) asked: Vec<String>,
    turns: BTreeMap<u32, Turn>,
    /// How often the user was understood to have said it.
    transcripts: BTreeMap<String, u32>,
    pub(super) renewing: u32,
    pub(super) renewed: u32,
    replayed: bool,
    calls: BTreeSet<String>,
    pub(super) end: Option<(EndReason, Option<String>)>,
}

impl Reader {
    pub(super) fn reads(&mut self, event: &Event) {
        assert!(self.end.is_none(), "{event:?} after the end");
        if let Some(number) = event.turn
            && !matches!(event.kind, EventKind::TurnStarted)
        {
            assert!(self.turns.contains_key(&number), "{event:?} before its turn");
        }
        match &event.kind {
            EventKind::TurnStarted => {
                let number = event.turn.unwrap();
                let last = self.turns.last_key_value();
                assert_eq!(number, last.map_or(1, |(last, _)| last + 1), "a gap in the turns");
                assert!(last.is_none_or(|(_, turn)| turn.ended), "a turn began in another");
                self.turns.insert(number, Turn::default());
            }
            EventKind::TurnEnded { interrupted, .. } => {
                let turn = self.turn(event);
                assert!(!turn.ended, "a turn ended twice");
                assert_eq!(turn.interrupted, *interrupted);
                turn.ended = true;
            }
            EventKind::Interrupted { .. } => {
                let turn = self.turn(event);
                assert!(!turn.interrupted, "interrupted twice");
                turn.interrupted = true;
            }
            EventKind::Audio { .. } => {
                let turn = self.turn(event);
                assert!(!turn.interrupted, "audio after the interruption");
                turn.answer.get_or_insert_with(Instant::now);
            }
            EventKind::Transcript { speaker: Speaker::User, text, is_final: true, .. } => {
                assert!(!text.contains("part-of"), "half an utterance was taken for one: {text}");
                for token in tokens(text) {
                    *self.transcripts.entry(token.clone()).or_default() += 1;
                    self.turn(event).asked.insert(token);
                }
            }
            EventKind::Transcript { text, .. } => {
                assert!(!text.contains("interrupted"), "a marker was shown");
                self.turn(event).answers.extend(tokens(text));
            }
            EventKind::ToolCall { id, .. } => assert!(self.calls.insert(id.clone()), "{id} called twice"),
            EventKind::ToolFinished { id, .. } => assert!(self.calls.contains(id), "{id} finished uncalled"),
            EventKind::Renewing { .. } => {
                assert_eq!(self.renewing, self.renewed, "two renewals at once");
                self.renewing += 1;
            }
            EventKind::Renewed { replayed, .. } => {
                self.renewed += 1;
                assert_eq!(self.renewing, self.renewed, "renewed without a word before");
                self.replayed |= *replayed > Duration::ZERO;
            }
            EventKind::SessionEnded { reason, error } => {
                self.end = Some((*reason, error.as_ref().map(|error| error.code.clone())));
            }
            EventKind::Usage { .. } | EventKind::Unknown { .. } => {}
        }
    }

    fn turn(&mut self, event: &Event) -> &mut Turn {
        self.turns.get_mut(&event.turn.unwrap()).unwrap()
    }

    pub(super) fn prompted(&mut self, token: &str, turn: u32) {
        self.turns.get_mut(&turn).unwrap().asked.insert(token.to_owned());
    }

    pub(super) fn turns(&self) -> u64 {
        self.turns.len() as u64
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn turn_of(&self, token: &str) -> Option<&Turn> {
        self.turns.values().find(|turn| turn.asked.contains(token))
    }

    pub(super) fn answer_began(&self, token: &str) -> Option<Instant> {
        self.turn_of(token)?.answer
    }

    pub(super) fn is_answered(&self, token: &str) -> bool {
        // With one of a turn's questions all are: the model hears them together, or knows the others.
        let Some(asked) = self.turn_of(token).map(|turn| &turn.asked) else { return false };
        let answers =
            |turn: &&Turn| asked.iter().any(|token| turn.asked.contains(token) || turn.answers.contains(token));
        let mut answers = self.turns.values().filter(answers);
        answers.any(|turn| turn.ended && (turn.answer.is_some() || turn.interrupted))
    }

    /// `exact`: the service told where in the audio its words were, so nothing needs to be said twice.
    pub(super) fn check(&self, exact: bool) {
        for (token, count) in &self.transcripts {
            let allowed = if self.replayed && !exact { 2 } else { 1 };
            assert!(*count <= allowed, "{token} is in {count} transcripts");
        }
        assert!(self.turns.values().all(|turn| turn.ended), "a turn never ended: {:?}", self.turns);
    }
}
