//! Figures of one conversation, cheap enough to read at every frame.

use std::sync::atomic::{AtomicU64, Ordering};

/// One snapshot; all counts since the conversation opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    pub queued_input_ms: u64,
    pub queued_output_ms: u64,
    /// The caller's audio that the stream has taken, muted or not; silence that the session adds is not counted.
    pub sent_audio_ms: u64,
    /// Silence sent in the place of audio that did not come.
    pub filled_silence_ms: u64,
    pub received_audio_ms: u64,
    pub refused_chunks: u64,
    pub refused_audio_ms: u64,
    pub purged_audio_ms: u64,
    pub events: u64,
    pub wakeups: u64,
    pub unknown_events: u64,
    pub tool_calls: u64,
    pub streams_opened: u64,
}

/// What the actor counts; the queues keep their own figures.
#[derive(Default)]
pub(super) struct Counters {
    sent_bytes: AtomicU64,
    silence_bytes: AtomicU64,
    tool_calls: AtomicU64,
    streams: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn filled(&self, bytes: usize) {
        self.silence_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn tool_called(&self) {
        self.tool_calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn silence_bytes(&self) -> u64 {
        self.silence_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn tool_calls(&self) -> u64 {
        self.tool_calls.load(Ordering::Relaxed)
    }

    pub(super) fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }
}
