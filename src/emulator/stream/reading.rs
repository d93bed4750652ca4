//! What one stream hears: messages, checked and unwrapped, and the end of them.

use std::time::Instant;

use bytes::Bytes;

use super::{CLEAN, Phase, Stream};
use crate::emulator::{
    incoming::{decode_chunk, malformed, unseal},
    wire::Lost,
};

impl Stream {
    pub(super) async fn take_data(&mut self, data: Bytes) {
        let len = data.len();
        if self.phase == Phase::Mute {
            self.wire.release(len);
            return;
        }
        self.assembler.push(data);
        while let Some(message) = self.next_message() {
            if self.phase == Phase::Talking {
                match self.take_event(&message) {
                    Ok(false) => {}
                    Ok(true) => self.settle().await,
                    Err(refused) => self.refuse_event(&refused),
                }
            } else if self.ended_well() {
                self.check_tail(&message);
            }
        }
        // Given back only now: what has not been taken keeps the client's window closed.
        self.wire.release(len);
    }

    fn next_message(&mut self) -> Option<Bytes> {
        if self.over || matches!(self.phase, Phase::Stalled | Phase::Mute) {
            return None;
        }
        self.assembler.next().unwrap_or_else(|error| {
            // Without lengths to trust there is no next message; a fresh assembler reads on behind the refusal.
            self.assembler = self.wire.assembler();
            if self.phase == Phase::Talking {
                self.refuse_event(&malformed(&error));
            }
            None
        })
    }

    /// True: one event went to the dialogue. False: the empty message at the end.
    fn take_event(&mut self, message: &[u8]) -> Result<bool, String> {
        let Some(chunk) = unseal(self.chain.as_mut(), message, self.skew)? else { return Ok(false) };
        decode_chunk(&chunk, &mut self.event)?;
        self.events += 1;
        let name = self.dialogue.on_event(&self.event, Instant::now(), &mut self.emits);
        self.entry.saw_event(name, self.dialogue.audio_bytes());
        self.uncounted = Some(name);
        Ok(true)
    }

    /// After sessionEnd only the signed empty message may come, and its signature counts like any other.
    fn check_tail(&mut self, message: &[u8]) {
        match unseal(self.chain.as_mut(), message, self.skew) {
            Ok(None) => {}
            Ok(Some(_)) => self.verdict = Some("an event came after sessionEnd".into()),
            Err(refused) => self.verdict = Some(format!("the message after sessionEnd was refused: {refused}")),
        }
    }

    pub(super) async fn input_ended(&mut self) {
        self.input_open = false;
        if self.phase == Phase::Talking {
            if self.assembler.is_empty() {
                self.dialogue.on_input_end(Instant::now(), &mut self.emits);
                self.emit().await;
            } else {
                self.refuse_event("the input ended inside a message");
            }
        } else if self.phase == Phase::Closing {
            self.finish_as_judged();
        }
    }

    /// Nothing more comes from the client, and only a broken WebSocket can still be told so.
    pub(super) fn lost(&mut self, lost: Lost) {
        let how = match lost {
            Lost::Reset(reason) => format!("reset by the client: {reason:?}"),
            Lost::Connection => "connection lost".to_owned(),
            Lost::Protocol(code, message) => {
                if self.phase == Phase::Talking {
                    self.input_open = false;
                    self.wire.close_with(code);
                    return self.begin_end(format!("the WebSocket was broken: {message}"));
                }
                message
            }
        };
        let reason = match self.verdict.take() {
            None => how,
            Some(verdict) if verdict == CLEAN => format!("{how}, after sessionEnd"),
            Some(verdict) => verdict,
        };
        self.finish(reason);
    }
}
