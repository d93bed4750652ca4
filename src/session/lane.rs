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

    /// None: the session ended before an answer came. A future dropped early takes its request back.
    async fn ask(&self, kind: RequestKind) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            if state.ended {
                return None;
            }
            state.last_id += 1;
            let id = state.last_id;
            state.queued.push_back(Request { id, kind });
            state.waiting.insert(id, sender);
            id
        };
        let _pending = Pending { lane: self, id };
        self.signal.raise();
        answer.await.ok()
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

    /// An id that does not wait (any more) is ignored.
    pub(super) fn answer(&self, id: u64, answer: Answer) {
        if let Some(waiting) = self.lock().waiting.remove(&id) {
            // The asker may have run out of time meanwhile.
            let _ = waiting.send(answer);
        }
    }

    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.queued.clear();
        state.waiting.clear();
    }
}

struct Pending<'a> {
    lane: &'a Lane,
    id: u64,
}

impl Drop for Pending<'_> {
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
            match lane.ask(RequestKind::Credentials).await {
                Some(Answer::Credentials(credentials)) => Ok(credentials),
                Some(Answer::Failed(why)) => Err(Error::new(
                    ErrorKind::Credentials,
                    "credentials_callable_failed",
                    format!("The credentials callable failed: {why}"),
                )
                .with_cure("Check the callable given as `credentials`.")),
                // Not the callable's failure: other sessions that wait for its keys must ask for themselves.
                None => Err(Error::new(
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
