//! What the handle and the actor share. No lock here is held across an await.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    Clock, SessionConfig, Stats, asides::Asides, input::InputQueue, lane::Lane, life::Life, output::EventQueue,
    signal::Signal, stats::Counters,
};
use crate::{
    conversation::{EndReason, Event, EventKind, SharedHistory},
    error::Error,
};

pub(super) struct Shared {
    pub(super) id: String,
    pub(super) input: InputQueue,
    pub(super) asides: Asides,
    pub(super) history: SharedHistory,
    pub(super) output: EventQueue,
    pub(super) lane: Arc<Lane>,
    pub(super) signal: Arc<Signal>,
    pub(super) life: Life,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
    /// Wakes the actor. It keeps one permit, so a call between two looks is not lost.
    pub(super) wake: Notify,
    pub(super) commands: Commands,
    input_rate_hz: u32,
    opened_at: OnceLock<Duration>,
}

/// What the handle wants, level-triggered: the actor looks after each wake-up.
#[derive(Default)]
pub(super) struct Commands {
    pub(super) interrupt: AtomicBool,
    pub(super) close: AtomicBool,
    pub(super) abort: AtomicBool,
}

impl Commands {
    pub(super) fn end_asked(&self) -> bool {
        self.close.load(Ordering::Acquire) || self.abort.load(Ordering::Acquire)
    }
}

/// How a session ended. `Limit` is a bound of ours; `Server` is reserved: the service has no orderly end of its own, it
/// stops with an exception (also at its time limits) or a reset, and both are errors here.
pub(super) struct End {
    pub(super) reason: EndReason,
    pub(super) error: Option<Error>,
}

impl End {
    pub(super) fn closed() -> Self {
        Self { reason: EndReason::Closed, error: None }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self { reason: EndReason::Error, error: Some(error) }
    }
}

impl Shared {
    pub(super) fn new(config: &SessionConfig, notify: super::Notify) -> Self {
        let signal = Arc::new(Signal::new(notify));
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            input: InputQueue::new(config.device.input_hz, config.buffers.input_ms),
            asides: Asides::default(),
            history: SharedHistory::counting_from(config.first_turn),
            output: EventQueue::new(config.buffers.output_ms),
            lane: Arc::new(Lane::new(signal.clone())),
            signal,
            life: Life::default(),
            counters: Counters::default(),
            clock: config.clock.clone(),
            wake: Notify::new(),
            commands: Commands::default(),
            input_rate_hz: config.stream.input_rate.hz(),
            opened_at: OnceLock::new(),
        }
    }

    /// The clock's time of a moment since the conversation opened; None before that.
    pub(super) fn clock_time(&self, at: Duration) -> Option<Duration> {
        self.opened_at.get().map(|origin| origin.saturating_add(at))
    }

    /// Since the conversation opened (its first response headers); zero before.
    pub(super) fn at(&self) -> Duration {
        self.opened_at.get().map_or(Duration::ZERO, |origin| self.clock.now().saturating_sub(*origin))
    }

    pub(super) fn command(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(super) fn tell(&self, needed: bool) {
        if needed {
            self.signal.raise();
        }
    }

    /// Response headers have come.
    pub(super) fn stream_opened(&self) {
        self.counters.stream_opened();
        tracing::debug!(session = self.id, "stream open");
        self.opened_at.get_or_init(|| self.clock.now());
        self.life.tell_opened(Ok(()));
    }

    /// Ends the session once; later calls do nothing.
    pub(super) fn end(&self, End { reason, error }: End) {
        let event = Event {
            at: self.at(),
            turn: None,
            raw_type: "novasonic".into(),
            kind: EventKind::SessionEnded { reason, error: error.clone() },
        };
        if !self.output.end(event) {
            return;
        }
        let code = error.as_ref().map(|error| error.code.as_str());
        tracing::debug!(session = self.id, ?reason, code, "session ended");
        self.lane.end();
        self.input.end(error.clone());
        self.life.end(error);
        // Whatever the host waits for (events, room), the end answers it.
        self.signal.raise();
    }

    pub(super) fn stats(&self) -> Stats {
        let input = self.input.counts();
        let output = self.output.counts();
        Stats {
            queued_input_ms: input.queued_ms,
            queued_output_ms: output.queued_us.div_ceil(1_000),
            sent_audio_ms: pcm_ms(self.counters.sent_bytes(), self.input_rate_hz),
            filled_silence_ms: pcm_ms(self.counters.silence_bytes(), self.input_rate_hz),
            received_audio_ms: output.received_us.div_ceil(1_000),
            refused_chunks: input.refused_chunks,
            refused_audio_ms: input.refused_ms,
            purged_audio_ms: output.purged_us.div_ceil(1_000),
            events: output.events,
            wakeups: self.signal.wakeups(),
            unknown_events: output.unknown,
            tool_calls: self.counters.tool_calls(),
            streams_opened: self.counters.streams(),
        }
    }
}

fn pcm_ms(bytes: u64, rate_hz: u32) -> u64 {
    crate::audio::duration_ms(usize::try_from(bytes).unwrap_or(usize::MAX), rate_hz)
}
