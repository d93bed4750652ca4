//! One stream as it is, for hosts that speak the language of the service themselves: event JSON up, event JSON down,
//! nothing looked at.
//!
//! It shares the transport, the bounds and the ways of ending with [`super::Session`], and like that is a handle whose
//! methods are synchronous and cheap, but for two waits.

mod actor;
mod queue;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::sync::Notify as Wake;

use self::queue::{Inbox, Outbox};
use super::{
    Answer, Clock, Notify, Request, Timeouts,
    lane::Lane,
    life::{self, Life},
    signal::Signal,
};
use crate::{
    error::{Error, Result},
    transport::Transport,
};

pub struct RawConfig {
    pub model_id: String,
    /// Where the model is offered; empty: not known.
    pub regions: Vec<String>,
    pub buffers: RawBuffers,
    pub timeouts: Timeouts,
    pub clock: Arc<dyn Clock>,
}

/// In bytes of JSON; each event counts a little more, for what holds it.
#[derive(Debug, Clone)]
pub struct RawBuffers {
    /// Events not yet sent. A full queue takes nothing.
    pub input_bytes: usize,
    /// Events not yet drained. Full, the stream is read no further; it may exceed this by one event.
    pub output_bytes: usize,
}

impl Default for RawBuffers {
    /// As much audio as a session holds back: 30 s at 16 kHz up, 120 s at 24 kHz down, in base64.
    fn default() -> Self {
        Self { input_bytes: 2 << 20, output_bytes: 8 << 20 }
    }
}

/// One snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawStats {
    pub queued_input_bytes: u64,
    pub queued_output_bytes: u64,
    /// What the transport has taken.
    pub sent_events: u64,
    pub sent_bytes: u64,
    pub received_events: u64,
    pub received_bytes: u64,
    /// Events that `try_send` did not take because the queue was full.
    pub refused_events: u64,
    /// Events that came during a close and found the queue full.
    pub dropped_events: u64,
    pub wakeups: u64,
}

/// Cheap to clone. Dropping the last handle aborts the stream.
#[derive(Clone)]
pub struct RawStream {
    handle: Arc<Handle>,
}

/// The actor holds [`Shared`] only, so the last handle's drop is seen.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.command(&self.shared.abort);
    }
}

/// No lock in here is held across an await.
struct Shared {
    id: String,
    outbox: Outbox,
    inbox: Inbox,
    lane: Arc<Lane>,
    signal: Arc<Signal>,
    life: Life,
    request_id: OnceLock<String>,
    /// Wakes the actor. It keeps one permit, so a call between two looks is not lost.
    wake: Wake,
    close: AtomicBool,
    abort: AtomicBool,
}

impl Shared {
    fn command(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn tell(&self, needed: bool) {
        if needed {
            self.signal.raise();
        }
    }

    /// Ends the stream once; later calls do nothing.
    fn end(&self, error: Option<Error>) {
        if !self.life.end(error.clone()) {
            return;
        }
        let code = error.as_ref().map(|error| error.code.as_str());
        tracing::debug!(stream = self.id, code, "raw stream ended");
        self.lane.end();
        self.outbox.end(error);
        // Whatever the host waits for (events, room), the end answers it.
        self.signal.raise();
    }
}

impl RawStream {
    /// Spawns the actor on `runtime` and returns at once; `opened()` tells how it went. The service may answer only
    /// after the first event.
    pub fn spawn(
        runtime: &tokio::runtime::Handle,
        transport: Arc<dyn Transport>,
        config: RawConfig,
        notify: Notify,
    ) -> Self {
        let signal = Arc::new(Signal::new(notify));
        let shared = Arc::new(Shared {
            id: uuid::Uuid::new_v4().to_string(),
            outbox: Outbox::new(config.buffers.input_bytes),
            inbox: Inbox::new(config.buffers.output_bytes),
            lane: Arc::new(Lane::new(signal.clone())),
            signal,
            life: Life::default(),
            request_id: OnceLock::new(),
            wake: Wake::new(),
            close: AtomicBool::new(false),
            abort: AtomicBool::new(false),
        });
        let live = actor::live(shared.clone(), transport, config);
        let told = shared.clone();
        runtime.spawn(life::contained(shared.id.clone(), live, move |error| told.end(error)));
        Self { handle: Arc::new(Handle { shared }) }
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Resolves at response headers, or with what failed before them. Cancelling it changes nothing.
    pub async fn opened(&self) -> Result<()> {
        self.shared().life.opened().await
    }

    /// Copies one event's JSON into the queue. `Ok(false)`: full, nothing taken, counted. Errors: `Validation` (empty,
    /// larger than the service takes or than the whole queue), `Closed` after [`Self::end_input`], or what ended the
    /// stream.
    pub fn try_send(&self, event: &[u8]) -> Result<bool> {
        let taken = self.shared().outbox.try_push(event)?;
        if taken {
            self.shared().wake.notify_one();
        }
        Ok(taken)
    }

    /// Whether `bytes` would be taken now; counts nothing. Errors as `try_send`, so that nobody waits in vain.
    pub fn has_room(&self, bytes: usize) -> Result<bool> {
        self.shared().outbox.has_room(bytes)
    }

    /// Asks for one notification once `bytes` fit and the queue is at most a quarter full, or nothing is taken any
    /// more; at once where that is so already.
    pub fn want_room(&self, bytes: usize) {
        self.shared().tell(self.shared().outbox.want_room(bytes));
    }

    /// Ends our side behind what is queued; what comes down still comes. Idempotent.
    pub fn end_input(&self) {
        self.shared().tell(self.shared().outbox.end_input());
        self.shared().wake.notify_one();
    }

    /// As [`Self::end_input`], then waits for the peer to end its side, bounded by `Timeouts::close`. Nobody need read
    /// meanwhile. Whatever the peer does, the stream ends well. Idempotent.
    pub fn close(&self) {
        self.end_input();
        self.shared().command(&self.shared().close);
    }

    /// Resets the stream now; it ends well. Idempotent.
    pub fn abort(&self) {
        self.shared().command(&self.shared().abort);
    }

    /// Resolves when the actor has ended; every event is in the queue by then.
    pub async fn closed(&self) {
        self.shared().life.ended().await;
    }

    /// The actor has ended; events may still wait in the queue.
    pub fn is_over(&self) -> bool {
        self.shared().life.is_over()
    }

    /// What ended the stream, once it has ended with an error.
    pub fn error(&self) -> Option<Error> {
        self.shared().life.error()
    }

    /// Moves requests out, and events: at most `max`, and no more than 256 KiB unless the first alone is larger.
    /// Returns true if more events wait; no notification comes for those, so the host calls again by itself.
    pub fn drain(&self, max: usize, events: &mut Vec<Bytes>, requests: &mut Vec<Request>) -> bool {
        self.shared().lane.drain(requests);
        let drained = self.shared().inbox.drain(max, events);
        if drained.room {
            self.shared().wake.notify_one();
        }
        drained.more
    }

    /// Answers a request; an id that is not waiting is ignored.
    pub fn answer(&self, id: u64, answer: Answer) {
        self.shared().lane.answer(id, answer);
    }

    pub fn stats(&self) -> RawStats {
        let mut stats = RawStats { wakeups: self.shared().signal.wakeups(), ..RawStats::default() };
        self.shared().outbox.tally(&mut stats);
        self.shared().inbox.tally(&mut stats);
        stats
    }

    /// The service's id of this stream, once headers have come.
    pub fn request_id(&self) -> Option<&str> {
        self.shared().request_id.get().map(String::as_str)
    }

    /// A UUID of ours, for logs.
    pub fn id(&self) -> &str {
        &self.shared().id
    }
}

#[cfg(test)]
mod tests;
