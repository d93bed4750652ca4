//! One stream on the wire: frames in, dialogue, frames out, and every way it can end.
//!
//! One task owns all of it. It stops reading its client, its clock and its brain while more than [`HIGH_WATER`] bytes
//! wait for the client to read them, so a client that stops costs a bounded amount of memory, and its own upload stalls
//! behind HTTP/2 flow control.

mod breaking;
mod reading;
mod saying;

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Instant};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Duration, Sleep, sleep_until},
};

use super::{
    dialogue::{Caller, Dialogue, Emit},
    faults::{Armed, Schedule},
    frames::Assembler,
    outgoing::Outgoing,
    registry::{Action, Entry, Registry},
    settings::{BrainAction, StreamReport},
    signature::EventChain,
    wire::{Lost, Reaction, Wire},
};

/// Bytes waiting for the client above which nothing more is taken in.
const HIGH_WATER: usize = 256 * 1024;
/// Actions of host brains waiting for a stream.
const ACTION_QUEUE: usize = 256;
/// How long the client may take to end its input after ours has ended.
const LINGER: Duration = Duration::from_secs(10);
/// Faults set on a running stream and not yet committed.
const ORDER_QUEUE: usize = 8;

/// The verdict on a stream that both sides ended as they should.
const CLEAN: &str = "clean";

/// A request that was let in: what its head has told.
pub(super) struct Admitted {
    pub(super) report: StreamReport,
    /// None: signatures are not checked.
    pub(super) chain: Option<EventChain>,
    pub(super) faults: Schedule,
    /// How far ahead the clock is that signatures are judged by.
    pub(super) skew: time::Duration,
}

pub(super) async fn serve(registry: Arc<Registry>, wire: Wire, admitted: Admitted) {
    let mut stream = Stream::new(registry, wire, admitted);
    stream.settle().await;
    stream.flush();
    while !stream.over {
        let wake = stream.next().await;
        stream.handle(wake).await;
    }
    let Stream { wire, .. } = stream;
    wire.leave().await;
}

enum Wake {
    Data(Option<Result<Bytes, Lost>>),
    Reaction(Reaction),
    Action(u64, BrainAction),
    Order(Arc<Armed>),
    Timer,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Talking,
    /// Nothing more will be said; END_STREAM follows what waits.
    Ending,
    /// END_STREAM is out; the client's is awaited, because a reset now could overtake what it has not read.
    Closing,
    /// A fault: nothing is written any more, and nothing read.
    Stalled,
    /// A fault: nothing is written any more, and what is read is thrown away.
    Mute,
}

struct Stream {
    registry: Arc<Registry>,
    entry: Entry,
    dialogue: Dialogue,
    emits: Vec<Emit>,
    wire: Wire,
    assembler: Assembler,
    /// None: signatures are not checked.
    chain: Option<EventChain>,
    skew: time::Duration,
    /// The event's JSON, decoded; kept for its allocation.
    event: Vec<u8>,
    outgoing: Outgoing,
    phase: Phase,
    input_open: bool,
    over: bool,
    events: u64,
    faults: Schedule,
    /// The input event that is being answered, until faults have counted it.
    uncounted: Option<&'static str>,
    /// A fault: so many of the next events come twice.
    duplicates: u64,
    actions: mpsc::Receiver<Action>,
    orders: mpsc::Receiver<Arc<Armed>>,
    timer: Pin<Box<Sleep>>,
    /// When the stream is given up, whatever the client does.
    give_up_at: Instant,
    /// Why the stream ends, told once both sides have ended.
    verdict: Option<String>,
}

impl Stream {
    fn new(registry: Arc<Registry>, wire: Wire, admitted: Admitted) -> Self {
        let now = Instant::now();
        let (actions_in, actions) = mpsc::channel(ACTION_QUEUE);
        let (orders_in, orders) = mpsc::channel(ORDER_QUEUE);
        let Admitted { report, chain, faults, skew } = admitted;
        let recorder = registry.recorder();
        let caller =
            Caller { stream_id: report.stream_id, account: report.account.clone(), recorder: recorder.clone() };
        let give_up_at = now + registry.longest_stream();
        Self {
            entry: Entry::open(Arc::clone(&registry), report, recorder, actions_in, orders_in),
            dialogue: Dialogue::new(
                Arc::clone(&registry.settings),
                Arc::clone(&registry.brain),
                caller,
                Arc::clone(&registry.next_turn_id),
                now,
            ),
            emits: Vec::new(),
            assembler: wire.assembler(),
            wire,
            chain,
            skew,
            event: Vec::new(),
            outgoing: Outgoing::new(),
            phase: Phase::Talking,
            input_open: true,
            over: false,
            events: 0,
            faults,
            uncounted: None,
            duplicates: 0,
            actions,
            orders,
            timer: Box::pin(sleep_until(give_up_at.into())),
            give_up_at,
            verdict: None,
            registry,
        }
    }

    /// Waits for whatever comes next. Cancel-safe: each branch takes its item in the same poll that ends the wait.
    async fn next(&mut self) -> Wake {
        let talking = self.phase == Phase::Talking && self.outgoing.waiting_bytes() < HIGH_WATER;
        let reading =
            self.input_open && (talking || matches!(self.phase, Phase::Ending | Phase::Closing | Phase::Mute));
        self.arm_timer(talking);
        tokio::select! {
            biased;
            wake = poll_fn(|cx| {
                if reading && let Poll::Ready(data) = self.wire.poll_data(cx) {
                    return Poll::Ready(Wake::Data(data));
                }
                self.wire.poll_reaction(cx, !reading, self.outgoing.wants_room()).map(Wake::Reaction)
            }) => wake,
            Some((turn_id, action)) = self.actions.recv(), if talking => Wake::Action(turn_id, action),
            Some(order) = self.orders.recv() => Wake::Order(order),
            () = &mut self.timer => Wake::Timer,
        }
    }

    async fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Data(Some(Ok(data))) => self.take_data(data).await,
            Wake::Data(None) => self.input_ended().await,
            Wake::Data(Some(Err(lost))) | Wake::Reaction(Reaction::Gone(lost)) => self.lost(lost),
            Wake::Reaction(Reaction::Writable) => {}
            Wake::Action(turn_id, action) => {
                if matches!(action, BrainAction::Done | BrainAction::Failed(_)) {
                    self.entry.close_turn(turn_id);
                }
                self.dialogue.on_action(turn_id, action, Instant::now(), &mut self.emits);
                self.emit().await;
            }
            Wake::Order(armed) => {
                self.faults.now(armed);
                self.commit().await;
            }
            Wake::Timer => self.tick(Instant::now()).await,
        }
        self.flush();
    }

    async fn tick(&mut self, now: Instant) {
        if now >= self.give_up_at {
            let reason = match (self.phase, &self.verdict) {
                (Phase::Closing, Some(verdict)) if verdict == CLEAN => {
                    "the client left its input open after sessionEnd"
                }
                (Phase::Closing | Phase::Stalled | Phase::Mute, Some(verdict)) => verdict,
                _ => "the client stopped reading",
            };
            self.finish(reason.to_owned());
        } else if self.phase == Phase::Talking && self.dialogue.next_deadline().is_some_and(|deadline| deadline <= now)
        {
            self.dialogue.on_timer(now, &mut self.emits);
            self.emit().await;
        }
    }

    /// Re-armed only for an earlier deadline: each event moves the idle limit on, and a timer that fires early just
    /// looks again, while re-arming it for every audio chunk would cost more than all else here.
    fn arm_timer(&mut self, talking: bool) {
        let mut deadline = self.give_up_at;
        if talking {
            deadline = self.dialogue.next_deadline().map_or(deadline, |next| next.min(deadline));
        }
        if let Some(held_until) = self.outgoing.held_until() {
            deadline = deadline.min(held_until);
        }
        if self.timer.is_elapsed() || self.timer.deadline().into_std() > deadline {
            self.timer.as_mut().reset(deadline.into());
        }
    }

    /// Ends the stream as the service does over an event that it cannot read or believe.
    fn refuse_event(&mut self, message: &str) {
        let event = self.events + 1;
        self.end_with_exception("validationException", message, format!("event {event} refused: {message}"));
    }

    fn end_with_exception(&mut self, name: &str, message: &str, verdict: String) {
        self.outgoing.exception(name, message);
        self.begin_end(verdict);
    }

    fn begin_end(&mut self, verdict: impl Into<String>) {
        self.verdict = Some(verdict.into());
        self.phase = Phase::Ending;
    }

    fn flush(&mut self) {
        if self.over || matches!(self.phase, Phase::Stalled | Phase::Mute) {
            return;
        }
        match self.outgoing.flush(&mut self.wire, self.phase == Phase::Ending) {
            Ok(true) => self.close(),
            Ok(false) => {}
            Err(lost) => self.lost(lost),
        }
    }

    /// END_STREAM is out.
    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.entry.leave();
        self.give_up_at = Instant::now() + LINGER;
        if !self.input_open {
            self.finish_as_judged();
        }
    }

    fn ended_well(&self) -> bool {
        self.verdict.as_deref() == Some(CLEAN)
    }

    fn finish_as_judged(&mut self) {
        let verdict = self.verdict.take().unwrap_or_default();
        self.finish(verdict);
    }

    fn finish(&mut self, reason: String) {
        self.entry.end(reason);
        self.over = true;
    }
}
