//! What one stream says: headers, what the dialogue answers, and faults in their places between its events.

use super::{CLEAN, Phase, Stream};
use crate::emulator::{
    dialogue::Emit,
    output,
    request::Form,
    settings::{BrainNotice, HeadersAt},
};

impl Stream {
    /// What follows the start (no events yet) and each event: headers, what the dialogue says, faults.
    pub(super) async fn settle(&mut self) {
        if self.events <= 1 && self.begin().await.is_err() {
            return;
        }
        self.emit().await;
        self.count_input();
        if self.faults.is_due() {
            self.commit().await;
        }
    }

    /// Headers, or a refusal in their place (`Err`, as where the stream is lost).
    async fn begin(&mut self) -> Result<(), ()> {
        self.count_input();
        if let Some(armed) = self.faults.refusal() {
            self.apply(&armed).await;
            if self.phase != Phase::Talking || self.over {
                return Err(());
            }
        }
        let websocket = self.wire.form() == Form::WebSocket;
        if websocket && self.faults.is_due() {
            self.commit().await;
            if self.phase != Phase::Talking || self.over {
                return Err(());
            }
        }
        // A WebSocket's client sends nothing before it has been let in.
        let at_once =
            websocket || self.registry.settings.headers == HeadersAt::Immediately || self.faults.wants_headers();
        if (self.events > 0 || at_once)
            && let Err(lost) = self.wire.headers()
        {
            self.lost(lost);
            return Err(());
        }
        self.faults.headers_sent();
        Ok(())
    }

    pub(super) async fn emit(&mut self) {
        let mut emits = std::mem::take(&mut self.emits);
        for emit in emits.drain(..) {
            match emit {
                // Notices to the host are owed even when the stream has just ended.
                Emit::CancelTurn { turn_id } => self.entry.cancel_turn(turn_id),
                _ if self.phase != Phase::Talking => {}
                Emit::Event(event) => self.say(&event).await,
                Emit::Exception { name, message } => {
                    if self.goes_on().await {
                        self.end_with_exception(name, &message, format!("{name}: {message}"));
                    }
                }
                Emit::End => {
                    if self.goes_on().await {
                        let clean = self.entry.last_event_is("sessionEnd");
                        self.begin_end(if clean { CLEAN } else { "the input ended before sessionEnd" });
                    }
                }
                Emit::Ask(turn) => {
                    self.entry.open_turn(turn.turn_id);
                    self.registry.notify_host(BrainNotice::Turn(turn));
                }
                Emit::ToolResult { turn_id, call_id, content } => {
                    self.registry.notify_host(BrainNotice::ToolResult { turn_id, call_id, content });
                }
            }
        }
        self.emits = emits;
        self.entry.count_audio(self.dialogue.audio_bytes());
    }

    async fn say(&mut self, event: &[u8]) {
        let name = output::event_name(event);
        self.outgoing.event(event);
        self.entry.said(name);
        if self.duplicates > 0 {
            self.duplicates -= 1;
            self.outgoing.event(event);
            self.entry.said(name);
        }
        if !self.faults.is_empty() {
            self.faults.output(name);
            if self.faults.is_due() {
                self.commit().await;
            }
        }
    }
}
