//! The request lane: what the core must ask of its host, beside the events and on the same wake-up.
//!
//! It is served even when nobody reads events, so a credential callable works before the first event and a reader
//! that is slow holds nothing up.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{Answer, Request, RequestKind, signal::Signal};
use crate::{
    error::{Error, ErrorKind, Result},
    transport::{AskCredentials, BoxFuture, Credentials},
};

/// A host starts a task for each request in one turn of its loop; a model may call ten thousand tools at once.
const MAX_DRAIN: usize = 256;

pub(super) struct Lane {
    signal: Arc<Signal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    queued: VecDeque<Request>,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    ended: bool,
}

impl Lane {
    pub(super) fn new(signal: Arc<Signal>) -> Self {
        Self { signal, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the host something that needs no answer.
    pub(super) fn tell(&self, kind: RequestKind) {
        {
            let mut state = self.lock();
            if state.ended {
                return;
            }
            state.last_id += 1;
            let id = state.last_id;
            state.queued.push_back(Request { id, kind });
        }
        self.signal.raise();
    }

    /// Moves at most [`MAX_DRAIN`] requests out; if more wait, the host is told once more.
    pub(super) fn drain(&self, out: &mut Vec<Request>) {
        let more = {
            let mut state = self.lock();
            let count = state.queued.len().min(MAX_DRAIN);
            out.extend(state.queued.drain(..count));
            !state.queued.is_empty()
        };
        if more {
            self.signal.raise();
        }
    }

    /// False: that id does not wait (any more), and nobody takes the answer.
    pub(super) fn answer(&self, id: u64, answer: Answer) -> bool {
        let waiting = self.lock().waiting.remove(&id);
        // The asker may have run out of time meanwhile.
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.queued.clear();
        state.waiting.clear();
    }
}

/// A request that waits for its answer; dropped, it is taken back.
pub(super) struct Question {
    lane: Arc<Lane>,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Question {
    /// None: the session has ended, and nobody answers.
    pub(super) fn new(lane: &Arc<Lane>, kind: RequestKind) -> Option<Self> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = lane.lock();
            if state.ended {
                return None;
            }
            state.last_id += 1;
            let id = state.last_id;
            state.queued.push_back(Request { id, kind });
            state.waiting.insert(id, sender);
            id
        };
        let question = Self { lane: lane.clone(), id, answer };
        lane.signal.raise();
        Some(question)
    }

    /// The answer, if it has come.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        self.answer.try_recv().ok()
    }

    /// Takes no answer any more; gives the one that has come all the same.
    pub(super) fn withdraw(mut self) -> Option<Answer> {
        self.answer.close();
        self.answer()
    }

    /// None: the session ended before an answer came.
    async fn answered(mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.waiting.remove(&self.id);
        state.queued.retain(|request| request.id != self.id);
    }
}

/// Credentials by way of the lane.
pub(super) struct LaneCredentials(pub(super) Arc<Lane>);

impl AskCredentials for LaneCredentials {
    fn ask(&self) -> BoxFuture<Result<Credentials>> {
        let lane = self.0.clone();
        Box::pin(async move {
            let answer = match Question::new(&lane, RequestKind::Credentials) {
                Some(question) => question.answered().await,
                None => None,
            };
            match answer {
                Some(Answer::Credentials(credentials)) => Ok(credentials),
                Some(Answer::Failed(why)) => Err(Error::new(
                    ErrorKind::Credentials,
                    "credentials_callable_failed",
                    format!("The credentials callable failed: {why}"),
                )
                .with_cure("Check the callable given as `credentials`.")),
                // Not the callable's failure: other sessions that wait for its keys must ask for themselves.
                Some(Answer::MayOverlap(_)) | None => Err(Error::new(
                    ErrorKind::Closed,
                    "session_ended",
                    "The session ended before the credentials callable answered.",
                )),
            }
        })
    }
}

#[cfg(test)]
mod tests;
