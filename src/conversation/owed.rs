//! Whether the service owes an answer, and for how long: a stream may be open, pinged and read, and its model stuck.

use std::time::Duration;

use super::{Conversation, turn::Reply};
use crate::{
    error::{Error, ErrorKind},
    protocol::{OutputEvent, Role},
};

/// How long the service may say nothing while it owes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerBounds {
    /// On a stream that has not said anything yet.
    pub first_event: Duration,
    pub turn: Duration,
}

impl Default for AnswerBounds {
    fn default() -> Self {
        Self { first_event: Duration::from_secs(15), turn: Duration::from_secs(30) }
    }
}

/// What one stream has said, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Said {
    anything: bool,
    user_speaks: bool,
}

impl Said {
    pub(super) fn note(&mut self, event: &OutputEvent) {
        self.anything = true;
        match event {
            OutputEvent::UserSpeechStart { .. } => self.user_speaks = true,
            OutputEvent::TextOutput { role: Some(Role::User), .. } => {}
            OutputEvent::UserSpeechEnd { .. }
            | OutputEvent::TextOutput { .. }
            | OutputEvent::AudioOutput { .. }
            | OutputEvent::ToolUse { .. } => self.user_speaks = false,
            _ => {}
        }
    }
}

impl Conversation {
    /// Since when the service owes an answer, and how long it may; None: it owes none. The user may go on speaking, a
    /// tool may be at work, a reply that was heard may be all there is: none of that is the service's debt.
    pub fn owed(&self, bounds: AnswerBounds) -> Option<(Duration, Duration)> {
        let turn = self.turns.current.as_ref()?;
        let answering = turn.reply < Reply::Heard || turn.tool_running || self.blocks.audio_open(turn.number);
        let not_its_own =
            turn.interrupted || self.said.user_speaks || self.calls.any_waits() || self.old_stream_replies();
        let bound = if self.said.anything { bounds.turn } else { bounds.first_event };
        (answering && !not_its_own).then_some((self.active, bound))
    }

    /// The error of an answer that did not come in the time of [`Self::owed`].
    pub fn no_answer(&self, bounds: AnswerBounds) -> Error {
        let (code, bound, name) = if self.said.anything {
            ("no_answer", bounds.turn, "turn")
        } else {
            ("no_first_event", bounds.first_event, "first_event")
        };
        Error::new(
            ErrorKind::Timeout,
            code,
            format!("The service owes an answer and said nothing for {} s.", bound.as_secs_f32()),
        )
        .with_cure(format!("Open a new stream with the history, or raise Timeouts.{name}."))
    }
}
