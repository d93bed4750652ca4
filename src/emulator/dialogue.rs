//! One stream's side of the conversation, sans I/O: events in, events out, deadlines told.
//!
//! The wire (`server.rs`) calls it from one task and owns the clock, so all of this is tested by tables.

use std::{sync::Arc, time::Instant};

use super::{
    brains::Brain,
    settings::{BrainAction, Settings, TurnRequest},
};

/// What the wire must do, in order.
#[derive(Debug, Clone)]
pub(super) enum Emit {
    /// One event's JSON (`{"event":{...}}`), to be framed as a chunk.
    Event(Vec<u8>),
    /// A modelled in-stream exception (`validationException`), which ends the stream.
    Exception {
        name: &'static str,
        message: String,
    },
    /// END_STREAM.
    End,
    /// A host brain must answer this turn.
    Ask(TurnRequest),
    CancelTurn {
        turn_id: u64,
    },
    ToolResult {
        turn_id: u64,
        call_id: u64,
        content: String,
    },
}

pub(super) struct Dialogue {}

impl Dialogue {
    /// `brain` was loaded once for the emulator, whose streams also share `next_turn_id`.
    pub(super) fn new(
        _settings: Arc<Settings>,
        _brain: Arc<Brain>,
        _stream_id: u64,
        _next_turn_id: Arc<std::sync::atomic::AtomicU64>,
        _now: Instant,
    ) -> Self {
        todo!()
    }

    /// Takes one input event's JSON. Returns its name, for the report.
    pub(super) fn on_event(&mut self, _payload: &[u8], _now: Instant, _out: &mut Vec<Emit>) -> &'static str {
        todo!()
    }

    /// The client ended its input (END_STREAM).
    pub(super) fn on_input_end(&mut self, _now: Instant, _out: &mut Vec<Emit>) {
        todo!()
    }

    pub(super) fn on_timer(&mut self, _now: Instant, _out: &mut Vec<Emit>) {
        todo!()
    }

    /// What a host brain did; a `turn_id` that is over is ignored.
    pub(super) fn on_action(&mut self, _turn_id: u64, _action: BrainAction, _now: Instant, _out: &mut Vec<Emit>) {
        todo!()
    }

    /// PCM bytes heard and spoken so far, for the report.
    pub(super) fn audio_bytes(&self) -> (u64, u64) {
        todo!()
    }

    /// When `on_timer` wants to be called next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        todo!()
    }
}
