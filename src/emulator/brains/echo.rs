//! Each audioInput comes back at once as one audioOutput: for load and latency tests, so the cheapest path there is.
//!
//! The base64 text is copied as it came (the dialogue has checked it), whatever the two rates are; the block is
//! announced once and stays open until the prompt ends.

use crate::emulator::{
    dialogue::Emit,
    output::{Block, Writer},
    speech::Speech,
};

#[derive(Default)]
pub(in crate::emulator) struct Echo {
    block: Option<Block>,
    bytes: u64,
}

impl Echo {
    pub(in crate::emulator) fn audio(
        &mut self,
        content: &str,
        pcm_bytes: usize,
        speech: &mut Speech,
        out: &mut Vec<Emit>,
    ) {
        let block = self.block.get_or_insert_with(|| speech.open_audio(out));
        out.push(Emit::Event(Writer::audio_output_encoded(block, content)));
        self.bytes += pcm_bytes as u64;
    }

    pub(in crate::emulator) fn end(&mut self, speech: &mut Speech, out: &mut Vec<Emit>) {
        if let Some(block) = self.block.take() {
            speech.close_audio(&block, out);
        }
    }

    pub(in crate::emulator) fn audio_bytes(&self) -> u64 {
        self.bytes
    }
}
