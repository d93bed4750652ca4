//! What goes up beside the queue of audio and typed text: tool results at once, prompts when nobody speaks.
//!
//! Neither may wait behind half a minute of queued audio: the model is silent until it has a result, and a prompt that
//! falls into a reply makes the service cut that reply short.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{ToolSpec, tool_result_fault},
};

/// Prompts are a program's; this many waiting means that nobody is being asked any more.
const MAX_QUEUED_PROMPTS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolResult {
    pub(super) id: String,
    pub(super) json: String,
    pub(super) ok: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// The caller's name for it, told with the turn that it began.
    pub(super) token: u64,
    pub(super) text: String,
}

/// What the next stream is opened with instead; None: as before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconfiguration {
    /// The caller's name for it, told when it holds.
    pub token: u64,
    pub system: Option<String>,
    pub voice: Option<String>,
    pub tools: Option<Vec<ToolSpec>>,
}

#[derive(Default)]
pub(super) struct Asides(Mutex<State>);

#[derive(Default)]
struct State {
    /// Calls without a result.
    waiting: HashSet<String>,
    results: VecDeque<ToolResult>,
    prompts: VecDeque<Prompt>,
    reconfigurations: Vec<Reconfiguration>,
}

impl Asides {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn called(&self, id: &str) {
        self.lock().waiting.insert(id.to_owned());
    }

    pub(super) fn push_result(&self, id: String, json: String, ok: bool) -> Result<()> {
        let refused =
            |code, message: String, cure| Err(Error::new(ErrorKind::Validation, code, message).with_cure(cure));
        if let Some(rule) = tool_result_fault(&json) {
            return refused(
                "invalid_tool_result",
                format!("The tool result was not sent: {rule}."),
                "Send a smaller object.",
            );
        }
        let mut state = self.lock();
        if !state.waiting.remove(&id) {
            return refused(
                "unknown_tool_call",
                "No tool call of this id waits for a result.".to_owned(),
                "Answer each ToolCall once, while its session's stream lives.",
            );
        }
        state.results.push_back(ToolResult { id, json, ok });
        Ok(())
    }

    pub(super) fn push_prompt(&self, prompt: Prompt) -> Result<()> {
        let mut state = self.lock();
        if state.prompts.len() >= MAX_QUEUED_PROMPTS {
            let message = format!("{MAX_QUEUED_PROMPTS} prompts are already waiting for a quiet moment.");
            return Err(Error::new(ErrorKind::Throttled, "too_many_prompts", message)
                .with_cure("Await one prompt() before the next."));
        }
        state.prompts.push_back(prompt);
        Ok(())
    }

    pub(super) fn push_reconfiguration(&self, reconfiguration: Reconfiguration) {
        self.lock().reconfigurations.push(reconfiguration);
    }

    pub(super) fn take_reconfigurations(&self) -> Vec<Reconfiguration> {
        std::mem::take(&mut self.lock().reconfigurations)
    }

    pub(super) fn pop_result(&self) -> Option<ToolResult> {
        self.lock().results.pop_front()
    }

    pub(super) fn pop_prompt(&self) -> Option<Prompt> {
        self.lock().prompts.pop_front()
    }

    /// One that was not sent after all.
    pub(super) fn unpop_prompt(&self, prompt: Prompt) {
        self.lock().prompts.push_front(prompt);
    }

    pub(super) fn prompt_waits(&self) -> bool {
        !self.lock().prompts.is_empty()
    }
}

#[cfg(test)]
mod tests;
