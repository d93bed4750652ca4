//! What the session has heard and the host has not yet fetched.
//!
//! Audio counts against the bound and a full queue stops the session from reading its own stream, so the service's
//! window holds the rest. Other events are never dropped and do not count against it: they come from the same stream,
//! so they stop with it, and what the session itself adds is one event for a call of `interrupt()` that met a running
//! turn, two for each typed text and the few of the end. Memory is bounded beside that, far above what a conversation
//! takes: a service gone mad may send words or single samples without end to a host that does not read.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    audio::SAMPLE_BYTES,
    conversation::{Event, EventKind},
};

/// What events take beside their audio: some 60,000 of them, where 120 s of audio are 1,500.
const MAX_HELD_BYTES: usize = 16 << 20;
const EVENT_BYTES: usize = 256;

pub(super) struct EventQueue {
    bound_us: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    counts: OutputCounts,
    held_bytes: usize,
    interrupted_turn: Option<u32>,
    ended: bool,
}

/// All since the conversation opened, but for what is queued now. Microseconds, since short pieces at 24 kHz would
/// gain half a millisecond each by rounding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OutputCounts {
    pub(super) queued_us: u64,
    pub(super) received_us: u64,
    pub(super) purged_us: u64,
    pub(super) events: u64,
    pub(super) unknown: u64,
}

pub(super) struct Drained {
    pub(super) more: bool,
    /// The queue was full and is not any more: the session may read again.
    pub(super) room: bool,
}

impl EventQueue {
    pub(super) fn new(bound_ms: u64) -> Self {
        Self { bound_us: bound_ms.saturating_mul(1_000), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full(&self.lock())
    }

    fn full(&self, state: &State) -> bool {
        state.counts.queued_us >= self.bound_us || state.held_bytes >= MAX_HELD_BYTES
    }

    /// Moves `batch` in. True: the host must be told (the queue was empty, or a turn was interrupted).
    pub(super) fn push(&self, batch: &mut Vec<Event>) -> bool {
        let mut state = self.lock();
        if state.ended || batch.is_empty() {
            batch.clear();
            return false;
        }
        let mut tell = state.events.is_empty();
        for event in batch.drain(..) {
            tell |= state.push(event);
        }
        tell
    }

    /// The last event. False after the first time: a session ends once.
    pub(super) fn end(&self, event: Event) -> bool {
        let mut state = self.lock();
        if state.ended {
            return false;
        }
        state.push(event);
        state.ended = true;
        true
    }

    pub(super) fn drain(&self, max: usize, out: &mut Vec<Event>) -> Drained {
        let mut state = self.lock();
        let was_full = self.full(&state);
        let count = max.min(state.events.len());
        let (mut taken_us, mut taken_bytes) = (0, 0);
        out.extend(state.events.drain(..count).inspect(|event| {
            taken_us += audio_us(event);
            taken_bytes += held_bytes(event);
        }));
        state.counts.queued_us -= taken_us;
        state.held_bytes -= taken_bytes;
        Drained { more: !state.events.is_empty(), room: was_full && !self.full(&state) }
    }

    pub(super) fn interrupted_turn(&self) -> Option<u32> {
        self.lock().interrupted_turn
    }

    pub(super) fn counts(&self) -> OutputCounts {
        self.lock().counts
    }
}

impl State {
    /// True for an interruption.
    fn push(&mut self, event: Event) -> bool {
        let us = audio_us(&event);
        self.counts.events += 1;
        self.counts.received_us += us;
        self.counts.queued_us += us;
        self.held_bytes += held_bytes(&event);
        self.counts.unknown += u64::from(matches!(event.kind, EventKind::Unknown { .. }));
        let interrupted = matches!(event.kind, EventKind::Interrupted { .. });
        if let (true, Some(turn)) = (interrupted, event.turn) {
            self.interrupted_turn = Some(turn);
            self.purge(turn);
        }
        self.events.push_back(event);
        interrupted
    }

    fn purge(&mut self, turn: u32) {
        let (mut purged_us, mut purged_bytes) = (0, 0);
        self.events.retain(|event| {
            let purge = event.turn == Some(turn) && matches!(event.kind, EventKind::Audio { .. });
            if purge {
                purged_us += audio_us(event);
                purged_bytes += held_bytes(event);
            }
            !purge
        });
        self.counts.queued_us -= purged_us;
        self.counts.purged_us += purged_us;
        self.held_bytes -= purged_bytes;
    }
}

fn held_bytes(event: &Event) -> usize {
    let words = match &event.kind {
        EventKind::Transcript { text, .. } => text.len(),
        EventKind::ToolCall { id, name, arguments } => id.len() + name.len() + arguments.len(),
        EventKind::Unknown { name, raw } => name.len() + raw.len(),
        _ => 0,
    };
    EVENT_BYTES + words
}

fn audio_us(event: &Event) -> u64 {
    match &event.kind {
        EventKind::Audio { pcm, rate_hz } => {
            let samples = (pcm.len() / SAMPLE_BYTES) as u64;
            samples.saturating_mul(1_000_000).checked_div(u64::from(*rate_hz)).unwrap_or(0)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
