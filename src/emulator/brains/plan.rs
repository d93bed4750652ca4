//! A turn laid down in advance: steps with delays; a tool call may hold up what follows until its result is in.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    LateResult,
    results::{self, Results},
};
use crate::emulator::{pace::Pace, settings::BrainAction};

pub(in crate::emulator) struct Step {
    /// Waited before the step.
    pub(super) after: Duration,
    pub(super) action: BrainAction,
    /// How a call is made; nothing to other steps.
    pub(super) manner: Manner,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// What follows does not wait for the result, unless it uses it.
    pub(super) beside: bool,
    /// The arguments are encoded twice, as the service does now and then (reference §2).
    pub(super) twice: bool,
}

impl Step {
    pub(super) fn at_once(action: BrainAction) -> Self {
        Self { after: Duration::ZERO, action, manner: Manner::default() }
    }

    fn uses_results(&self) -> bool {
        match &self.action {
            BrainAction::Say { text, .. } => !results::named(text).is_empty(),
            BrainAction::Call { arguments, .. } => !results::named(arguments).is_empty(),
            _ => false,
        }
    }
}

pub(in crate::emulator) struct Plan {
    steps: VecDeque<Step>,
    pace: Pace,
    /// When the wait of the first remaining step began.
    since: Instant,
    /// Made and not answered: the tool's name, and whether everything waits for it.
    calls: HashMap<u64, (String, bool)>,
    results: Results,
}

impl Plan {
    pub(super) fn new(steps: Vec<Step>, pace: Pace, now: Instant) -> Self {
        Self { steps: steps.into(), pace, since: now, calls: HashMap::new(), results: Results::default() }
    }

    /// The same with a result from before the turn.
    pub(super) fn knowing(mut self, result: LateResult) -> Self {
        self.results.add(result.name, result.content);
        self
    }

    /// None while a tool's result is awaited, and at the end.
    pub(in crate::emulator) fn deadline(&self) -> Option<Instant> {
        let step = self.steps.front()?;
        let waits =
            self.calls.values().any(|(_, holds_up)| *holds_up) || (!self.calls.is_empty() && step.uses_results());
        if waits { None } else { self.since.checked_add(self.pace.scale(step.after)) }
    }

    /// The next action that is due. Ends with exactly one [`BrainAction::Done`].
    pub(in crate::emulator) fn next(&mut self, now: Instant) -> Option<BrainAction> {
        if self.deadline().is_none_or(|due| due > now) {
            return None;
        }
        let Step { mut action, manner, .. } = self.steps.pop_front()?;
        self.since = now;
        match &mut action {
            BrainAction::Call { call_id, name, arguments } => {
                *arguments = self.arguments(arguments, manner.twice);
                self.calls.insert(*call_id, (name.clone(), !manner.beside));
            }
            // Without results nobody meant a place: the parrot repeats what somebody typed.
            BrainAction::Say { text, .. } if !self.results.is_empty() => *text = self.results.fill(text),
            _ => {}
        }
        Some(action)
    }

    pub(in crate::emulator) fn tool_result(&mut self, call_id: u64, content: String, now: Instant) {
        let waited = self.deadline().is_none();
        if let Some((name, _)) = self.calls.remove(&call_id) {
            self.results.add(name, content);
            if waited {
                self.since = now;
            }
        }
    }

    fn arguments(&self, arguments: &str, twice: bool) -> String {
        let Ok(mut value) = serde_json::from_str::<serde_json::Value>(arguments) else { return arguments.to_owned() };
        self.results.fill_json(&mut value);
        let once = value.to_string();
        if twice { serde_json::Value::from(once).to_string() } else { once }
    }
}
