//! From one stream to the next: what is taken along, what is asked again, and what the old one may still say.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use super::{
    Conversation, Emit, Event, InterruptSource, Moment, OURS, Speaker, Spoken, blocks::Block, retold::Retold,
    segments::Fit,
};
use crate::protocol::{Message, OutputContent, OutputEvent, Role, SAMPLE_BYTES};

/// The text of an utterance follows its end so soon. An end without one was a noise.
const TEXT_FOLLOWS: Duration = Duration::from_secs(3);
/// Utterances that ended and wait for their texts.
const MOST_LISTENED: usize = 16;

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
        self.calls.doubt(at);
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

    /// The old stream has said its last. True: it did not finish its reply, which is to be asked for again.
    pub fn on_old_end(&mut self, at: Duration, out: &mut Vec<Event>) -> bool {
        let replied = self.old_stream_replies();
        self.old_turn = None;
        if replied {
            self.ask_again(&mut Emit { at, raw_type: OURS, out });
        }
        replied && self.turns.current.is_some()
    }

    /// One event of a stream that was replaced. What it heard last is the next one's to answer, so nothing new begins
    /// here.
    pub fn on_old_output(&mut self, event: OutputEvent, at: Duration, out: &mut Vec<Event>) {
        let replying = self.old_stream_replies();
        match event {
            OutputEvent::Usage(_) => self.on_output(event, at, out),
            OutputEvent::ContentStart { content_id, content } if !replying || is_of_user(&content) => {
                self.blocks.put(content_id, Block::announced(&content));
            }
            OutputEvent::TextOutput { content_id, role, .. }
                if self.blocks.get(&content_id).and_then(|block| block.role).or(role) == Some(Role::User) => {}
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

    /// Nobody is asked to go on with a turn that was interrupted between two streams.
    pub fn let_go(&mut self, at: Duration, out: &mut Vec<Event>) {
        if self.turns.current.as_ref().is_some_and(|turn| turn.interrupted) && !self.old_stream_replies() {
            self.end_turn(&mut Emit { at, raw_type: OURS, out });
        }
    }

    /// The conversation so far, for the next stream; the question that it will be asked is left out.
    pub fn retold(&mut self, earlier: &[Message], most_bytes: usize) -> Vec<Message> {
        let asked = if self.unheard.voice().is_zero() { self.unanswered() } else { None };
        let mut retold = Retold::default();
        for message in earlier {
            retold.says(message.role, &message.text);
        }
        for turn in self.history.lock().turns() {
            let is_asked = asked.as_ref().is_some_and(|asked| asked.contains(&turn.number));
            if !is_asked {
                retold.says(Role::User, &turn.question());
            }
            for note in self.calls.notes(turn.number) {
                retold.says(Role::User, &note);
            }
            // A sentence that was announced and never heard is no answer.
            if !is_asked && !turn.waits() {
                retold.says(Role::Assistant, &turn.heard_text());
            }
        }
        let messages = retold.messages(most_bytes);
        self.calls.told_in(&messages);
        messages
    }

    /// What the next stream must be asked, since the last was not (fully) answered. Not where the user's voice follows:
    /// that asks by itself, see [`Self::take_question`].
    pub fn question(&mut self) -> Option<String> {
        self.voice_asks = None;
        let asked = self.unanswered()?;
        if !self.unheard.voice().is_zero() {
            self.voice_asks = Some(*asked.end());
            return None;
        }
        self.asked = Some(*asked.start());
        let question = {
            let history = self.history.lock();
            let questions = asked.filter_map(|number| history.turn(number)).map(super::TurnRecord::question);
            questions.collect::<Vec<_>>().join("\n")
        };
        if let Some(turn) = &mut self.turns.current {
            turn.echo = Some(question.clone());
        }
        Some(question)
    }

    /// A question that the user's voice was to repeat, which turned out to be none.
    pub fn take_question(&mut self) -> Option<String> {
        let owed = self.voice_asks?;
        if self.unanswered().is_none_or(|asked| *asked.end() != owed) {
            self.voice_asks = None;
        } else if self.unheard.voice().is_zero() {
            return self.question();
        }
        None
    }

    /// Whether [`Self::take_note`] waits for a quiet moment.
    pub fn has_note(&self) -> bool {
        self.calls.any_untold()
    }

    /// What the model must be told in a quiet moment: the result of a call whose stream is gone, and whose turn is over.
    pub fn take_note(&mut self, at: Duration) -> Option<String> {
        if self.is_quiet(at) { self.calls.tell_in_words() } else { None }
    }

    /// The user's audio that the next stream must be given first, and its length as [`super::Unheard::take`] tells it.
    pub fn take_unheard(&mut self) -> (VecDeque<Spoken>, Duration) {
        self.unheard.take()
    }

    /// The running turn, if its answer has not begun, and those before it that were left without one: who is in a hurry
    /// asks twice and is answered once.
    pub(super) fn unanswered(&self) -> Option<RangeInclusive<u32>> {
        let last = self.turns.current.as_ref().filter(|turn| !turn.replied() && !turn.interrupted)?.number;
        let history = self.history.lock();
        history.turn(last).filter(|turn| !turn.question().is_empty())?;
        let waits = |number: &u32| history.turn(*number).is_some_and(super::TurnRecord::waits);
        let first = (1..last).rev().take_while(waits).last().unwrap_or(last);
        Some(first..=last)
    }

    /// The turns that a call of the present stream may be for: what it was asked again counts until it has answered.
    pub(super) fn answering(&self, running: u32) -> RangeInclusive<u32> {
        let first = self.unanswered().map_or(running, |turns| *turns.start());
        let asked = self.asked.filter(|_| !self.replied_here);
        asked.map_or(first, |asked| asked.min(first))..=running
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
        self.listened.clear();
        self.tells_listened = false;
        self.replied_here = false;
        self.planned = None;
        self.asked = None;
        self.said = super::owed::Said::default();
    }

    /// The user speaks while a reply is heard that another stream gave: the present one does not know that it
    /// interrupts.
    pub(super) fn on_voice_over_earlier_reply(&mut self, emit: &mut Emit<'_>) {
        let heard = self.turns.last_replied().filter(|_| self.playback.is_running(emit.at) && !self.replied_here);
        let given = self.old_turn.filter(|_| self.old_stream_replies());
        if let Some(number) = given.or(heard) {
            self.cut(number, InterruptSource::Model, emit);
        }
    }

    pub(super) fn on_listened(&mut self, offset_ms: Option<u64>, at: Duration) {
        let Some(offset_ms) = offset_ms else { return };
        self.tells_listened = true;
        if self.listened.back().is_none_or(|(_, last)| *last < offset_ms) {
            self.listened.push_back((at, offset_ms));
        }
        if self.listened.len() > MOST_LISTENED {
            self.listened.pop_front();
        }
    }

    /// A final text of the user came: what it covers need not be said again.
    pub(super) fn understood(&mut self, at: Duration) {
        self.voice_asks = None;
        while self.listened.len() > 1 && self.listened.front().is_some_and(|(told, _)| *told + TEXT_FOLLOWS <= at) {
            self.listened.pop_front();
        }
        match self.listened.pop_front() {
            Some((_, ms)) => {
                let samples = ms.saturating_mul(u64::from(self.terms.input_rate_hz)) / 1_000;
                self.unheard.understood_to(samples.saturating_mul(SAMPLE_BYTES as u64));
            }
            // A second text of the same utterance covers nothing more.
            None if self.tells_listened => {}
            None => self.unheard.understood_the_last(),
        }
    }
}

fn is_of_user(content: &OutputContent) -> bool {
    matches!(content, OutputContent::Text { role: Some(Role::User), .. })
}
