//! Whether, when and with which history a conversation goes on after its stream broke.

use std::{collections::VecDeque, mem, time::Duration};

use super::Continuation;
use crate::error::{Error, ErrorKind, Recovery as Cure};

/// The first wait after an attempt failed too; then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Who is throttled comes back later.
const THROTTLED_WAIT: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
/// A stream that lives longer after it was given a history did not die of it.
const SUSPICIOUS: Duration = Duration::from_secs(10);
/// A stream that lived for so long was well, whatever ended it.
const HEALTHY: Duration = Duration::from_secs(30);
/// And one that lived for so long did not die of being opened: the next may follow at once.
const ALIVE: Duration = Duration::from_secs(2);
/// Deaths soon after a history, at which it is left out once. A broken connection says little about history.
const MOST_STRIKES: u32 = 4;

/// How the next stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    All,
    /// The newer half, from now on: the service found it too long.
    Half,
    /// Nothing: streams died of it.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Restart {
        after: Duration,
        telling: Telling,
    },
    /// The caller must do something, or has waited long enough.
    GiveUp,
}

#[derive(Debug)]
pub struct Recovery {
    terms: Continuation,
    /// Attempts since the conversation last got on: each waits longer.
    attempts: u32,
    /// Attempts in a row that gave no open stream.
    failed: u32,
    /// What was tried since then, and is not tried twice.
    tried: Tried,
    /// When the present stream opened.
    opened: Option<Duration>,
    restarts: VecDeque<Duration>,
    /// When the present stream was given a history.
    told: Option<Duration>,
    strikes: u32,
}

#[derive(Debug, Default)]
struct Tried {
    again: bool,
    trimmed: bool,
    bare: bool,
}

impl Recovery {
    pub fn new(terms: Continuation) -> Self {
        Self {
            terms,
            attempts: 0,
            failed: 0,
            tried: Tried::default(),
            opened: None,
            restarts: VecDeque::new(),
            told: None,
            strikes: 0,
        }
    }

    /// A stream has its response headers.
    pub fn opened(&mut self, now: Duration) {
        self.opened = Some(now);
    }

    /// A stream was given a history.
    pub fn told(&mut self, now: Duration) {
        self.told = Some(now);
    }

    /// The service has understood or said something.
    pub fn got_on(&mut self, now: Duration) {
        self.calm();
        if self.told.is_some_and(|told| told + SUSPICIOUS <= now) {
            self.strikes = 0;
            self.told = None;
        }
    }

    fn calm(&mut self) {
        self.attempts = 0;
        self.failed = 0;
        self.tried = Tried::default();
    }

    /// The stream broke. `has_history`: it was given one. `chance`: 0 to 1, so that many do not come back at once.
    pub fn lost(&mut self, error: &Error, has_history: bool, now: Duration, chance: f64) -> Verdict {
        let lived = self.opened.take().map(|opened| now.saturating_sub(opened));
        match lived {
            // Where nobody speaks a stream ends in the service's good time, and nothing is wrong.
            Some(lived) if lived >= HEALTHY => self.calm(),
            Some(lived) if lived >= ALIVE => self.attempts = 0,
            _ => {}
        }
        if lived.is_some() {
            self.failed = 0;
        }
        let cure = error.recovery();
        let is_last = match cure {
            Cure::Never => true,
            Cure::RestartOnce => mem::replace(&mut self.tried.again, true),
            Cure::TrimHistory => !has_history || mem::replace(&mut self.tried.trimmed, true),
            Cure::WithoutHistory => !has_history || mem::replace(&mut self.tried.bare, true),
            Cure::Restart | Cure::BackOff => false,
        };
        if is_last {
            return Verdict::GiveUp;
        }
        self.count_strikes(error, now);
        while self.restarts.front().is_some_and(|at| *at + HOUR <= now) {
            self.restarts.pop_front();
        }
        if self.failed >= self.terms.attempts || self.restarts.len() >= self.terms.restarts_per_hour as usize {
            return Verdict::GiveUp;
        }
        let after = self.wait(cure, chance);
        self.attempts += 1;
        self.failed += 1;
        // Once for each stream that was lost, not for each attempt to replace it.
        if lived.is_some() && !error.is_planned_end() {
            self.restarts.push_back(now);
        }
        Verdict::Restart { after, telling: self.telling(cure) }
    }

    fn count_strikes(&mut self, error: &Error, now: Duration) {
        if self.told.take().is_some_and(|told| now < told + SUSPICIOUS) {
            self.strikes += match error.kind {
                ErrorKind::Connect | ErrorKind::Throttled => 0,
                ErrorKind::StreamLost => 1,
                _ => MOST_STRIKES / 2,
            };
        }
    }

    fn telling(&mut self, cure: Cure) -> Telling {
        if self.strikes >= MOST_STRIKES || self.tried.bare {
            self.strikes = 0;
            Telling::Nothing
        } else if cure == Cure::TrimHistory {
            Telling::Half
        } else {
            Telling::All
        }
    }

    fn wait(&self, cure: Cure, chance: f64) -> Duration {
        let first = if cure == Cure::BackOff { THROTTLED_WAIT } else { FIRST_WAIT };
        let full = match (cure, self.attempts) {
            (Cure::BackOff, attempts) => first * 2_u32.saturating_pow(attempts),
            (_, 0) => return Duration::ZERO,
            (_, attempts) => first * 2_u32.saturating_pow(attempts - 1),
        };
        full.min(LONGEST_WAIT).mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests;
