//! A live conversation: the actor that joins protocol, conversation and transport.
//!
//! A [`Session`] is a handle; all of its methods but two waits are synchronous and cheap, so that Python calls them
//! without a future. Events and requests wait in bounded queues until the host drains them; [`Notify`] tells it to.
//!
//! The conversation owns id, clock, turn numbers and queues; its stream is a part that may be replaced (`stream.rs`).

mod actor;
mod alarm;
mod asides;
mod clock;
mod duplex;
mod input;
mod lane;
mod life;
mod output;
mod pacer;
mod rates;
pub mod raw;
mod room;
mod shared;
mod signal;
mod stats;
mod stream;
mod streams;
mod timer;

use std::{sync::Arc, time::Duration};

use asides::Prompt;
pub use asides::Reconfiguration;
pub use clock::{Clock, TokioClock};
use input::{check_text, closed_error};
pub use rates::{DeviceRates, stream_rate};
use shared::Shared;
pub use stats::Stats;

use crate::{
    conversation::{AnswerBounds, Continuation, Event, Limits, Prices, SharedHistory},
    error::{Error, Result},
    protocol::{Message, StreamConfig},
    transport::{Credentials, Patience, Transport},
};

#[derive(Debug, Clone)]
pub struct Buffers {
    /// User audio held back at most (30 s); a full queue takes nothing.
    pub input_ms: u64,
    /// Model audio held at most (120 s); full, the session stops reading its own stream.
    pub output_ms: u64,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { input_ms: 30_000, output_ms: 120_000 }
    }
}

#[derive(Debug, Clone)]
pub struct Timeouts {
    pub open: Duration,
    pub close: Duration,
    /// Of the connection.
    pub patience: Patience,
    /// Of the conversation; raw streams have none.
    pub answer: AnswerBounds,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(15),
            close: Duration::from_secs(5),
            patience: Patience::default(),
            answer: AnswerBounds::default(),
        }
    }
}

pub struct SessionConfig {
    pub model_id: String,
    /// Where the model is offered; empty: not known.
    pub regions: Vec<String>,
    pub stream: StreamConfig,
    /// An earlier conversation; the service's order: the user first.
    pub history: Vec<Message>,
    /// The number of the next turn: the conversation may have begun in another process.
    pub first_turn: u32,
    /// None: the conversation ends with its stream.
    pub continuation: Option<Continuation>,
    /// [`RequestKind::MayOverlap`] comes before a second stream is opened.
    pub asks_overlap: bool,
    pub device: DeviceRates,
    pub buffers: Buffers,
    pub timeouts: Timeouts,
    /// The user's audio goes up at the pace of speech, and silence where none comes; false: as it comes.
    pub realtime: bool,
    pub prices: Prices,
    pub limits: Limits,
    pub clock: Arc<dyn Clock>,
}

/// What the core must ask of its host, answered later by id, or tell it beside the events.
pub struct Request {
    pub id: u64,
    pub kind: RequestKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    Credentials,
    /// May the next stream be opened beside the present one?
    MayOverlap,
    /// What [`Answer::MayOverlap`] allowed is over: one stream is left.
    OverlapEnded,
    /// The model calls a tool: run it, whoever reads events or not, and answer by [`Session::send_tool_result`].
    Tool {
        id: String,
        name: String,
        arguments: String,
        turn: u32,
    },
    /// The prompt of this token was sent and began a turn.
    Prompted {
        token: u64,
        turn: u32,
    },
    /// The conversation goes on with what [`Session::reconfigure`] of this token asked for; or, since the service does
    /// not take it, as before.
    Reconfigured {
        token: u64,
        error: Option<Error>,
    },
}

pub enum Answer {
    Credentials(Credentials),
    MayOverlap(bool),
    /// The host could not answer; the text goes into the error's message.
    Failed(String),
}

/// Called from Tokio threads: once for each empty-to-non-empty edge of the event queue, for each request and each
/// interruption (the host may be leaving events in a full queue), and when room for input comes back.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// Cheap to clone. Dropping the last handle aborts the session: its stream is reset and its task ends.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

/// The actor holds [`Shared`] only, so the last handle's drop is seen.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.command(&self.shared.commands.abort);
    }
}

impl Session {
    /// Spawns the actor on `runtime` and returns at once; `opened()` tells how it went.
    pub fn spawn(
        runtime: &tokio::runtime::Handle,
        transport: Arc<dyn Transport>,
        config: SessionConfig,
        notify: Notify,
    ) -> Self {
        let shared = Arc::new(Shared::new(&config, notify));
        let live = actor::live(shared.clone(), transport, config);
        let told = shared.clone();
        runtime.spawn(life::contained(shared.id.clone(), live, move |end| told.end(end)));
        Self { handle: Arc::new(Handle { shared }) }
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Resolves at response headers, or with what failed before them. Cancelling it changes nothing.
    pub async fn opened(&self) -> Result<()> {
        self.shared().life.opened().await
    }

    /// Copies `pcm` (PCM16LE mono at the device's rate) into the queue. `Ok(false)`: full, nothing taken, counted.
    /// Errors: `AudioFormat` (empty, odd length, longer than the whole buffer), `Closed` or the session's own error
    /// after the end.
    pub fn try_send_audio(&self, pcm: &[u8]) -> Result<bool> {
        let taken = self.shared().input.try_audio(pcm)?;
        if taken {
            self.shared().wake.notify_one();
        }
        Ok(taken)
    }

    /// Whether `bytes` of audio would be taken now. Unlike a refused `try_send_audio` it counts nothing: the caller
    /// waits. Errors as `try_send_audio`, so that nobody waits for room that can never come.
    pub fn has_room(&self, bytes: usize) -> Result<bool> {
        self.shared().input.has_room(bytes)
    }

    /// Asks for one notification once the input queue is at most a quarter full (low-water mark) and `bytes` fit, or
    /// the session has ended. Notifies at once if that is already so: room that came back between a look and this
    /// call must not be missed. Wishes that wait together are told together, when the largest chunk fits.
    pub fn want_room(&self, bytes: usize) {
        self.shared().tell(self.shared().input.want_room(bytes));
    }

    /// Queues typed input of the user, behind the audio queued before it. Errors: `Validation` (empty, too long),
    /// `Throttled` (64 texts wait already), `Closed` or the session's own error after the end.
    pub fn send_text(&self, text: String) -> Result<()> {
        self.shared().input.push_text(text)?;
        self.shared().wake.notify_one();
        Ok(())
    }

    /// Queues `text` for the next moment in which no turn runs: the assistant speaks first. [`RequestKind::Prompted`]
    /// names `token` and the turn. Errors: as [`Self::send_text`].
    pub fn prompt(&self, token: u64, text: String) -> Result<()> {
        self.shared().input.check_open()?;
        check_text(&text)?;
        self.shared().asides.push_prompt(Prompt { token, text })?;
        self.shared().wake.notify_one();
        Ok(())
    }

    /// Queues the one result of a tool call, a JSON object, ahead of everything else. Errors: `Validation` (no such
    /// call waits, no object, too long), `Closed` or the session's own error after the end.
    pub fn send_tool_result(&self, id: String, json: String, ok: bool) -> Result<()> {
        self.shared().input.check_open()?;
        self.shared().asides.push_result(id, json, ok)?;
        self.shared().wake.notify_one();
        Ok(())
    }

    /// Replaces the stream, at the next good moment, by one with another prompt, voice or tools.
    /// [`RequestKind::Reconfigured`] tells when. Errors: `Closed` or the session's own error after the end.
    pub fn reconfigure(&self, reconfiguration: Reconfiguration) -> Result<()> {
        self.shared().input.check_open()?;
        self.shared().asides.push_reconfiguration(reconfiguration);
        self.shared().wake.notify_one();
        Ok(())
    }

    /// What both sides said. The caller reports there how much of a turn was played.
    pub fn history(&self) -> &SharedHistory {
        &self.shared().history
    }

    /// While muted, silence goes up in place of the caller's audio. What was queued before stays as it was said.
    pub fn mute(&self, muted: bool) {
        self.shared().input.mute(muted);
    }

    /// Drops queued and later audio of the running turn; `Interrupted(client)` follows if a turn ran.
    pub fn interrupt(&self) {
        self.shared().command(&self.shared().commands.interrupt);
    }

    /// Begins an orderly close, bounded by `Timeouts::close`: what is queued is still sent, the rest of the answer
    /// still read. Nothing more is taken. Idempotent.
    pub fn close(&self) {
        // In this order: whoever sees the flag finds everything that was taken in the queue.
        let waiting = self.shared().input.close(closed_error());
        self.shared().command(&self.shared().commands.close);
        self.shared().tell(waiting);
    }

    /// Resets the stream now; the session ends as closed. Idempotent.
    pub fn abort(&self) {
        self.shared().command(&self.shared().commands.abort);
    }

    /// Resolves when the actor has ended; every event is in the queue by then.
    pub async fn closed(&self) {
        self.shared().life.ended().await;
    }

    /// What ended the session, once it has ended with an error.
    pub fn error(&self) -> Option<Error> {
        self.shared().life.error()
    }

    /// Moves at most `max` events out, and requests, for which it notifies again if there are many. Returns true if more events wait; no notification comes for
    /// those, so the host calls again by itself.
    pub fn drain(&self, max: usize, events: &mut Vec<Event>, requests: &mut Vec<Request>) -> bool {
        self.shared().lane.drain(requests);
        let drained = self.shared().output.drain(max, events);
        if drained.room {
            self.shared().wake.notify_one();
        }
        drained.more
    }

    /// The last turn that was interrupted. The host drops audio of that turn which it drained but nobody read yet.
    pub fn interrupted_turn(&self) -> Option<u32> {
        self.shared().output.interrupted_turn()
    }

    /// Answers a request. False: it does not wait (any more), and nothing comes of the answer.
    pub fn answer(&self, id: u64, answer: Answer) -> bool {
        let taken = self.shared().lane.answer(id, answer);
        // The actor looks for some answers itself.
        self.shared().wake.notify_one();
        taken
    }

    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// A UUID, the conversation's; it outlives streams.
    pub fn id(&self) -> &str {
        &self.shared().id
    }
}

#[cfg(test)]
mod tests;
