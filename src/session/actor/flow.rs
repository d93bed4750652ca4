//! What goes up, in which order and at which pace, and what comes down.

use std::time::Duration;

use bytes::Bytes;

use super::{Actor, Closing};
use crate::{
    conversation::EventKind,
    error::{Error, ErrorKind, Result},
    protocol::{OutputEvent, decode},
    session::{
        RequestKind,
        asides::ToolResult,
        input::{Taken, silence},
        pacer::SILENCE,
        stream::{Sent, Written},
    },
};

/// A prompt waits for a quiet moment, since text that falls into a reply cuts it short; but not for ever.
const PROMPT_PATIENCE: Duration = Duration::from_secs(15);

impl Actor {
    /// Gives the stream the next piece once it has written the last. What waits stays in the caller's queue, where it
    /// counts against its bound.
    pub(super) fn fill_uplink(&mut self, now: Duration) -> Result<()> {
        let prompt_due = self.prompt_due(now);
        if !self.streams.wants_input() {
            return Ok(());
        }
        self.take_results();
        let Some(stream) = &mut self.streams.current else { return Ok(()) };
        // One that was handed over while the close went by comes too late: nothing follows sessionEnd.
        if self.closing != Closing::Ending {
            if let Some(answer) = self.answers.pop_front() {
                return stream.tool_result(answer);
            }
            if let Some(question) = self.question.take() {
                return stream.ask(question, now);
            }
            if let Some(said) = self.replay.pop_front() {
                stream.again(said.pcm.clone(), now)?;
                self.conversation.unheard().said_again(said, stream.position(), now);
                return Ok(());
            }
            if let Some(question) = self.conversation.take_question() {
                return stream.ask(question, now);
            }
        }
        if self.closing == Closing::Not
            && let Some(note) = self.note.take().or_else(|| self.conversation.take_note(self.shared.at()))
        {
            return stream.note(note, now);
        }
        if prompt_due && let Some(prompt) = self.shared.asides.pop_prompt() {
            self.prompt_since = None;
            return stream.prompt(prompt, now);
        }
        loop {
            // A close does not wait for speech to be spoken.
            let audio = self.closing != Closing::Not || self.pacer.may_send(now);
            let (taken, room) = self.shared.input.pop(audio);
            self.shared.tell(room);
            return match (taken, self.closing) {
                (Some(Taken::Audio(pcm)), _) => {
                    self.pacer.sent(self.shared.input.length(pcm.len()), now);
                    let pcm = self.rates.up(pcm);
                    // Of some samples at another rate nothing may come out yet; nobody would wake us for the next.
                    if pcm.is_empty() {
                        continue;
                    }
                    stream.audio(pcm.clone(), now)?;
                    self.conversation.unheard().said(pcm, stream.position(), now);
                    Ok(())
                }
                (Some(Taken::Text(text)), _) => stream.text(text, now),
                (None, Closing::Not) => {
                    if self.opened && audio && self.pacer.silence_due(now) {
                        self.pacer.filled(now);
                        let pcm = self.rates.up(silence(self.shared.input.bytes(SILENCE)));
                        stream.silence(pcm, now)?;
                        self.conversation.unheard().paused(stream.position(), now);
                    }
                    Ok(())
                }
                (None, Closing::Flushing) => {
                    let rest = self.rates.up_end();
                    if !rest.is_empty() {
                        return stream.audio(rest, now);
                    }
                    self.closing = Closing::Ending;
                    stream.close()
                }
                (None, Closing::Ending) => {
                    stream.end_input();
                    Ok(())
                }
            };
        }
    }

    /// Results of tools: for the stream that called, or to be remembered until the next one calls again.
    fn take_results(&mut self) {
        while self.closing != Closing::Ending
            && let Some(ToolResult { id, json, ok }) = self.shared.asides.pop_result()
        {
            let answer = self.conversation.on_tool_result(id, json, ok, self.shared.at(), &mut self.batch);
            self.answers.extend(answer);
        }
        self.publish();
    }

    fn prompt_due(&mut self, now: Duration) -> bool {
        if self.closing != Closing::Not || !self.shared.asides.prompt_waits() {
            return false;
        }
        let since = *self.prompt_since.get_or_insert(now);
        self.conversation.is_quiet(self.shared.at()) || since + PROMPT_PATIENCE <= now
    }

    /// When something may go up that may not yet. While the stream writes, its progress wakes the actor anyway.
    pub(super) fn uplink_deadline(&self) -> Option<Duration> {
        if !self.streams.wants_input() {
            return None;
        }
        let audio_waits = !self.shared.input.is_empty();
        let paced = if self.opened || audio_waits { self.pacer.deadline(audio_waits) } else { None };
        let quiet = || self.shared.clock_time(self.conversation.played_until());
        let prompt = self.prompt_since.map(|since| {
            let quiet = quiet().unwrap_or(since);
            let patience = since + PROMPT_PATIENCE;
            if quiet > self.shared.clock.now() { quiet.min(patience) } else { patience }
        });
        let note = if self.conversation.has_note() { quiet().filter(|at| *at > self.shared.clock.now()) } else { None };
        [paced, prompt, note].into_iter().flatten().min()
    }

    pub(super) fn on_sent(&mut self, Written { pcm_bytes, sent }: Written) {
        if pcm_bytes > 0 {
            self.conversation.on_audio_sent(self.rates.length_sent(pcm_bytes));
        }
        let at = self.shared.at();
        match sent {
            Sent::Audio(bytes) => return self.shared.counters.sent(bytes),
            Sent::Silence(bytes) => return self.shared.counters.filled(bytes),
            Sent::Other => return,
            Sent::Text(text) => self.conversation.on_typed(text, at, &mut self.batch),
            Sent::Note(text) => {
                self.conversation.on_prompted(text, at, &mut self.batch);
            }
            Sent::Prompt(prompt) => {
                let turn = self.conversation.on_prompted(prompt.text, at, &mut self.batch);
                self.shared.lane.tell(RequestKind::Prompted { token: prompt.token, turn });
            }
        }
        self.publish();
    }

    /// An event we do not know survives as one; a chunk that is no event at all ends its stream, since the SDK gives
    /// its stream up over one layer further out and nobody could say what was lost.
    pub(super) fn on_received(&mut self, json: &Bytes) -> Result<()> {
        let event = decode(json).map_err(|error| {
            Error::new(ErrorKind::Service, "bad_event", format!("The service sent an unreadable event: {error}."))
                .with_request_id(self.request_id())
        })?;
        let at = self.shared.at();
        if let (OutputEvent::TextOutput { .. } | OutputEvent::AudioOutput { .. }, Some(recovery)) =
            (&event, &mut self.recovery)
        {
            recovery.got_on(at);
        }
        self.conversation.on_output(event, at, &mut self.batch);
        self.answers.extend(self.conversation.take_answers());
        self.publish();
        Ok(())
    }

    pub(super) fn publish(&mut self) {
        // With each frame of audio there is a look for results, which have mostly not come.
        if self.batch.is_empty() {
            return;
        }
        for event in &self.batch {
            if let EventKind::ToolCall { id, name, arguments } = &event.kind {
                self.shared.counters.tool_called();
                self.shared.asides.called(id);
                self.shared.lane.tell(RequestKind::Tool {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                    turn: event.turn.unwrap_or_default(),
                });
            }
        }
        self.rates.down(&mut self.batch);
        let needed = self.shared.output.push(&mut self.batch);
        self.shared.tell(needed);
    }
}
