//! The task that owns a conversation: it writes what the caller queued, reads what the service says, and ends once.
//!
//! Here is its life: opening, commands, deadlines, the end. What goes up and what comes down is in `flow.rs`.

mod flow;
mod overlap;
mod owed;
mod passage;
mod setup;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use overlap::Overlap;
use passage::{Passage, Restart};
use setup::Setup;

use super::{
    SessionConfig, Timeouts,
    alarm::{Alarm, Bound, open_timeout},
    duplex::Moved,
    input::limit_error,
    pacer::Pacer,
    rates::Rates,
    shared::{End, Shared},
    stream::{Stream, Written},
    streams::{Streams, Which},
    timer::Timer,
};
use crate::{
    conversation::{Answer, Continuation, Conversation, EndReason, Event, Recovery, Renewal, Spoken, Telling, Terms},
    error::{Error, ErrorKind},
    protocol::StreamConfig,
    transport::Transport,
};

/// A reply that runs when a limit is reached may go on for so long: polite, but not for ever.
const LIMIT_GRACE: Duration = Duration::from_secs(10);

/// Lives one session to its end.
pub(super) async fn live(shared: Arc<Shared>, transport: Arc<dyn Transport>, config: SessionConfig) -> End {
    let terms = Terms {
        input_rate_hz: config.stream.input_rate.hz(),
        output_rate_hz: config.stream.output_rate.hz(),
        prices: config.prices,
        limits: config.limits,
    };
    let recovery = config.continuation.clone().map(Recovery::new);
    let continuation = config.continuation.clone().unwrap_or_else(Continuation::on_request);
    let mut actor = Actor {
        conversation: Conversation::new(terms, shared.history.clone()),
        rates: Rates::new(config.device, &config.stream),
        pacer: Pacer::new(config.realtime, shared.clock.now()),
        timer: Timer::new(shared.clock.clone()),
        timeouts: config.timeouts.clone(),
        history_bytes: continuation.history_bytes,
        renewal: Renewal::new(continuation),
        recovery,
        setup: Setup::new(config, transport, &shared),
        shared,
        streams: Streams::default(),
        restart: None,
        passage: None,
        overlap: Overlap::None,
        old_until: None,
        told_history: false,
        first_attempts: 0,
        reconfiguring: Vec::new(),
        cut_off: None,
        question: None,
        replay: VecDeque::new(),
        answers: VecDeque::new(),
        given: None,
        note: None,
        opened: false,
        closing: Closing::Not,
        alarm: Alarm::default(),
        limit_since: None,
        closed_by_limit: false,
        prompt_since: None,
        batch: Vec::new(),
    };
    let begun = actor.setup.prepare().and_then(|stream| actor.take_over(stream, Telling::All));
    if let Err(error) = begun {
        return End::from(error);
    }
    actor.bound(Bound::Open, actor.timeouts.open);
    actor.live().await
    // The streams go with the actor, before the end is announced.
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Not,
    /// The caller has closed, or a limit; what is queued goes first.
    Flushing,
    /// The closing events are on their way.
    Ending,
}

struct Actor {
    shared: Arc<Shared>,
    timeouts: Timeouts,
    setup: Setup,
    conversation: Conversation,
    streams: Streams,
    renewal: Renewal,
    /// None: the conversation ends with its stream.
    recovery: Option<Recovery>,
    history_bytes: usize,
    restart: Option<Restart>,
    passage: Option<Passage>,
    overlap: Overlap,
    /// The stream that was replaced is dropped then.
    old_until: Option<Duration>,
    /// The present stream was given a history.
    told_history: bool,
    first_attempts: u32,
    /// Who waits for a stream that was opened with this.
    reconfiguring: Vec<(u64, Arc<StreamConfig>)>,
    /// Since when nothing goes up.
    cut_off: Option<Duration>,
    /// What the present stream is given before anything new: a question, audio, results.
    question: Option<String>,
    replay: VecDeque<Spoken>,
    answers: VecDeque<Answer>,
    /// Since when it has all of that.
    given: Option<Duration>,
    /// What was to be told in words when its stream broke.
    note: Option<String>,
    rates: Rates,
    pacer: Pacer,
    /// Once: later streams are replacements.
    opened: bool,
    closing: Closing,
    alarm: Alarm,
    /// When a limit was found to be reached.
    limit_since: Option<Duration>,
    /// It was the limit that closed the session, and not the caller in its grace.
    closed_by_limit: bool,
    /// Since when a prompt waits for a quiet moment.
    prompt_since: Option<Duration>,
    timer: Timer,
    batch: Vec<Event>,
}

impl Actor {
    async fn live(&mut self) -> End {
        let end = self.serve().await;
        self.conversation.on_end(self.shared.at(), &mut self.batch);
        self.publish();
        end
    }

    fn bound(&mut self, bound: Bound, after: Duration) {
        self.alarm.set(bound, self.shared.clock.now(), after);
    }

    async fn serve(&mut self) -> End {
        loop {
            if self.shared.commands.abort.load(Ordering::Acquire) {
                return End::closed();
            }
            let now = self.shared.clock.now();
            self.obey();
            if let Some(end) = self.on_time(now) {
                return end;
            }
            if let Err(error) = self.renew(now).and_then(|()| self.fill_uplink(now)) {
                return End::from(error);
            }
            self.settle_overlap();
            let may_read = !self.shared.output.is_full();
            self.timer.arm(self.deadline());
            // Commands and the clock are looked at after each move, so the streams starve nobody by coming first.
            let (which, moved) = tokio::select! {
                biased;
                moved = self.streams.next(may_read) => moved,
                () = self.shared.wake.notified() => continue,
                () = self.timer.ring() => continue,
            };
            let end = match which {
                Which::Current => self.on_moved(moved),
                Which::Next => {
                    self.on_next(moved);
                    None
                }
                Which::Old => self.on_old(&moved).err().map(End::from),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Does what the handle's flags ask for.
    fn obey(&mut self) {
        let commands = &self.shared.commands;
        if commands.interrupt.swap(false, Ordering::AcqRel) {
            self.conversation.interrupt(self.shared.at(), &mut self.batch);
            self.publish();
        }
        if self.closing == Closing::Not {
            self.reconfigure();
            if self.shared.commands.close.load(Ordering::Acquire) {
                self.begin_close();
            }
        }
    }

    fn begin_close(&mut self) {
        self.closing = Closing::Flushing;
        self.streams.next = None;
        self.withdraw_overlap();
        self.bound(Bound::Close, self.timeouts.close);
    }

    /// Does what the clock asks for.
    fn on_time(&mut self, now: Duration) -> Option<End> {
        if let Some(bound) = self.alarm.due(now) {
            self.alarm.clear();
            return self.on_alarm(bound);
        }
        if let Some(error) = self.no_answer(now) {
            self.given = None;
            return self.on_lost(error);
        }
        if self.opened && self.limit_since.is_none() && self.conversation.limit_reached(self.shared.at()) {
            self.limit_since = Some(now);
        }
        if let Some(since) = self.limit_since
            && self.closing == Closing::Not
            && (self.conversation.turn().is_none() || since + LIMIT_GRACE <= now)
        {
            let waiting = self.shared.input.close(limit_error());
            self.shared.tell(waiting);
            self.closed_by_limit = true;
            self.begin_close();
        }
        // There is nobody to say goodbye to, and nobody to hear what is queued.
        (self.closing != Closing::Not && self.streams.current.is_none()).then(|| self.closed())
    }

    /// When to look again, whatever comes.
    fn deadline(&self) -> Option<Duration> {
        let alarm = self.alarm.deadline();
        if self.closing != Closing::Not {
            return alarm;
        }
        let limit = match self.limit_since {
            Some(since) => Some(since + LIMIT_GRACE),
            None => self.conversation.limit_deadline(self.shared.at()).and_then(|at| self.shared.clock_time(at)),
        };
        [alarm, limit, self.uplink_deadline(), self.passage_deadline(), self.answer_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_moved(&mut self, moved: Moved<Written>) -> Option<End> {
        match moved {
            Moved::Sent(written) => self.on_sent(written),
            Moved::Opened => self.on_current_open(),
            Moved::Received(json) => {
                if let Err(error) = self.on_received(&json) {
                    return self.on_lost(error);
                }
            }
            // During an opening its own bound holds, and while closing the close's.
            Moved::UplinkLost if !self.alarm.is_set() => {
                self.bound(Bound::UplinkLost, self.timeouts.close);
            }
            Moved::UplinkLost => {}
            Moved::Ended => return self.on_lost(stream_lost("The service ended the stream before it was closed.")),
            Moved::Failed(error) => return self.on_lost(error),
        }
        None
    }

    fn on_alarm(&mut self, bound: Bound) -> Option<End> {
        match bound {
            Bound::Open => self.on_lost(open_timeout(
                self.timeouts.open,
                "Check region, endpoint and network, or raise Timeouts.open.",
            )),
            Bound::Close => Some(self.closed()),
            Bound::UplinkLost => self.on_lost(stream_lost("The connection stopped taking input.")),
        }
    }

    /// After our own close the peer may be slow, silent or rude: it is a close all the same. The handle's word counts,
    /// not what the loop has seen of it: both may come between two turns of the loop.
    fn end_or_closed(&self, error: Error) -> End {
        // Whoever waits for the opening hears what it met, even in a close, which itself is silent.
        self.shared.life.tell_opened(Err(error.clone()));
        if self.closing == Closing::Not && !self.shared.commands.end_asked() {
            let request_id = error.request_id.clone().or_else(|| self.request_id());
            return End::from(error.with_request_id(request_id));
        }
        self.closed()
    }

    fn closed(&self) -> End {
        let reason = if self.closed_by_limit { EndReason::Limit } else { EndReason::Closed };
        End { reason, error: None }
    }

    fn request_id(&self) -> Option<String> {
        self.streams.current.as_ref().and_then(Stream::request_id).map(str::to_owned)
    }
}

fn stream_lost(message: &str) -> Error {
    Error::new(ErrorKind::StreamLost, "stream_lost", message).with_cure("Open a new session; it may carry the history.")
}
