//! The conversation so far as the next stream is told it, shaped by the service's rules (protocol reference §6.3).
//!
//! The first message is USER, neighbours of one role are merged, what is newest is kept; the assistant's words are
//! those that were heard. Sizes count UTF-8 bytes.

use crate::protocol::{Message, Role};

/// The service's bound on one message.
const MESSAGE_BYTES: usize = 50 * 1_024;

/// Gathers messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Retold(Vec<Message>);

impl Retold {
    pub(super) fn says(&mut self, role: Role, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.role == role => {
                last.text.push('\n');
                last.text.push_str(text);
            }
            _ => self.0.push(Message { role, text: text.to_owned() }),
        }
    }

    /// What fits into `most_bytes`.
    pub(super) fn messages(self, most_bytes: usize) -> Vec<Message> {
        let mut left = most_bytes;
        let mut kept: Vec<Message> = Vec::new();
        for mut message in self.0.into_iter().rev() {
            keep_end(&mut message.text, MESSAGE_BYTES);
            if message.text.len() > left {
                // Half a sentence of the past is better than none, where it is all there is.
                if !kept.is_empty() {
                    break;
                }
                keep_end(&mut message.text, left);
                // Not even its last character fits.
                if message.text.is_empty() {
                    break;
                }
            }
            left -= message.text.len();
            kept.push(message);
        }
        while kept.last().is_some_and(|oldest| oldest.role != Role::User) {
            kept.pop();
        }
        kept.reverse();
        kept
    }
}

/// Cuts `text` to its last `most_bytes`, between characters.
fn keep_end(text: &mut String, most_bytes: usize) {
    if let Some(excess) = text.len().checked_sub(most_bytes).filter(|excess| *excess > 0) {
        let cut = text.ceil_char_boundary(excess);
        text.drain(..cut);
    }
}

#[cfg(test)]
mod tests;
