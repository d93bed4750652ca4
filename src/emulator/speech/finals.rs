//! FINAL texts: what was said, once it was heard, when the build at hand sends it (reference §2.3).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Speech, played::Sentence};
use crate::emulator::{
    build::{EndTurn, Finals},
    dialogue::Emit,
    output::{Speaker, Stage, StopReason},
};

/// The least that was measured between the audio and its FINAL text (2.6 to 9 s).
const LATE: Duration = Duration::from_millis(2_600);

/// FINAL texts of sentences that were heard, held back.
#[derive(Default)]
pub(super) struct Owed {
    /// Of the turn that is running.
    now: VecDeque<Final>,
    /// Of the turns before it.
    before: VecDeque<Final>,
}

struct Final {
    text: String,
    reason: StopReason,
    heard: Instant,
}

impl Owed {
    pub(super) fn begin_turn(&mut self) {
        self.before.append(&mut self.now);
    }

    /// What a turn that was spoken over still owes never comes.
    pub(super) fn forget_turn(&mut self) {
        self.now.clear();
    }

    /// The oldest that came to be heard up to `until`.
    fn due(&mut self, until: Instant) -> Option<Final> {
        self.before
            .pop_front_if(|owed| owed.heard <= until)
            .or_else(|| self.now.pop_front_if(|owed| owed.heard <= until))
    }
}

impl Speech {
    /// Audio or text came from the client, which some builds wait for.
    pub(in crate::emulator) fn input_came(&mut self, now: Instant, out: &mut Vec<Emit>) {
        if self.build.finals == Finals::Late
            && let Some(until) = now.checked_sub(self.pace.scale(LATE))
        {
            while let Some(Final { text, reason, .. }) = self.owed.due(until) {
                self.text(Speaker::Assistant, Stage::Final, &text, reason, out);
            }
        }
    }

    /// The first sentence of a turn was announced.
    pub(super) fn next_turn_shows(&mut self, out: &mut Vec<Emit>) {
        if self.build.finals == Finals::NextTurn {
            while let Some(Final { text, reason, .. }) = self.owed.before.pop_front() {
                self.text(Speaker::Assistant, Stage::Final, &text, reason, out);
            }
        }
    }

    pub(super) fn send_finals(&mut self, now: Instant, out: &mut Vec<Emit>) {
        while let Some(Sentence { text, ends, last, .. }) = self.played.heard(now) {
            let reason = self.final_reason(last);
            match self.build.finals {
                Finals::Spoken => self.text(Speaker::Assistant, Stage::Final, &text, reason, out),
                Finals::Late | Finals::NextTurn => {
                    self.owed.now.push_back(Final { text: text.clone(), reason, heard: ends });
                }
                Finals::Never => {}
            }
            self.remember(&text);
        }
    }

    /// What of a sentence was said; nothing for nothing.
    pub(super) fn send_final(&mut self, text: &str, reason: StopReason, out: &mut Vec<Emit>) {
        self.text(Speaker::Assistant, Stage::Final, text, reason, out);
        self.remember(text);
    }

    pub(super) fn final_reason(&self, last: bool) -> StopReason {
        match self.build.end_turn {
            EndTurn::EveryText => StopReason::EndTurn,
            EndTurn::LastAudio if last => StopReason::EndTurn,
            EndTurn::LastAudio | EndTurn::Never => StopReason::PartialTurn,
        }
    }

    fn remember(&mut self, text: &str) {
        if !text.is_empty() {
            self.said.push(text.to_owned());
        }
    }
}
