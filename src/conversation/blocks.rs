//! What each content block is and whose turn it belongs to, by contentId: only `contentStart` says role and stage.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use crate::protocol::{ContentKind, GenerationStage, OutputContent, Role};

/// A sentence takes three blocks and its FINAL comes seconds later; this is some twenty sentences.
const MAX_BLOCKS: usize = 64;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    pub(super) kind: Option<ContentKind>,
    pub(super) role: Option<Role>,
    pub(super) stage: Option<GenerationStage>,
    pub(super) rate_hz: Option<u32>,
    pub(super) turn: Option<u32>,
    /// Of the text that came last.
    text_hash: Option<u64>,
    ended: bool,
}

impl Block {
    pub(super) fn announced(content: &OutputContent) -> Self {
        match content {
            OutputContent::Text { role, stage } => {
                Self { kind: Some(ContentKind::Text), role: *role, stage: *stage, ..Self::default() }
            }
            OutputContent::Audio { rate_hz } => {
                Self { kind: Some(ContentKind::Audio), rate_hz: *rate_hz, ..Self::default() }
            }
            OutputContent::Tool => Self { kind: Some(ContentKind::Tool), ..Self::default() },
            OutputContent::Other(_) => Self::default(),
        }
    }

    /// Notes a text. False: the service repeats itself.
    pub(super) fn is_news(&mut self, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.text_hash.replace(hasher.finish()) != Some(hasher.finish())
    }
}

/// The latest blocks. Ended ones stay until they are pushed out: what comes late must still find its turn.
#[derive(Debug, Default)]
pub(super) struct Blocks(VecDeque<(String, Block)>);

impl Blocks {
    pub(super) fn get(&self, content_id: &str) -> Option<Block> {
        self.0.iter().rev().find(|(id, _)| id == content_id).map(|(_, block)| *block)
    }

    /// Remembers `block`, or renews what is known of it. A missing id names nothing.
    pub(super) fn put(&mut self, content_id: String, block: Block) {
        if content_id.is_empty() {
            return;
        }
        if let Some((_, known)) = self.0.iter_mut().rev().find(|(id, _)| *id == content_id) {
            // Announced once more it may be said once more.
            *known = Block { text_hash: block.text_hash.or(known.text_hash), ..block };
            return;
        }
        if self.0.len() == MAX_BLOCKS {
            self.0.pop_front();
        }
        self.0.push_back((content_id, block));
    }

    pub(super) fn end(&mut self, content_id: &str) -> Option<Block> {
        let (_, block) = self.0.iter_mut().rev().find(|(id, _)| id == content_id)?;
        block.ended = true;
        Some(*block)
    }

    /// Whether audio of `turn` is under way.
    pub(super) fn audio_open(&self, turn: u32) -> bool {
        self.0
            .iter()
            .any(|(_, block)| block.kind == Some(ContentKind::Audio) && block.turn == Some(turn) && !block.ended)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
