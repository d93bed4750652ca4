//! What answers: a brain is loaded once for an emulator and shared by its streams.
//!
//! `echo` never sees a turn: it works on the audio as it comes. `parrot` and `script` lay down at once what they will
//! do ([`Plan`]); a host brain is asked and acts when it likes.

mod echo;
mod parrot;
mod plan;
mod results;
mod script;

use std::{io, sync::Arc, time::Instant};

use super::{
    build::Build,
    faults::Fault,
    pace::Pace,
    settings::{BrainChoice, TurnRequest},
};

pub(super) use echo::Echo;
pub(super) use plan::Plan;

pub(super) enum Brain {
    Echo,
    Parrot,
    Script(Arc<script::Script>),
    Host,
}

/// How far one stream has come in its brain.
#[derive(Default)]
pub(super) struct Progress {
    script_turns: usize,
}

/// A tool's result that came when its turn was over.
pub(super) struct LateResult {
    pub(super) name: String,
    pub(super) content: String,
}

/// How a turn will be answered.
pub(super) enum Answer {
    Plan(Plan),
    /// By whoever reads `Emit::Ask`.
    Host,
}

impl Brain {
    /// Fails where a script cannot be read, naming file, line and key.
    pub(super) fn load(choice: &BrainChoice) -> io::Result<Self> {
        Ok(match choice {
            BrainChoice::Echo => Self::Echo,
            BrainChoice::Parrot => Self::Parrot,
            BrainChoice::Script(path) => Self::Script(Arc::new(script::Script::load(path)?)),
            BrainChoice::Host(_) => Self::Host,
        })
    }

    /// The build of the service that it plays.
    pub(super) fn build(&self) -> Build {
        match self {
            Self::Script(script) => script.build(),
            Self::Echo | Self::Parrot | Self::Host => Build::default(),
        }
    }

    /// Those that its script commits.
    pub(super) fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Script(script) => script.faults().to_vec(),
            Self::Echo | Self::Parrot | Self::Host => Vec::new(),
        }
    }

    /// What it says of a result that came late, if anything.
    pub(super) fn speak_of(&self, result: LateResult, rate_hz: u32, pace: Pace, now: Instant) -> Option<Plan> {
        match self {
            Self::Script(script) => {
                let steps = script.speak_of(&result.name, rate_hz)?;
                Some(Plan::new(steps, pace, now).knowing(result))
            }
            Self::Echo | Self::Parrot | Self::Host => None,
        }
    }

    /// `echo` has no turns and answers typed text with nothing.
    pub(super) fn answer(&self, request: &TurnRequest, progress: &mut Progress, pace: Pace, now: Instant) -> Answer {
        let steps = match self {
            Self::Echo => Vec::new(),
            Self::Parrot => parrot::answer(request),
            Self::Script(script) => script.answer(request, &mut progress.script_turns),
            Self::Host => return Answer::Host,
        };
        Answer::Plan(Plan::new(steps, pace, now))
    }
}
