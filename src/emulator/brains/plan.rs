//! A turn laid down in advance: steps with delays; a tool call holds up what follows until its result is in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::emulator::{pace::Pace, settings::BrainAction};

/// Stands for the last tool result in a sentence.
const RESULT: &str = "{result}";

pub(in crate::emulator) struct Step {
    /// Waited before the step.
    pub(super) after: Duration,
    pub(super) action: BrainAction,
}

impl Step {
    pub(super) fn at_once(action: BrainAction) -> Self {
        Self { after: Duration::ZERO, action }
    }
}

pub(in crate::emulator) struct Plan {
    steps: VecDeque<Step>,
    pace: Pace,
    /// When the wait of the first remaining step began; None while a tool result is awaited.
    since: Option<Instant>,
    waits_for: Option<u64>,
    result: String,
}

impl Plan {
    pub(super) fn new(steps: Vec<Step>, pace: Pace, now: Instant) -> Self {
        Self { steps: steps.into(), pace, since: Some(now), waits_for: None, result: String::new() }
    }

    pub(in crate::emulator) fn deadline(&self) -> Option<Instant> {
        let after = self.pace.scale(self.steps.front()?.after);
        self.since?.checked_add(after)
    }

    /// The next action that is due. Ends with exactly one [`BrainAction::Done`].
    pub(in crate::emulator) fn next(&mut self, now: Instant) -> Option<BrainAction> {
        if self.deadline().is_none_or(|due| due > now) {
            return None;
        }
        let mut action = self.steps.pop_front()?.action;
        self.since = Some(now);
        match &mut action {
            BrainAction::Call { call_id, .. } => {
                self.waits_for = Some(*call_id);
                self.since = None;
            }
            BrainAction::Say { text, .. } if text.contains(RESULT) => *text = text.replace(RESULT, &self.result),
            _ => {}
        }
        Some(action)
    }

    pub(in crate::emulator) fn tool_result(&mut self, call_id: u64, content: String, now: Instant) {
        if self.waits_for == Some(call_id) {
            self.waits_for = None;
            self.result = content;
            self.since = Some(now);
        }
    }
}
