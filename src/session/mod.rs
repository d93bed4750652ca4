//! A live conversation: the actor that joins protocol, conversation and transport.
//!
//! A [`Session`] is a handle; all of its methods are synchronous and cheap, so that Python calls them without a
//! future. Events and requests wait in bounded queues until the host drains them; `notify` is called once per
//! empty-to-non-empty edge.

use std::{sync::Arc, time::Duration};

use crate::{
    conversation::Event,
    error::Result,
    protocol::StreamConfig,
    transport::{Credentials, Transport},
};

#[derive(Debug, Clone)]
pub struct Buffers {
    /// User audio held back at most (30 s); a full queue takes nothing.
    pub input_ms: u64,
    /// Model audio held at most (120 s); full, the session stops reading its own stream.
    pub output_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Timeouts {
    pub open: Duration,
    pub close: Duration,
}

pub struct SessionConfig {
    pub model_id: String,
    pub stream: StreamConfig,
    pub buffers: Buffers,
    pub timeouts: Timeouts,
}

/// What the core must ask of its host, answered later by id.
pub struct Request {
    pub id: u64,
    pub kind: RequestKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    Credentials,
}

pub enum Answer {
    Credentials(Credentials),
    /// The host could not answer; the text goes into the error's message.
    Failed(String),
}

/// One snapshot; all counts since the conversation opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    pub queued_input_ms: u64,
    pub queued_output_ms: u64,
    pub sent_audio_ms: u64,
    pub received_audio_ms: u64,
    pub refused_chunks: u64,
    pub refused_audio_ms: u64,
    pub purged_audio_ms: u64,
    pub events: u64,
    pub wakeups: u64,
    pub unknown_events: u64,
    pub streams_opened: u64,
}

/// Called from Tokio threads: once for each empty-to-non-empty edge of the event queue, for each request and each
/// interruption (the host may be leaving events in a full queue), and when room for input comes back.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// Cheap to clone. Dropping the last handle aborts the session: its stream is reset and its task ends.
#[derive(Clone)]
pub struct Session {}

impl Session {
    /// Spawns the actor on `runtime` and returns at once; `opened()` tells how it went.
    pub fn spawn(
        _runtime: &tokio::runtime::Handle,
        _transport: Arc<dyn Transport>,
        _config: SessionConfig,
        _notify: Notify,
    ) -> Self {
        todo!()
    }

    /// Resolves at response headers, or with what failed before them. Cancelling it changes nothing.
    pub async fn opened(&self) -> Result<()> {
        todo!()
    }

    /// Copies `pcm` (PCM16LE mono at the input rate) into the queue. `Ok(false)`: full, nothing taken, counted.
    /// Errors: `AudioFormat` (odd length, longer than the whole buffer), `Closed` or the session's own error after the end.
    pub fn try_send_audio(&self, _pcm: &[u8]) -> Result<bool> {
        todo!()
    }

    /// Whether `bytes` of audio would be taken now. Unlike a refused `try_send_audio` it counts nothing: the caller waits.
    /// Errors as `try_send_audio`, so that nobody waits for room that can never come.
    pub fn has_room(&self, _bytes: usize) -> Result<bool> {
        todo!()
    }

    /// Asks for one notification once the input queue is at most a quarter full (low-water mark) and `bytes` fit.
    /// Notifies at once if that is already so: room that came back between a look and this call must not be missed.
    pub fn want_room(&self, _bytes: usize) {
        todo!()
    }

    pub fn send_text(&self, _text: String) -> Result<()> {
        todo!()
    }

    /// While muted, silence goes up in place of the caller's audio.
    pub fn mute(&self, _muted: bool) {
        todo!()
    }

    /// Drops queued and later audio of the running turn; `Interrupted(client)` follows if a turn ran.
    pub fn interrupt(&self) {
        todo!()
    }

    /// Begins an orderly close, bounded by `Timeouts::close`. Idempotent.
    pub fn close(&self) {
        todo!()
    }

    /// Resets the stream now. Idempotent.
    pub fn abort(&self) {
        todo!()
    }

    /// Resolves when the actor has ended; every event is in the queue by then.
    pub async fn closed(&self) {
        todo!()
    }

    /// Moves at most `max` events and all requests out. Returns true if more events wait.
    pub fn drain(&self, _max: usize, _events: &mut Vec<Event>, _requests: &mut Vec<Request>) -> bool {
        todo!()
    }

    /// The last turn that was interrupted. The host drops audio of that turn which it drained but nobody read yet.
    pub fn interrupted_turn(&self) -> Option<u32> {
        todo!()
    }

    /// Answers a request; an id that is not waiting is ignored.
    pub fn answer(&self, _id: u64, _answer: Answer) {
        todo!()
    }

    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// A UUID, the conversation's; it outlives streams.
    pub fn id(&self) -> &str {
        todo!()
    }
}
