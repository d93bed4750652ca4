//! The order of one stream's life: which step is legal now, and which events it becomes.

use bytes::Bytes;

use super::{InputEvent, StreamConfig};

/// What the session wants to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// sessionStart, promptStart, SYSTEM block, history, AUDIO contentStart.
    Open,
    Audio(Bytes),
    /// Live text of the user (USER, interactive), one whole block.
    Text(String),
    /// One whole TOOL block.
    ToolResult {
        tool_use_id: String,
        result: String,
    },
    /// contentEnd, promptEnd, sessionEnd; empty blocks are fed or skipped as the service demands.
    Close,
}

/// A step the protocol does not allow now; names the step, the state and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} is not legal while the stream is {state}: {rule}")]
pub struct IllegalStep {
    pub step: &'static str,
    pub state: &'static str,
    pub rule: &'static str,
}

pub struct OrderMachine {}

impl OrderMachine {
    /// `new_id` gives a fresh UUID for each prompt and content name (an argument, so that tests are repeatable).
    pub fn new(_config: StreamConfig, _new_id: Box<dyn FnMut() -> String + Send>) -> Self {
        todo!()
    }

    /// Appends the events of `step` to `out`, or refuses it and leaves the machine as it was.
    pub fn step(&mut self, _step: Step, _out: &mut Vec<InputEvent>) -> Result<(), IllegalStep> {
        todo!()
    }

    pub fn is_closed(&self) -> bool {
        todo!()
    }
}
