//! How the opening went and how it all ended: told once, kept for whoever asks later.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::input::closed_error;
use crate::error::{Error, ErrorKind, Result};

#[derive(Default)]
pub(super) struct Life {
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// How the opening went, once it is known.
    opened: Option<Result<()>>,
    ended: bool,
    error: Option<Error>,
}

impl Life {
    /// The first answer holds.
    pub(super) fn tell_opened(&self, how: Result<()>) {
        self.state.send_modify(|state| {
            state.opened.get_or_insert(how);
        });
    }

    /// False after the first time: everything ends once.
    pub(super) fn end(&self, error: Option<Error>) -> bool {
        self.state.send_if_modified(|state| {
            if state.ended {
                return false;
            }
            state.opened.get_or_insert_with(|| Err(error.clone().unwrap_or_else(closed_error)));
            state.ended = true;
            state.error = error;
            true
        })
    }

    /// Resolves at response headers, or with what failed before them. Cancelling it changes nothing.
    pub(super) async fn opened(&self) -> Result<()> {
        let mut states = self.state.subscribe();
        match states.wait_for(|state| state.opened.is_some()).await {
            Ok(state) => state.opened.clone().unwrap_or_else(|| Err(closed_error())),
            Err(_) => Err(closed_error()),
        }
    }

    pub(super) async fn ended(&self) {
        // The sender lives as long as we do.
        let _ = self.state.subscribe().wait_for(|state| state.ended).await;
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.borrow().ended
    }

    pub(super) fn error(&self) -> Option<Error> {
        self.state.borrow().error.clone()
    }
}

/// Runs `live` and tells `end` what came of it, also where it panics or its runtime is shut down under it. `end` may be
/// called twice; the first call counts.
pub(super) async fn contained<End: From<Error>>(id: String, live: impl Future<Output = End>, end: impl Fn(End)) {
    let last_word = LastWord { end, of: std::marker::PhantomData };
    let ended = AssertUnwindSafe(live).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(session = id, "a session's task panicked");
        Error::new(ErrorKind::Internal, "panic", "A defect in novasonic ended this session; others go on.")
            .with_cure("Please report it with the traceback printed on stderr.")
            .into()
    });
    (last_word.end)(ended);
}

/// Ends it if the task is dropped half way, as a runtime does that shuts down.
struct LastWord<End: From<Error>, F: Fn(End)> {
    end: F,
    of: std::marker::PhantomData<fn(End)>,
}

impl<End: From<Error>, F: Fn(End)> Drop for LastWord<End, F> {
    fn drop(&mut self) {
        let error = Error::new(ErrorKind::Closed, "runtime_shut_down", "The runtime was shut down under this session.")
            .with_cure("Close sessions before the program ends.");
        (self.end)(error.into());
    }
}
