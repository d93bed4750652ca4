//! Tool calls: each is told once and answered once, however often the service repeats it, and whichever stream does.
//!
//! A call does not survive its stream: the next one is asked the question again and calls again, by another id. Its
//! result is then the one that the first call has, or will have; no tool runs twice for one utterance.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    ops::RangeInclusive,
    time::Duration,
};

use serde_json::Value;

use crate::protocol::Message;

/// Calls that may be waiting for a result at a time; one more, and the oldest is given up.
const MAX_REMEMBERED: usize = 256;
/// A stream that takes nothing more is found out sooner; what was given before that the model has used.
const LATELY: Duration = Duration::from_secs(15);
/// Of a result that is told as history.
const MAX_TOLD_BYTES: usize = 2_000;

#[derive(Debug)]
struct Call {
    /// As the host knows it.
    id: String,
    /// By which the present stream waits for the result; None: it does not (any more).
    wanted: Option<String>,
    name: String,
    arguments: String,
    turn: u32,
    at: Duration,
    /// Streams begun before this call, or before its last repetition.
    stream: u32,
    result: Option<Answer>,
    told: Told,
    /// When the result was given to a stream.
    given: Duration,
}

/// Whether the model knows a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    No,
    Yes,
    /// In words, which are part of the history by themselves.
    InWords,
}

/// A result, and the id under which the present stream waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub id: String,
    pub json: String,
    pub ok: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    New,
    /// This stream repeats itself.
    Told,
    /// What an earlier stream called; with its result, if there is one already.
    Again(Option<Answer>),
}

/// What became of a result.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) turn: u32,
    pub(super) after: Duration,
    /// What to send, unless the stream that called is gone.
    pub(super) answer: Option<Answer>,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    latest: VecDeque<Call>,
    /// Hashes of the ids of all calls on this stream: the service refuses a second result, however late.
    told: HashSet<u64>,
    hasher: RandomState,
    stream: u32,
}

impl Calls {
    /// `turns`: those that the model is answering, of which the last runs.
    pub(super) fn begin(
        &mut self,
        id: &str,
        name: &str,
        arguments: &str,
        turns: &RangeInclusive<u32>,
        at: Duration,
    ) -> Begun {
        if !self.told.insert(self.hasher.hash_one(id)) {
            return Begun::Told;
        }
        let stream = self.stream;
        let repeated = self.latest.iter_mut().find(|call| {
            call.stream < stream
                && turns.contains(&call.turn)
                && call.name == name
                && same_json(&call.arguments, arguments)
        });
        if let Some(call) = repeated {
            call.stream = stream;
            let answer = call.result.as_ref().map(|result| Answer { id: id.to_owned(), ..result.clone() });
            call.wanted = answer.is_none().then(|| id.to_owned());
            if answer.is_some() && call.told == Told::No {
                call.told = Told::Yes;
                call.given = at;
            }
            return Begun::Again(answer);
        }
        if self.latest.len() == MAX_REMEMBERED {
            let oldest = self.latest.iter().position(|call| call.result.is_some()).unwrap_or(0);
            self.latest.remove(oldest);
        }
        self.latest.push_back(Call {
            id: id.to_owned(),
            wanted: Some(id.to_owned()),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            turn: *turns.end(),
            at,
            stream,
            result: None,
            told: Told::No,
            given: Duration::ZERO,
        });
        Begun::New
    }

    /// Notes the one result of a call that the host knows as `id`. None: no such call waits.
    pub(super) fn finish(&mut self, id: &str, json: String, ok: bool, at: Duration) -> Option<Finished> {
        let call = self.latest.iter_mut().find(|call| call.id == id && call.result.is_none())?;
        let answer = call.wanted.take().map(|id| Answer { id, json: json.clone(), ok });
        call.result = Some(Answer { id: id.to_owned(), json, ok });
        if answer.is_some() {
            call.told = Told::Yes;
            call.given = at;
        }
        Some(Finished { turn: call.turn, after: at.saturating_sub(call.at), answer })
    }

    pub(super) fn any_waits(&self) -> bool {
        self.latest.iter().any(|call| call.result.is_none())
    }

    /// Whether a call of `turn` was told to the host.
    pub(super) fn any_of(&self, turn: u32) -> bool {
        self.latest.iter().any(|call| call.turn == turn)
    }

    /// What the calls of a turn gave, one line each, for a stream that has never heard of them.
    pub(super) fn notes(&self, turn: u32) -> impl Iterator<Item = String> {
        self.latest.iter().filter(move |call| call.turn == turn && call.told != Told::InWords).filter_map(Call::note)
    }

    /// A stream was told `history`, which may have been too long for all notes.
    pub(super) fn told_in(&mut self, history: &[Message]) {
        for call in self.latest.iter_mut().filter(|call| call.told == Told::No) {
            if call.note().is_some_and(|note| history.iter().any(|message| message.text.contains(&note))) {
                call.told = Told::Yes;
            }
        }
    }

    /// The stream broke: what it was given last it may not have heard.
    pub(super) fn doubt(&mut self, at: Duration) {
        for call in self.latest.iter_mut().filter(|call| call.told == Told::Yes && call.given + LATELY > at) {
            call.told = Told::No;
        }
    }

    pub(super) fn any_untold(&self) -> bool {
        self.latest.iter().any(|call| call.result.is_some() && call.told == Told::No)
    }

    /// A result that reached nobody, since the stream that called is gone and no other called again.
    pub(super) fn tell_in_words(&mut self) -> Option<String> {
        let call = self.latest.iter_mut().find(|call| call.result.is_some() && call.told == Told::No)?;
        call.told = Told::InWords;
        call.note()
    }

    /// The stream is gone, and with it whoever knows the ids; another follows.
    pub(super) fn next_stream(&mut self) {
        self.stream += 1;
        self.told.clear();
        for call in &mut self.latest {
            call.wanted = None;
        }
    }

    /// Nobody will ask for a result any more.
    pub(super) fn give_up(&mut self) {
        self.latest.clear();
        self.told.clear();
    }
}

impl Call {
    fn note(&self) -> Option<String> {
        let shown = shortened(&self.result.as_ref()?.json);
        let arguments = shortened(&self.arguments);
        Some(format!("[The tool {} was called with {arguments} and returned {shown}]", self.name))
    }
}

fn shortened(json: &str) -> &str {
    json.get(..json.floor_char_boundary(MAX_TOLD_BYTES)).unwrap_or_default()
}

/// Models write the same object with other spaces and in another order.
fn same_json(one: &str, other: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || value(one).is_some_and(|one| value(other) == Some(one))
}

#[cfg(test)]
mod tests;
