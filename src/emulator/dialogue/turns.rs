//! How a turn is answered: its brain is asked or its plan followed, tools are called, and it is spoken over.

use std::{sync::atomic::Ordering, time::Instant};

use uuid::Uuid;

use super::{Dialogue, Emit};
use crate::{
    audio::duration_ms,
    emulator::{
        brains::{Answer, LateResult, Plan},
        hearing::Hearing,
        settings::{BrainAction, TurnRequest},
    },
};

/// What a brain may have said ahead: ten minutes at 24 kHz, more than a stream can play.
pub(super) const MOST_QUEUED_BYTES: usize = 10 * 60 * 48_000;
pub(super) const APOLOGY: &str = "Sorry, the brain behind this emulator failed. Its log says why.";

pub(super) struct Turn {
    id: u64,
    mind: Mind,
    /// How long the user spoke, until a transcript of it was sent.
    untold_ms: Option<u64>,
    /// The user spoke, and the answer has not begun.
    listening: bool,
}

enum Mind {
    Plan(Plan),
    Host,
    /// Nothing more will come from the brain.
    Done,
}

/// A call that waits for its result.
pub(super) struct Call {
    turn_id: u64,
    id: u64,
    name: String,
}

impl Turn {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.mind {
            Mind::Plan(plan) => plan.deadline(),
            Mind::Host | Mind::Done => None,
        }
    }
}

impl Dialogue {
    /// What a host brain did; a `turn_id` that is over is ignored.
    pub(in crate::emulator) fn on_action(
        &mut self,
        turn_id: u64,
        action: BrainAction,
        now: Instant,
        out: &mut Vec<Emit>,
    ) {
        if self.turn.as_ref().is_some_and(|turn| turn.id == turn_id && matches!(turn.mind, Mind::Host)) {
            self.act(action, now, out);
            self.run(now, out);
        }
    }

    pub(super) fn begin_turn(&mut self, text: Option<String>, pcm: Vec<u8>, now: Instant, out: &mut Vec<Emit>) {
        self.interrupt(now, out);
        let Some(prompt) = &mut self.prompt else { return };
        let listening = text.is_none();
        let untold_ms = listening.then(|| duration_ms(pcm.len(), self.input_rate_hz.max(1)));
        let request = TurnRequest {
            turn_id: self.next_turn_id.fetch_add(1, Ordering::Relaxed),
            stream_id: self.caller.stream_id,
            account: self.caller.account.clone(),
            text,
            pcm: pcm.into(),
            rate_hz: self.input_rate_hz,
            output_rate_hz: prompt.rate_hz,
            voice: prompt.voice.clone(),
            system: self.system.clone(),
            history: self.history.clone(),
            tools: prompt.tools.clone(),
            tool_choice: prompt.tool_choice.clone(),
        };
        prompt.speech.begin_turn();
        if let Some(text) = &request.text {
            self.history.push(("user".to_owned(), text.clone()));
        }
        let id = request.turn_id;
        let mind = match self.brain.answer(&request, &mut self.progress, self.pace, now) {
            Answer::Plan(plan) => Mind::Plan(plan),
            Answer::Host => {
                out.push(Emit::Ask(request));
                Mind::Host
            }
        };
        self.turn = Some(Turn { id, mind, untold_ms, listening });
        self.run(now, out);
    }

    /// Does what is due: the brain's plan first, then the speech that it may have begun.
    pub(super) fn run(&mut self, now: Instant, out: &mut Vec<Emit>) {
        loop {
            while let Some(Turn { mind: Mind::Plan(plan), .. }) = &mut self.turn
                && let Some(action) = plan.next(now)
            {
                self.act(action, now, out);
            }
            let Some(prompt) = &mut self.prompt else { return };
            prompt.speech.pump(now, out);
            self.remember_said();
            if !self.speaks_of_result(now) {
                return;
            }
        }
    }

    /// A result came after its turn: the model speaks of it once nobody else does (reference §3, asynchronous tools).
    /// True: a turn about it has begun.
    fn speaks_of_result(&mut self, now: Instant) -> bool {
        let Some(prompt) = &mut self.prompt else { return false };
        let silent = self.turn.as_ref().is_none_or(|turn| matches!(turn.mind, Mind::Done))
            && !self.hearing.as_ref().is_some_and(Hearing::is_hearing)
            && prompt.speech.is_silent();
        while silent && let Some(result) = self.late_results.pop_front() {
            if let Some(plan) = self.brain.speak_of(result, prompt.rate_hz, self.pace, now) {
                prompt.speech.begin_turn();
                let id = self.next_turn_id.fetch_add(1, Ordering::Relaxed);
                self.turn = Some(Turn { id, mind: Mind::Plan(plan), untold_ms: None, listening: false });
                return true;
            }
        }
        false
    }

    fn act(&mut self, action: BrainAction, now: Instant, out: &mut Vec<Emit>) {
        match action {
            BrainAction::Heard(text) => {
                if let Some(turn) = self.turn.as_mut().filter(|turn| turn.listening) {
                    let ms = turn.untold_ms.take().unwrap_or_default();
                    self.tell(text, ms, out);
                }
            }
            BrainAction::Event { name, fields } => {
                self.stop_listening(out);
                if let Some(prompt) = &mut self.prompt {
                    prompt.speech.event(name, fields);
                }
            }
            BrainAction::Say { text, pcm } => {
                self.stop_listening(out);
                if let Some(prompt) = &mut self.prompt {
                    prompt.speech.say(text, pcm);
                    if prompt.speech.queued_bytes() > MOST_QUEUED_BYTES {
                        self.finish_turn();
                    }
                }
            }
            BrainAction::Call { call_id, name, arguments } => {
                self.stop_listening(out);
                self.call_tool(call_id, name, arguments, now, out);
            }
            BrainAction::Done => {
                self.stop_listening(out);
                self.finish_turn();
            }
            BrainAction::Failed(_) => {
                // Spoken, not thrown: an exception would look like the service's failure and take the stream along.
                // The reason stays with the host, whose log it belongs to.
                self.stop_listening(out);
                if let Some(prompt) = &mut self.prompt {
                    prompt.speech.say(APOLOGY.to_owned(), None);
                }
                self.finish_turn();
            }
        }
    }

    /// The answer begins. A brain that does not recognise speech leaves the transcript to us.
    fn stop_listening(&mut self, out: &mut Vec<Emit>) {
        let Some(turn) = &mut self.turn else { return };
        turn.listening = false;
        if let Some(ms) = turn.untold_ms.take() {
            self.tell(format!("({}.{} seconds of speech)", ms / 1_000, ms % 1_000 / 100), ms, out);
        }
    }

    fn tell(&mut self, text: String, spoken_ms: u64, out: &mut Vec<Emit>) {
        if let Some(prompt) = &mut self.prompt {
            prompt.speech.user_said(&text, spoken_ms, out);
        }
        self.history.push(("user".to_owned(), text));
    }

    fn call_tool(&mut self, call_id: u64, name: String, arguments: String, now: Instant, out: &mut Vec<Emit>) {
        let (Some(prompt), Some(turn)) = (&mut self.prompt, &self.turn) else { return };
        let call = Call { turn_id: turn.id, id: call_id, name };
        if prompt.tools.contains(&call.name) {
            let tool_use_id = Uuid::new_v4().to_string();
            self.rules.tool_called(&tool_use_id);
            prompt.speech.call(tool_use_id.clone(), call.name.clone(), arguments);
            self.calls.insert(tool_use_id, call);
        } else {
            // The model cannot call what nobody declared; its brain learns so in the form of a result.
            let content = serde_json::json!({"error": format!("no tool {:?} was declared", call.name)}).to_string();
            self.tool_result(call, content, now, out);
        }
    }

    pub(super) fn tool_result(&mut self, call: Call, content: String, now: Instant, out: &mut Vec<Emit>) {
        let Call { turn_id, id: call_id, name } = call;
        match &mut self.turn {
            Some(Turn { id, mind: Mind::Plan(plan), .. }) if *id == turn_id => plan.tool_result(call_id, content, now),
            Some(Turn { id, mind: Mind::Host, .. }) if *id == turn_id => {
                out.push(Emit::ToolResult { turn_id, call_id, content });
            }
            // The user spoke over the turn that called. The service takes the result; not every brain speaks of it.
            _ => self.late_results.push_back(LateResult { name, content }),
        }
    }

    fn finish_turn(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.mind = Mind::Done;
        }
        if let Some(prompt) = &mut self.prompt {
            prompt.speech.finish();
        }
    }

    pub(super) fn interrupt(&mut self, now: Instant, out: &mut Vec<Emit>) {
        self.cancel_turn(out);
        if let Some(prompt) = &mut self.prompt {
            prompt.speech.interrupt(now, out);
        }
        self.remember_said();
    }

    pub(super) fn cancel_turn(&mut self, out: &mut Vec<Emit>) {
        if let Some(Turn { id, mind: Mind::Host, .. }) = self.turn.take() {
            out.push(Emit::CancelTurn { turn_id: id });
        }
    }
}
