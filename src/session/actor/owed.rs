//! An answer that does not come: the stream lives, but its model does not.

use std::time::Duration;

use super::{Actor, Closing};
use crate::error::Error;

impl Actor {
    /// Since when the present stream has all that it was given: before that nothing is its debt.
    fn given(&mut self, now: Duration) -> Option<Duration> {
        let has_all = self.closing == Closing::Not
            && self.streams.is_open()
            && self.question.is_none()
            && self.replay.is_empty()
            && self.answers.is_empty();
        self.given = if has_all { Some(self.given.unwrap_or(now)) } else { None };
        self.given
    }

    /// The error of an answer that should have come by now.
    pub(super) fn no_answer(&mut self, now: Duration) -> Option<Error> {
        self.given(now);
        let due = self.answer_deadline().is_some_and(|due| due <= now);
        due.then(|| self.conversation.no_answer(self.timeouts.answer))
    }

    pub(super) fn answer_deadline(&self) -> Option<Duration> {
        let given = self.given?;
        let (since, bound) = self.conversation.owed(self.timeouts.answer)?;
        Some(self.shared.clock_time(since)?.max(given).saturating_add(bound))
    }
}
