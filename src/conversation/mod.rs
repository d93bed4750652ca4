//! Policy of a conversation, sans I/O: what the service's events mean to the person who speaks.
//!
//! Turns, segments, barge-in and usage. Time is an argument; nothing here waits. A conversation outlives its
//! streams, so its turn numbers, clock and usage totals do not restart when a stream is replaced.

mod event;

pub use event::{EndReason, Event, EventKind, InterruptSource, Speaker};

use std::time::Duration;

use crate::protocol::OutputEvent;

pub struct Conversation {}

impl Conversation {
    pub fn new(_output_rate_hz: u32) -> Self {
        todo!()
    }

    /// Takes one event of the service received `at` (since the conversation opened) and appends what it means.
    pub fn on_output(&mut self, _event: OutputEvent, _at: Duration, _out: &mut Vec<Event>) {
        todo!()
    }

    /// The user typed `text` and it was sent: begins a turn and is part of the transcript.
    pub fn on_typed(&mut self, _text: String, _at: Duration, _out: &mut Vec<Event>) {
        todo!()
    }

    /// The caller interrupts: later audio of the running turn is swallowed; one `Interrupted(client)`, or nothing if no turn runs.
    pub fn interrupt(&mut self, _at: Duration, _out: &mut Vec<Event>) {
        todo!()
    }

    /// The running turn's number, if one runs.
    pub fn turn(&self) -> Option<u32> {
        todo!()
    }

    /// A stream was replaced or ended: close what is open so that every TurnStarted has its TurnEnded.
    pub fn on_stream_end(&mut self, _at: Duration, _out: &mut Vec<Event>) {
        todo!()
    }
}
