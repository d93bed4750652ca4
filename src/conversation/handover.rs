//! From one stream to the next: what is taken along, what is asked again, and what the old one may still say.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{Conversation, Emit, Event, Moment, OURS, Speaker, blocks::Block, retold::Retold, segments::Fit};
use crate::protocol::{Message, OutputContent, OutputEvent, Role, SAMPLE_BYTES};

impl Conversation {
    /// What the policy of continuation must know.
    pub fn moment(&self, at: Duration) -> Moment {
        Moment {
            turn_runs: self.turns.current.is_some(),
            tool_runs: self.calls.any_waits(),
            voice: self.unheard.voice(),
            active: self.last_active(at),
        }
    }

    /// The stream broke and another follows. A turn whose answer is not complete stays open and is asked again, unless
    /// it was interrupted, or nothing of it is known.
    pub fn on_lost(&mut self, at: Duration, out: &mut Vec<Event>) {
        self.ask_again(&mut Emit { at, raw_type: OURS, out });
        self.blocks.clear();
        self.turns.give_up();
        self.old_turn = None;
        self.next_stream();
    }

    /// The next stream takes over while this one lives: it may finish the answer that it has begun, and its final texts.
    pub fn on_handed_over(&mut self, at: Duration, out: &mut Vec<Event>) {
        self.old_turn = self.turns.current.as_ref().filter(|turn| turn.replied()).map(|turn| turn.number);
        if self.old_turn.is_none() {
            self.ask_again(&mut Emit { at, raw_type: OURS, out });
        }
        self.next_stream();
    }

    /// Whether the stream that was replaced is still giving a reply.
    pub fn old_stream_replies(&self) -> bool {
        self.old_turn.is_some() && self.turn() == self.old_turn
    }

    /// The old stream has said its last.
    pub fn on_old_end(&mut self, at: Duration, out: &mut Vec<Event>) {
        if self.old_turn.take().is_some_and(|number| self.turn() == Some(number)) {
            self.end_turn(&mut Emit { at, raw_type: OURS, out });
        }
    }

    /// One event of a stream that was replaced. What it heard last is the next one's to answer, so nothing new begins
    /// here.
    pub fn on_old_output(&mut self, event: OutputEvent, at: Duration, out: &mut Vec<Event>) {
        let replying = self.old_stream_replies();
        match event {
            OutputEvent::Usage(_) => self.on_output(event, at, out),
            OutputEvent::ContentStart { content: OutputContent::Text { role: Some(Role::User), .. }, .. }
            | OutputEvent::TextOutput { role: Some(Role::User), .. } => {}
            OutputEvent::ContentStart { content_id, content } if !replying => {
                self.blocks.put(content_id, Block::announced(&content));
            }
            OutputEvent::TextOutput { text, .. } if !replying => {
                let place = self.turns.settle_planned(&text, Fit::Same);
                if let Some((turn, segment)) = place.or_else(|| self.turns.settle_planned(&text, Fit::Cut)) {
                    let mut emit = Emit { at, raw_type: "textOutput", out };
                    self.transcribe(turn, Speaker::Assistant, text, true, segment, &mut emit);
                }
            }
            OutputEvent::ContentStart { .. }
            | OutputEvent::TextOutput { .. }
            | OutputEvent::AudioOutput { .. }
            | OutputEvent::ContentEnd { .. }
                if replying =>
            {
                self.on_output(event, at, out);
            }
            _ => {}
        }
    }

    /// The conversation so far, for the next stream; the question that it will be asked is left out.
    pub fn retold(&self, earlier: &[Message], most_bytes: usize) -> Vec<Message> {
        let asked = self.asked_turn();
        let mut retold = Retold::default();
        for message in earlier {
            retold.says(message.role, &message.text);
        }
        for turn in self.history.lock().turns() {
            if asked != Some(turn.number) {
                retold.says(Role::User, &turn.question());
            }
            for note in self.calls.notes(turn.number) {
                retold.says(Role::User, &note);
            }
            retold.says(Role::Assistant, &turn.heard_text());
        }
        retold.messages(most_bytes)
    }

    /// What the next stream must be asked, since the last was not (fully) answered. Not where the user's voice follows:
    /// that asks by itself.
    pub fn question(&self) -> Option<String> {
        let number = self.asked_turn()?;
        self.history.lock().turn(number).map(super::TurnRecord::question)
    }

    /// The user's audio that the next stream must be given first, and its length. Each piece is noted anew
    /// as it goes up.
    pub fn take_unheard(&mut self) -> (VecDeque<Bytes>, Duration) {
        let unheard = self.unheard.take();
        let bytes = unheard.iter().map(|pcm| pcm.len() as u64).sum();
        (unheard, self.unheard.length(bytes))
    }

    fn asked_turn(&self) -> Option<u32> {
        let turn = self.turns.current.as_ref().filter(|turn| !turn.replied() && self.unheard.voice().is_zero())?;
        let known = self.history.lock().turn(turn.number).is_some_and(|record| !record.question().is_empty());
        known.then_some(turn.number)
    }

    /// Keeps the running turn for the next stream to answer, or ends it.
    fn ask_again(&mut self, emit: &mut Emit<'_>) {
        let Some(turn) = &mut self.turns.current else { return };
        let question = self.history.lock().turn(turn.number).map(super::TurnRecord::question).unwrap_or_default();
        let goes_on = !question.is_empty() || self.calls.any_of(turn.number) || !self.unheard.voice().is_zero();
        if turn.interrupted || !goes_on {
            self.end_turn(emit);
            return;
        }
        self.history.lock().answer_again(turn.number);
        turn.begin_again(question);
    }

    fn next_stream(&mut self) {
        self.calls.next_stream();
        self.answers.clear();
        self.sent = Duration::ZERO;
        self.speech_ended = None;
        self.listened_ms = None;
        self.said = super::owed::Said::default();
    }

    /// A final text of the user came: what it covers need not be said again.
    pub(super) fn understood(&mut self) {
        match self.listened_ms.take() {
            Some(ms) => {
                let samples = ms.saturating_mul(u64::from(self.terms.input_rate_hz)) / 1_000;
                self.unheard.understood_to(samples.saturating_mul(SAMPLE_BYTES as u64));
            }
            None => self.unheard.understood_the_last(),
        }
    }
}
