//! The user speaks or types over the model: each known way in which the service says so (reference §2.4).

use std::time::Instant;

use super::Speech;
use crate::emulator::{
    build::BargeIn,
    dialogue::Emit,
    output::{Block, INTERRUPTED_MARKER, OLD_INTERRUPTED_MARKER, Speaker, Stage, StopReason},
};

impl Speech {
    /// What was heard of the present sentence gets its FINAL text; nothing more of this turn follows.
    pub(in crate::emulator) fn interrupt(&mut self, now: Instant, out: &mut Vec<Emit>) {
        self.send_finals(now, out);
        let sending = self.sending.take().map(|sending| sending.block);
        let spoken_over = sending.is_some() || !self.played.is_silent();
        if spoken_over {
            let words = self.played.cut(now);
            self.tell_barge_in(&words, sending.as_ref(), out);
            self.owed.forget_turn();
        }
        if spoken_over || self.course.end_turn_sent {
            self.end_reply(out);
        }
        self.forget(now);
    }

    /// `open` is the audio block that is being sent; None where all of it was sent before.
    fn tell_barge_in(&mut self, words: &str, open: Option<&Block>, out: &mut Vec<Emit>) {
        match self.build.barge_in {
            form @ (BargeIn::Marker | BargeIn::OldMarker) => {
                let marker = if form == BargeIn::Marker { INTERRUPTED_MARKER } else { OLD_INTERRUPTED_MARKER };
                self.send_final(words, StopReason::PartialTurn, out);
                self.text(Speaker::Assistant, Stage::Final, marker, StopReason::Interrupted, out);
                self.close_open(open, StopReason::EndTurn, out);
            }
            BargeIn::TextEnd => {
                self.send_cut(words, out);
                self.close_open(open, StopReason::PartialTurn, out);
            }
            BargeIn::AudioFirst => {
                self.close_open(open, StopReason::EndTurn, out);
                self.send_cut(words, out);
            }
            BargeIn::SpeechOnly => {
                self.close_open(open, StopReason::PartialTurn, out);
                self.send_final(words, StopReason::PartialTurn, out);
            }
            BargeIn::AudioEnd if open.is_some() => {
                self.send_final(words, StopReason::PartialTurn, out);
                self.close_open(open, StopReason::Interrupted, out);
            }
            // No block is left that could say it.
            BargeIn::AudioEnd => self.send_cut(words, out),
        }
    }

    fn close_open(&self, open: Option<&Block>, reason: StopReason, out: &mut Vec<Emit>) {
        if let Some(block) = open {
            out.push(Emit::Event(self.writer.audio_end(block, reason)));
        }
    }

    /// A FINAL text that ends INTERRUPTED, and is empty where not one word was heard.
    fn send_cut(&mut self, words: &str, out: &mut Vec<Emit>) {
        if words.is_empty() {
            let (block, start) = self.writer.text_start(Speaker::Assistant, Stage::Final);
            out.push(Emit::Event(start));
            out.push(Emit::Event(self.writer.text_end(&block, StopReason::Interrupted)));
        } else {
            self.send_final(words, StopReason::Interrupted, out);
        }
    }
}
