//! From stream to stream: before one ends, after one broke, and where the caller wants another.
//!
//! The policy is `conversation/`'s (`Renewal`, `Recovery`); here its steps are taken.

use std::time::{Duration, SystemTime};

use super::{Actor, Closing};
use crate::{
    conversation::{Event, EventKind, Reason, Step, Telling, Verdict},
    error::{CLOSED_EARLY, Error, ErrorKind, Result},
    protocol::decode,
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
    pub(super) fn prepare(&self) -> Result<Stream> {
        self.setup.prepare()
    }

    /// What the clock and the conversation ask of the streams.
    pub(super) fn renew(&mut self, now: Duration) -> Result<()> {
        if self.closing != Closing::Not {
            return Ok(());
        }
        if self.restart.as_ref().is_some_and(|restart| restart.at <= now)
            && let Some(restart) = self.restart.take()
        {
            let stream = self.prepare()?;
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
        match self.renewal.step(at, self.conversation.moment(at)) {
            Step::Nothing => {}
            Step::Open(reason) => {
                self.begin_passage(reason);
                self.streams.next = Some(self.prepare()?);
                self.renewal.next_opening();
            }
            Step::Discard => {
                self.streams.next = None;
                self.renewal.next_discarded();
            }
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

    pub(super) fn end_passage(&mut self) {
        if let Some(Passage { since, replayed }) = self.passage.take() {
            self.tell(EventKind::Renewed { took: self.shared.at().saturating_sub(since), replayed });
        }
        for token in self.reconfiguring.drain(..) {
            self.shared.lane.tell(RequestKind::Reconfigured { token });
        }
    }

    fn tell(&mut self, kind: EventKind) {
        let turn = self.conversation.turn();
        self.batch.push(Event { at: self.shared.at(), turn, raw_type: "novasonic".into(), kind });
        self.publish();
    }

    fn hand_over(&mut self) -> Result<()> {
        let Some(next) = self.streams.next.take() else { return Ok(()) };
        self.leave(self.shared.clock.now())?;
        self.bound(Bound::Open, self.timeouts.open);
        self.take_over(next, Telling::All)
    }

    /// Lets the present stream say what it still has to, and no more.
    fn leave(&mut self, now: Duration) -> Result<()> {
        self.conversation.on_handed_over(self.shared.at(), &mut self.batch);
        self.publish();
        self.renewal.handed_over();
        self.drop_old();
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
            self.conversation.on_old_end(self.shared.at(), &mut self.batch);
            self.publish();
        }
    }

    /// Gives `stream` all that it must know, and makes it the present one.
    pub(super) fn take_over(&mut self, mut stream: Stream, telling: Telling) -> Result<()> {
        let most_bytes = match telling {
            Telling::All => self.history_bytes,
            Telling::Half => self.history_bytes / 2,
            Telling::Nothing => 0,
        };
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
        let at = self.shared.at();
        let expires = self.streams.current.as_ref().and_then(Stream::credentials_expire_at);
        let left = expires.and_then(|expires| expires.duration_since(SystemTime::now()).ok());
        self.renewal.opened(at, left.map(|left| at + left));
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
        if let Some(mut lost) = self.streams.current.take() {
            match lost.take_unwritten() {
                Some(Sent::Text(text)) => self.shared.input.unpop_text(text),
                Some(Sent::Prompt(prompt)) => self.shared.asides.unpop_prompt(prompt),
                _ => {}
            }
            // What it was still to be given again, the next one must be.
            let mut position = lost.position();
            for pcm in self.replay.drain(..) {
                position += pcm.len() as u64;
                self.conversation.unheard().said(pcm, position);
            }
        }
        self.answers.clear();
        let at = self.shared.at();
        self.conversation.on_lost(at, &mut self.batch);
        self.publish();
        self.drop_old();
        if self.opened {
            self.begin_passage(Reason::Lost);
        }
        self.alarm.clear();
        self.renewal.lost();
        // One that was to follow anyway follows now.
        if let Some(next) = self.streams.next.take()
            && next.is_open()
            && telling == Telling::All
        {
            return self.take_over(next, telling).err().map(End::from);
        }
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
        #[expect(clippy::cast_precision_loss, reason = "a chance")]
        let chance = (uuid::Uuid::new_v4().as_u128() >> 64) as f64 / u64::MAX as f64;
        recovery.lost(error, self.told_history, self.shared.at(), chance)
    }

    /// The stream that is to follow moved.
    pub(super) fn on_next(&mut self, moved: &Moved<Written>) {
        match moved {
            Moved::Opened => self.renewal.next_ready(self.shared.at()),
            Moved::Sent(_) | Moved::Received(_) => {}
            Moved::UplinkLost | Moved::Ended | Moved::Failed(_) => {
                self.streams.next = None;
                self.renewal.next_failed(self.shared.at());
            }
        }
    }

    /// The stream that was replaced moved. Whatever it meets, the conversation has left it.
    pub(super) fn on_old(&mut self, moved: Moved<Written>) -> Result<()> {
        match moved {
            Moved::Received(json) => {
                if let Ok(event) = decode(&json) {
                    self.conversation.on_old_output(event, self.shared.at(), &mut self.batch);
                    self.publish();
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
            let stream = &mut self.setup.stream;
            stream.system = wish.system.or(stream.system.take());
            stream.voice = wish.voice.unwrap_or_else(|| std::mem::take(&mut stream.voice));
            stream.tools = wish.tools.unwrap_or_else(|| std::mem::take(&mut stream.tools));
            self.reconfiguring.push(wish.token);
            self.renewal.reconfigure();
        }
    }
}
