//! From stream to stream: before one ends, after one broke, and where the caller wants another.
//!
//! The policy is `conversation/`'s (`Renewal`, `Recovery`); here its steps are taken.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Actor, Closing, stream_lost};
use crate::{
    conversation::{Event, EventKind, Reason, Step, Telling, Verdict},
    error::{CLOSED_EARLY, Error, ErrorKind, Recovery as Cure, Result},
    protocol::{StreamConfig, decode},
    session::{
        RequestKind,
        alarm::Bound,
        duplex::Moved,
        shared::End,
        stream::{Sent, Stream, Written},
    },
};

/// Final texts come up to 9 s after their audio; then the old stream has nothing more to say.
const OLD_LASTS: Duration = Duration::from_secs(15);
/// Before a stream is reopened whose place the service grants once the old one is gone.
const GOODBYE: Duration = Duration::from_secs(2);
/// Attempts to open the first stream: a connection that breaks in the opening is tried again, while whoever opens waits.
const FIRST_ATTEMPTS: u32 = 3;

/// The next stream will be opened, with nothing open meanwhile.
pub(super) struct Restart {
    pub(super) at: Duration,
    pub(super) telling: Telling,
}

/// `Renewed` is due once the new stream is open.
pub(super) struct Passage {
    since: Duration,
    replayed: Duration,
}

impl Actor {
    /// What the clock and the conversation ask of the streams.
    pub(super) fn renew(&mut self, now: Duration) -> Result<()> {
        if self.closing != Closing::Not {
            return Ok(());
        }
        if self.restart.as_ref().is_some_and(|restart| restart.at <= now)
            && let Some(restart) = self.restart.take()
        {
            if self.setup.asks_overlap {
                // The host allowed no second one: what the old stream has not said by now the next one is asked.
                self.drop_old();
            }
            let stream = self.setup.prepare()?;
            self.bound(Bound::Open, self.timeouts.open);
            return self.take_over(stream, restart.telling);
        }
        if self.old_until.is_some_and(|until| until <= now) {
            self.drop_old();
        }
        if !self.streams.is_open() {
            return Ok(());
        }
        let at = self.shared.at();
        // In this order: leave that was for the last passage is none for the next.
        self.settle_overlap();
        self.hear_overlap(at);
        let mut step = self.renewal.step(at, self.conversation.moment(at));
        if step == Step::Discard {
            self.streams.next = None;
            self.withdraw_overlap();
            self.settle_overlap();
            self.renewal.next_discarded(at);
            step = self.renewal.step(at, self.conversation.moment(at));
        }
        match step {
            Step::Nothing | Step::Discard => {}
            Step::Open(reason) if !self.may_overlap(at, reason) => {}
            Step::Open(reason) => match self.setup.prepare() {
                Ok(next) => {
                    self.begin_passage(reason);
                    self.streams.next = Some(next);
                    self.renewal.next_opening(at, reason);
                }
                Err(error) => self.next_failed(&error),
            },
            // A text half written would be lost between the two.
            Step::HandOver | Step::Reopen(_) if !self.streams.wants_input() => {}
            Step::HandOver => return self.hand_over(),
            Step::Reopen(reason) => {
                self.begin_passage(reason);
                self.leave(now)?;
                self.restart = Some(Restart { at: now + GOODBYE, telling: Telling::All });
            }
        }
        Ok(())
    }

    pub(super) fn passage_deadline(&self) -> Option<Duration> {
        let at = self.shared.at();
        let policy = if self.streams.is_open() {
            let deadline = self.renewal.deadline(at, self.conversation.moment(at));
            deadline.and_then(|at| self.shared.clock_time(at))
        } else {
            None
        };
        [policy, self.restart.as_ref().map(|restart| restart.at), self.old_until].into_iter().flatten().min()
    }

    fn begin_passage(&mut self, reason: Reason) {
        if self.passage.is_none() {
            self.passage = Some(Passage { since: self.shared.at(), replayed: Duration::ZERO });
            self.tell(EventKind::Renewing { reason });
        }
    }

    fn end_passage(&mut self) {
        if let Some(Passage { since, replayed }) = self.passage.take() {
            self.tell(EventKind::Renewed { took: self.shared.at().saturating_sub(since), replayed });
        }
    }

    fn tell(&mut self, kind: EventKind) {
        let turn = self.conversation.turn();
        self.batch.push(Event { at: self.shared.at(), turn, raw_type: "novasonic".into(), kind });
        self.publish();
    }

    fn hand_over(&mut self) -> Result<()> {
        let Some(next) = self.streams.next.take_if(|next| next.takes_input()) else {
            self.next_failed(&stream_lost("The next stream takes no input."));
            return Ok(());
        };
        self.leave(self.shared.clock.now())?;
        self.bound(Bound::Open, self.timeouts.open);
        self.take_over(next, Telling::All)
    }

    /// Lets the present stream say what it still has to, and no more.
    fn leave(&mut self, now: Duration) -> Result<()> {
        // Should an even older one still be replying, this one's successor is asked for that reply.
        self.drop_old();
        self.keep_replay();
        self.answers.clear();
        self.conversation.on_handed_over(self.shared.at(), &mut self.batch);
        self.publish();
        self.renewal.handed_over();
        self.cut_off = Some(now);
        self.streams.old = self.streams.current.take();
        self.old_until = Some(now + OLD_LASTS);
        self.close_old()
    }

    /// Says goodbye on the old stream once its reply is complete: it might be cut short otherwise.
    fn close_old(&mut self) -> Result<()> {
        if !self.conversation.old_stream_replies()
            && let Some(old) = &mut self.streams.old
            && !old.is_closed()
        {
            old.close()?;
        }
        Ok(())
    }

    fn drop_old(&mut self) {
        self.old_until = None;
        if self.streams.old.take().is_some() {
            if self.conversation.on_old_end(self.shared.at(), &mut self.batch) && self.question.is_none() {
                self.question = self.conversation.question();
            }
            self.publish();
        }
    }

    /// What the present stream was still to be given again, the next one must be.
    fn keep_replay(&mut self) {
        let Some(stream) = &self.streams.current else { return };
        let (mut position, now) = (stream.position(), self.shared.clock.now());
        for said in self.replay.drain(..) {
            position += said.pcm.len() as u64;
            self.conversation.unheard().said_again(said, position, now);
        }
    }

    /// Gives `stream` all that it must know, and makes it the present one.
    pub(super) fn take_over(&mut self, mut stream: Stream, telling: Telling) -> Result<()> {
        if telling == Telling::Half {
            self.history_bytes /= 2;
        }
        let most_bytes = if telling == Telling::Nothing { 0 } else { self.history_bytes };
        self.conversation.let_go(self.shared.at(), &mut self.batch);
        self.publish();
        let history = self.conversation.retold(&self.setup.history, most_bytes);
        if !history.is_empty()
            && let Some(recovery) = &mut self.recovery
        {
            recovery.told(self.shared.at());
        }
        self.told_history = !history.is_empty();
        stream.begin(history)?;
        self.question = self.conversation.question();
        let (replay, length) = self.conversation.take_unheard();
        self.replay = replay;
        if let Some(passage) = &mut self.passage {
            passage.replayed += length;
        }
        let is_open = stream.is_open();
        self.streams.current = Some(stream);
        if is_open {
            self.on_current_open();
        }
        Ok(())
    }

    pub(super) fn on_current_open(&mut self) {
        if self.closing == Closing::Not {
            self.alarm.clear();
        }
        self.opened = true;
        self.shared.stream_opened();
        let Some(stream) = &self.streams.current else { return };
        let at = self.shared.at();
        let expires = stream.credentials_expire_at();
        let left = expires.and_then(|expires| expires.duration_since(SystemTime::now()).ok());
        self.renewal.opened(at, left.map(|left| at + left));
        if let Some(recovery) = &mut self.recovery {
            recovery.opened(at);
        }
        let config = stream.config().clone();
        for (token, _) in self.reconfiguring.extract_if(.., |(_, wanted)| Arc::ptr_eq(wanted, &config)) {
            self.shared.lane.tell(RequestKind::Reconfigured { token, error: None });
        }
        if !Arc::ptr_eq(&config, &self.setup.stream) {
            // It was asked for while this stream opened.
            self.renewal.reconfigure();
        }
        if let Some(since) = self.cut_off.take() {
            self.pacer.catch_up(self.shared.clock.now().saturating_sub(since));
        }
        self.end_passage();
    }

    /// The present stream broke: goes on with another, or ends.
    pub(super) fn on_lost(&mut self, error: Error) -> Option<End> {
        if self.closing != Closing::Not || self.shared.commands.end_asked() {
            return Some(self.end_or_closed(error));
        }
        let verdict = self.verdict(&error);
        let Verdict::Restart { after, telling } = verdict else { return Some(self.end_or_closed(error)) };
        tracing::debug!(session = self.shared.id, code = error.code, ?after, "stream lost; the conversation goes on");
        self.keep_replay();
        if let Some(mut lost) = self.streams.current.take() {
            match lost.take_unwritten() {
                Some(Sent::Text(text)) => self.shared.input.unpop_text(text),
                Some(Sent::Prompt(prompt)) => self.shared.asides.unpop_prompt(prompt),
                Some(Sent::Note(note)) => self.note = Some(note),
                _ => {}
            }
        }
        self.answers.clear();
        self.withdraw_overlap();
        self.cut_off.get_or_insert(self.shared.clock.now());
        let at = self.shared.at();
        self.conversation.on_lost(at, &mut self.batch);
        self.publish();
        self.drop_old();
        if self.opened {
            self.begin_passage(Reason::Lost);
        }
        self.alarm.clear();
        if let Some(limit) = error.idle_limit() {
            self.renewal.idle_limited(limit);
        }
        // One that was to follow anyway follows now.
        if let Some(next) = self.streams.next.take()
            && next.is_open()
            && Arc::ptr_eq(next.config(), &self.setup.stream)
            && telling == Telling::All
        {
            self.renewal.handed_over();
            return self.take_over(next, telling).err().map(End::from);
        }
        self.renewal.lost();
        self.restart = Some(Restart { at: self.shared.clock.now() + after, telling });
        None
    }

    fn verdict(&mut self, error: &Error) -> Verdict {
        let Some(recovery) = &mut self.recovery else { return Verdict::GiveUp };
        if !self.opened {
            // Whoever opens a conversation hears at once what is wrong; only what says nothing is tried again.
            self.first_attempts += 1;
            let broke = error.kind == ErrorKind::StreamLost || error.code == CLOSED_EARLY;
            if !broke || self.first_attempts >= FIRST_ATTEMPTS {
                return Verdict::GiveUp;
            }
        }
        recovery.lost(error, self.told_history, self.shared.at(), self.shared.clock.chance())
    }

    /// The stream that is to follow moved.
    pub(super) fn on_next(&mut self, moved: Moved<Written>) {
        match moved {
            Moved::Opened => self.renewal.next_ready(self.shared.at()),
            // Why its uplink is lost the downlink will say.
            Moved::Sent(_) | Moved::Received(_) | Moved::UplinkLost => {}
            Moved::Ended => self.next_failed(&stream_lost("The next stream ended.")),
            Moved::Failed(error) => self.next_failed(&error),
        }
    }

    fn next_failed(&mut self, error: &Error) {
        let wanted = self.streams.next.take().map_or_else(|| self.setup.stream.clone(), |next| next.config().clone());
        let current = self.streams.current.as_ref().map(|stream| stream.config().clone());
        match current.filter(|current| !Arc::ptr_eq(current, &wanted)) {
            // The service does not take what the caller wants: it stays as it is, and the caller hears of it.
            Some(current) if error.recovery() == Cure::Never && Arc::ptr_eq(&wanted, &self.setup.stream) => {
                self.setup.stream = current;
                self.renewal.called_off();
                for (token, _) in self.reconfiguring.drain(..) {
                    self.shared.lane.tell(RequestKind::Reconfigured { token, error: Some(error.clone()) });
                }
                self.end_passage();
            }
            _ => self.renewal.next_failed(self.shared.at(), error.recovery() == Cure::BackOff),
        }
    }

    /// The stream that was replaced moved. Whatever it meets, the conversation has left it.
    pub(super) fn on_old(&mut self, moved: &Moved<Written>) -> Result<()> {
        match moved {
            Moved::Received(json) => {
                if let Ok(event) = decode(json) {
                    self.conversation.on_old_output(event, self.shared.at(), &mut self.batch);
                    self.publish();
                    if self.conversation.old_stream_replies() {
                        self.old_until = Some(self.shared.clock.now() + OLD_LASTS);
                    }
                    self.close_old()?;
                }
            }
            Moved::Sent(_) => {
                if let Some(old) = &mut self.streams.old
                    && old.is_closed()
                    && old.wants_input()
                {
                    old.end_input();
                }
            }
            Moved::Ended | Moved::Failed(_) => {
                self.drop_old();
                // Its place is free now.
                if let Some(restart) = &mut self.restart
                    && self.streams.current.is_none()
                {
                    restart.at = restart.at.min(self.shared.clock.now());
                }
            }
            Moved::Opened | Moved::UplinkLost => {}
        }
        Ok(())
    }

    /// Takes over what the caller wants changed.
    pub(super) fn reconfigure(&mut self) {
        for wish in self.shared.asides.take_reconfigurations() {
            let mut stream = StreamConfig::clone(&self.setup.stream);
            stream.system = wish.system.or(stream.system);
            stream.voice = wish.voice.unwrap_or(stream.voice);
            stream.tools = wish.tools.unwrap_or(stream.tools);
            self.setup.stream = Arc::new(stream);
            for (_, wanted) in &mut self.reconfiguring {
                // The later wish includes the earlier ones.
                wanted.clone_from(&self.setup.stream);
            }
            self.reconfiguring.push((wish.token, self.setup.stream.clone()));
            self.renewal.reconfigure();
        }
    }
}
