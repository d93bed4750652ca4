//! Two streams at a time only where the host allows it, which may have to count them.

use std::{mem, time::Duration};

use super::Actor;
use crate::{
    conversation::Reason,
    session::{Answer, RequestKind, lane::Question},
};

/// What the host was asked, and said.
#[derive(Default)]
pub(super) enum Overlap {
    #[default]
    None,
    Asked(Question),
    /// Until one stream is left, which it is told.
    Granted,
}

impl Actor {
    /// Whether the next stream may be opened beside the present one. False: not now, but the host is asked.
    pub(super) fn may_overlap(&mut self, at: Duration, reason: Reason) -> bool {
        if !self.setup.asks_overlap {
            return true;
        }
        // One that still says its last words would make it three.
        if self.streams.old.is_some() {
            return false;
        }
        match self.overlap {
            Overlap::Granted => true,
            Overlap::Asked(_) => false,
            Overlap::None => {
                self.renewal.next_asked(at, reason);
                self.overlap = Question::new(&self.shared.lane, RequestKind::MayOverlap).into();
                false
            }
        }
    }

    /// Takes the host's answer, if it has come.
    pub(super) fn hear_overlap(&mut self, at: Duration) {
        let Overlap::Asked(question) = &mut self.overlap else { return };
        let Some(answer) = question.answer() else { return };
        let may = matches!(answer, Answer::MayOverlap(true));
        self.overlap = if may { Overlap::Granted } else { Overlap::None };
        self.renewal.next_answered(at, may);
    }

    /// The answer is not wanted any more. One that has come meanwhile was taken, and so counts.
    pub(super) fn withdraw_overlap(&mut self) {
        let granted = match mem::take(&mut self.overlap) {
            Overlap::None => false,
            Overlap::Asked(question) => matches!(question.withdraw(), Some(Answer::MayOverlap(true))),
            Overlap::Granted => true,
        };
        self.overlap = if granted { Overlap::Granted } else { Overlap::None };
    }

    /// Tells the host once no second stream is left.
    pub(super) fn settle_overlap(&mut self) {
        if matches!(self.overlap, Overlap::Granted) && self.streams.next.is_none() && self.streams.old.is_none() {
            self.overlap = Overlap::None;
            self.shared.lane.tell(RequestKind::OverlapEnded);
        }
    }
}

impl From<Option<Question>> for Overlap {
    /// None: the session is over, and nobody answers.
    fn from(question: Option<Question>) -> Self {
        question.map_or(Self::None, Self::Asked)
    }
}
