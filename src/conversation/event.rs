//! What a session tells its reader. Twin of `python/novasonic/events.py`; a test compares the fields.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use super::Reason;
use crate::{error::Error, protocol::TokenCounts};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    User,
    Assistant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptSource {
    Model,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    Closed,
    Limit,
    Server,
    Error,
}

/// When what happened in a turn, since the conversation opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    pub started: Duration,
    /// The user's last word: where the service told it, by the position in the audio sent; else when its text came.
    pub user_ended: Option<Duration>,
    pub first_audio: Option<Duration>,
    /// None while the turn runs.
    pub ended: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Since the conversation opened.
    pub at: Duration,
    /// None outside a turn.
    pub turn: Option<u32>,
    /// The service's event this came from (`audioOutput`), or `novasonic` where it is our own.
    pub raw_type: Cow<'static, str>,
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    Audio {
        pcm: Bytes,
        rate_hz: u32,
    },
    Transcript {
        speaker: Speaker,
        text: String,
        is_final: bool,
        segment: u32,
    },
    TurnStarted,
    TurnEnded {
        interrupted: bool,
        timings: Timings,
    },
    Interrupted {
        source: InterruptSource,
    },
    /// `arguments` is JSON, an object unless the model erred.
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    /// The one result of a call is on its way to the model; `after` the call came.
    ToolFinished {
        id: String,
        ok: bool,
        after: Duration,
    },
    Usage {
        delta: TokenCounts,
        total: TokenCounts,
        usd: f64,
    },
    /// The conversation is about to go on with another stream.
    Renewing {
        reason: Reason,
    },
    /// And does; `replayed` of what the user said was given to both.
    Renewed {
        took: Duration,
        replayed: Duration,
    },
    SessionEnded {
        reason: EndReason,
        error: Option<Error>,
    },
    Unknown {
        name: String,
        raw: String,
    },
}
