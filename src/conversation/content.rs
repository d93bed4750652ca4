//! Content blocks: whose turn they belong to, what they add to the transcript, and which of their ends ends a turn.

use bytes::Bytes;

use super::{Begun, Conversation, Emit, EventKind, Speaker, blocks::Block, segments::Fit, turn::Reply};
use crate::protocol::{ContentKind, GenerationStage, OutputContent, Role, StopReason, is_interruption_marker};

impl Conversation {
    /// Nothing begins a turn here: an interruption marker is announced like any sentence.
    pub(super) fn on_content_start(&mut self, content_id: String, content: &OutputContent) {
        let mut block = Block::announced(content);
        let is_reply = block.kind == Some(ContentKind::Audio) || block.stage == Some(GenerationStage::Speculative);
        if is_reply && block.role != Some(Role::User) {
            // Bound now, since a typed text may begin the next turn before the block's content comes, as it may have done
            // between a sentence and its sound.
            let running = self.turns.current.as_ref().filter(|turn| !turn.user_spoke_since).map(|turn| turn.number);
            let planned = if block.kind == Some(ContentKind::Audio) { self.planned.take() } else { None };
            block.turn = planned.filter(|number| self.turns.find(*number).is_some()).or(running);
        }
        self.blocks.put(content_id, block);
    }

    pub(super) fn on_text(&mut self, content_id: String, role: Option<Role>, text: String, emit: &mut Emit<'_>) {
        let mut block = self.blocks.get(&content_id).unwrap_or_default();
        block.kind = Some(ContentKind::Text);
        block.role = block.role.or(role);
        if !block.is_news(&text) {
            return;
        }
        match (block.role, block.stage) {
            (Some(Role::User), stage) => self.on_user_text(text, stage != Some(GenerationStage::Speculative), emit),
            _ if is_interruption_marker(&text) => {
                block.turn = self.turns.last_replied();
                self.on_barge_in(block.turn, emit);
            }
            (Some(Role::Assistant) | None, Some(GenerationStage::Speculative)) => {
                block.turn = self.on_planned(block.turn, text, emit);
            }
            (Some(Role::Assistant), Some(GenerationStage::Final)) => block.turn = self.on_said(text, emit),
            // No stage: what repeats a plan word for word is its FINAL, all else is a plan.
            (Some(Role::Assistant), None) => match self.turns.settle_planned(&text, Fit::Same) {
                Some((turn, segment)) => {
                    block.turn = Some(turn);
                    self.transcribe(turn, Speaker::Assistant, text, true, segment, emit);
                }
                None => block.turn = self.on_planned(block.turn, text, emit),
            },
            (Some(_) | None, _) => {
                let raw = serde_json::json!({"event": {"textOutput": {"contentId": content_id, "content": text}}})
                    .to_string();
                emit.push(self.turn(), EventKind::Unknown { name: "textOutput".to_owned(), raw });
            }
        }
        self.blocks.put(content_id, block);
    }

    /// Several utterances before the reply are one turn; after it, or after an interruption, they begin the next.
    fn on_user_text(&mut self, text: String, is_final: bool, emit: &mut Emit<'_>) {
        if text.is_empty() || self.turns.take_echo(&text) {
            return;
        }
        self.on_voice_over_earlier_reply(emit);
        if self.turns.current.as_ref().is_none_or(|turn| turn.replied() || turn.interrupted) {
            self.begin_turn(Begun::Speech, emit);
        }
        if is_final {
            self.understood(emit.at);
        }
        if let Some(turn) = &mut self.turns.current {
            let user = &mut turn.user;
            let segment = if is_final { user.settle_oldest().unwrap_or_else(|| user.add()) } else { user.plan(&text) };
            let number = turn.number;
            self.transcribe(number, Speaker::User, text, is_final, segment, emit);
        }
    }

    /// A sentence the assistant is about to say. In a silenced turn it will not be heard, so it is not shown.
    fn on_planned(&mut self, turn: Option<u32>, text: String, emit: &mut Emit<'_>) -> Option<u32> {
        if text.is_empty() {
            return turn;
        }
        let number = self.reply_turn(turn, emit);
        self.planned = Some(number);
        if let Some(turn) = self.turns.find(number) {
            // Also where it is not shown: its FINAL may come all the same, and is no other turn's.
            let segment = turn.assistant.plan(&text);
            if !turn.goes_on(Reply::Planned) {
                return Some(number);
            }
            self.transcribe(number, Speaker::Assistant, text, false, segment, emit);
        }
        Some(number)
    }

    /// A sentence the assistant has said. It may concern a turn that ended long ago.
    fn on_said(&mut self, text: String, emit: &mut Emit<'_>) -> Option<u32> {
        if text.is_empty() {
            return None;
        }
        let place = self.turns.settle(&text).or_else(|| {
            self.begin_turn(Begun::Assistant, emit);
            self.turns.settle(&text)
        });
        let (number, segment) = place?;
        self.transcribe(number, Speaker::Assistant, text, true, segment, emit);
        Some(number)
    }

    /// Audio needs no announcement: whatever comes is played, unless its turn was silenced.
    pub(super) fn on_audio(&mut self, content_id: String, pcm: Bytes, emit: &mut Emit<'_>) {
        if pcm.is_empty() {
            return;
        }
        let mut block = self.blocks.get(&content_id).unwrap_or_default();
        let number = self.reply_turn(block.turn, emit);
        if let Some(turn) = self.turns.find(number)
            && turn.goes_on(Reply::Heard)
        {
            let rate_hz = block.rate_hz.unwrap_or(self.terms.output_rate_hz);
            turn.timings.first_audio.get_or_insert(emit.at);
            self.replied_here |= self.old_turn != Some(number);
            let length = self.playback.receives(pcm.len(), rate_hz, emit.at);
            self.history.lock().audio(number, length);
            emit.push(Some(number), EventKind::Audio { pcm, rate_hz });
        }
        if block.turn.is_none() || block.kind.is_none() {
            block.turn = Some(number);
            block.kind = Some(ContentKind::Audio);
            self.blocks.put(content_id, block);
        }
    }

    /// Which of its ends ends a turn: AUDIO `END_TURN`. The same on TEXT does not (it comes in mid reply), and
    /// `completionEnd` comes with the end of the stream only.
    pub(super) fn on_content_end(
        &mut self,
        content_id: &str,
        kind: Option<ContentKind>,
        stop_reason: &StopReason,
        emit: &mut Emit<'_>,
    ) {
        let block = self.blocks.end(content_id).unwrap_or_default();
        let kind = block.kind.or(kind);
        let of_user = block.role == Some(Role::User);
        if *stop_reason == StopReason::Interrupted && kind != Some(ContentKind::Tool) && !of_user {
            self.on_barge_in(block.turn.or(self.turns.last_replied()), emit);
            return;
        }
        let Some(turn) = &self.turns.current else { return };
        // A reply may be one silent block; a block that nobody announced must at least follow something of the reply.
        let of_turn = block.turn.map_or(turn.replied(), |number| number == turn.number);
        let spoken = kind == Some(ContentKind::Audio) && *stop_reason == StopReason::EndTurn && of_turn;
        if spoken || (turn.all_said() && !self.blocks.audio_open(turn.number)) {
            self.end_turn(emit);
        }
    }

    /// The turn that something of the reply belongs to: its block's, else the running one, else a new one (the
    /// assistant may speak first).
    fn reply_turn(&mut self, of_block: Option<u32>, emit: &mut Emit<'_>) -> u32 {
        let running = self.turns.current.as_ref().filter(|turn| !turn.user_spoke_since).map(|turn| turn.number);
        of_block.or(running).unwrap_or_else(|| self.begin_turn(Begun::Assistant, emit))
    }

    /// Tells a sentence and writes it down.
    pub(super) fn transcribe(
        &mut self,
        turn: u32,
        speaker: Speaker,
        text: String,
        is_final: bool,
        segment: u32,
        emit: &mut Emit<'_>,
    ) {
        self.history.lock().text(turn, speaker, segment, &text, is_final);
        emit.push(Some(turn), EventKind::Transcript { speaker, text, is_final, segment });
    }
}
