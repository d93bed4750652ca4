//! When a stream is replaced by the next, before its end comes.
//!
//! A stream lives eight minutes, dies where nobody speaks, and ends with its credentials. The next one is opened beside
//! it, early, and takes over where nothing is cut: when no turn runs. Where the service refuses a second stream, the
//! first is closed before; so it is where the host, which may have to count them, is asked and does not allow it.

use std::time::Duration;

/// What a conversation does so that its streams' ends are not its own. Twin of `novasonic.Continuation`.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// A stream of this age is replaced at the next good moment.
    pub renew_after: Duration,
    /// And at this age whatever happens. The service ends it at 8 minutes (480.5 s measured).
    pub force_after: Duration,
    /// A stream on which nobody has said anything for so long is replaced, too (cut after 175 to 295 s in places).
    pub idle_after: Duration,
    /// So long before the credentials end that signed the stream.
    pub before_expiry: Duration,
    /// Failed attempts in a row after which a lost conversation is given up.
    pub attempts: u32,
    /// Restarts after a loss in one hour.
    pub restarts_per_hour: u32,
    /// Of the history given to the next stream, in UTF-8.
    pub history_bytes: usize,
}

impl Continuation {
    /// Streams are replaced where the caller asks for it, and never else.
    pub fn on_request() -> Self {
        let never = Duration::MAX;
        Self {
            renew_after: never,
            force_after: never,
            idle_after: never,
            before_expiry: Duration::ZERO,
            ..Self::default()
        }
    }
}

impl Default for Continuation {
    fn default() -> Self {
        Self {
            renew_after: Duration::from_mins(6),
            force_after: Duration::from_secs(450),
            idle_after: Duration::from_secs(150),
            before_expiry: Duration::from_mins(3),
            attempts: 8,
            restarts_per_hour: 30,
            history_bytes: 200 * 1_024,
        }
    }
}

/// Why a stream is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It nears the longest a stream may live.
    Age,
    /// Nobody has said anything for long.
    Idle,
    /// Its credentials are about to end.
    Credentials,
    /// The caller wants another prompt, voice or other tools.
    Reconfigured,
    /// It broke.
    Lost,
}

/// A speaker is given to two streams for so long at most: a hand-over may fall into the beginning of an utterance, but
/// a long one is worth waiting for.
const MOST_SAID_TWICE: Duration = Duration::from_secs(3);
/// A stream that waits for longer is opened anew: the shortest idle limit is 55 s.
const READY_LASTS: Duration = Duration::from_secs(30);
/// And one that does not open is given up; the transport's own bound comes first.
const OPENING_LASTS: Duration = Duration::from_secs(30);
/// A stream with another configuration is on trial for so long: response headers say nothing of what the service makes
/// of it, and a refusal must not reach a conversation that lives on it.
const TRIAL: Duration = Duration::from_millis(300);
/// Who is asked whether a second stream may be opened answers in so long, or has said no.
const ANSWER_LASTS: Duration = Duration::from_secs(2);
/// After a second stream was refused or broke before it took over.
const RETRY: Duration = Duration::from_secs(5);
/// Credentials end on the dot; the hand-over itself must not run into that.
const EXPIRY_FORCES: Duration = Duration::from_mins(1);

/// What the policy must know of the conversation.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub turn_runs: bool,
    pub tool_runs: bool,
    /// How long somebody has been speaking who was not understood yet.
    pub voice: Duration,
    /// When anybody said anything last.
    pub active: Duration,
}

impl Moment {
    fn is_good(&self) -> bool {
        !self.turn_runs && !self.tool_runs && self.voice < MOST_SAID_TWICE
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// Open the next stream beside this one.
    Open(Reason),
    /// Let the next stream take over.
    HandOver,
    /// Give up the next stream, or the leave to open it: it has waited for too long, and another follows.
    Discard,
    /// Close this stream and open the next after it: a second one is refused.
    Reopen(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    None,
    /// Whoever counts streams is asked for leave to open it.
    Asked {
        since: Duration,
    },
    Opening {
        since: Duration,
    },
    Ready {
        since: Duration,
    },
    /// It was opened with what is not wanted any more.
    Stale,
    /// No second stream was to be had; not before `until` again.
    Failed {
        until: Duration,
        /// The service takes one stream at a time.
        only_one: bool,
    },
}

#[derive(Debug)]
pub struct Renewal {
    terms: Continuation,
    /// When the present stream opened.
    opened: Option<Duration>,
    expires: Option<Duration>,
    next: Next,
    /// Why a next stream was asked for. It holds until one has taken over, whatever is said meanwhile.
    reason: Option<Reason>,
    reconfigured: bool,
    /// When the stream opened that is taking over: its life counts from there.
    began: Option<Duration>,
}

impl Renewal {
    pub fn new(terms: Continuation) -> Self {
        Self { terms, opened: None, expires: None, next: Next::None, reason: None, reconfigured: false, began: None }
    }

    /// The present stream has its response headers. `expires`: when its credentials end.
    pub fn opened(&mut self, now: Duration, expires: Option<Duration>) {
        self.opened = Some(self.began.take().unwrap_or(now));
        self.reconfigured = false;
        // Keys that are short-lived by nature must not renew without end.
        self.expires = expires.filter(|at| !self.terms.before_expiry.is_zero() && *at > now + self.terms.before_expiry);
    }

    /// The service ends streams that are idle for so long: leave them before.
    pub fn idle_limited(&mut self, limit: Duration) {
        self.terms.idle_after = self.terms.idle_after.min(limit.mul_f64(0.8));
    }

    /// The next stream becomes the present one, or nothing is open for a moment.
    pub fn handed_over(&mut self) {
        self.began = match self.next {
            Next::Ready { since } => Some(since),
            _ => None,
        };
        self.next = Next::None;
        self.opened = None;
        self.expires = None;
        self.reason = None;
        self.reconfigured = false;
    }

    /// The present stream is gone, and what it was to be replaced by.
    pub fn lost(&mut self) {
        self.next = Next::None;
        self.handed_over();
    }

    /// Leave to open the next stream is asked for.
    pub fn next_asked(&mut self, now: Duration, reason: Reason) {
        self.next = Next::Asked { since: now };
        self.reason = Some(reason);
    }

    /// It was given, and the step is to open it; or one stream is all that there may be.
    pub fn next_answered(&mut self, now: Duration, may: bool) {
        self.next = if may { Next::None } else { Next::Failed { until: now + RETRY, only_one: true } };
    }

    pub fn next_opening(&mut self, now: Duration, reason: Reason) {
        self.next = Next::Opening { since: now };
        self.reason = Some(reason);
    }

    pub fn next_ready(&mut self, now: Duration) {
        if self.next != Next::Stale {
            self.next = Next::Ready { since: now };
        }
    }

    /// The next stream was refused or broke. `only_one`: since this one is open.
    pub fn next_failed(&mut self, now: Duration, only_one: bool) {
        self.next = Next::Failed { until: now + RETRY, only_one };
    }

    pub fn next_discarded(&mut self, now: Duration) {
        self.next = match self.next {
            Next::Opening { .. } => Next::Failed { until: now, only_one: false },
            Next::Asked { .. } => Next::Failed { until: now + RETRY, only_one: true },
            _ => Next::None,
        };
    }

    /// The next stream must be opened with another configuration than the present one.
    pub fn reconfigure(&mut self) {
        self.reconfigured = true;
        // One that was opened with the old configuration is of no use.
        if let Next::Opening { .. } | Next::Ready { .. } = self.next {
            self.next = Next::Stale;
        }
    }

    /// The present configuration stays after all.
    pub fn called_off(&mut self) {
        self.reconfigured = false;
        self.reason = None;
        self.next = Next::None;
    }

    pub fn step(&self, now: Duration, moment: Moment) -> Step {
        let Some(reason) = self.due(now, moment) else { return Step::Nothing };
        let forced = self.forced_at().is_some_and(|at| at <= now);
        let may = moment.is_good() || forced;
        match self.next {
            Next::Stale => Step::Discard,
            Next::Asked { since } if since + ANSWER_LASTS <= now => Step::Discard,
            Next::Opening { since } if since + OPENING_LASTS <= now => Step::Discard,
            Next::Ready { since } if may && since + self.trial() <= now => Step::HandOver,
            Next::Ready { since } if since + READY_LASTS <= now => Step::Discard,
            Next::Failed { only_one, .. } if forced || (may && only_one) => Step::Reopen(reason),
            Next::Failed { until, .. } if until <= now => Step::Open(reason),
            Next::None => Step::Open(reason),
            Next::Asked { .. } | Next::Opening { .. } | Next::Ready { .. } | Next::Failed { .. } => Step::Nothing,
        }
    }

    /// When the clock alone will ask for another step.
    pub fn deadline(&self, now: Duration, moment: Moment) -> Option<Duration> {
        let (by_next, by_trial) = match self.next {
            Next::Asked { since } => (Some(since + ANSWER_LASTS), None),
            Next::Opening { since } => (Some(since + OPENING_LASTS), None),
            Next::Ready { since } => (Some(since + READY_LASTS), Some(since + self.trial())),
            Next::Failed { until, .. } => (Some(until), None),
            Next::None | Next::Stale => (None, None),
        };
        [self.age_due(), self.expires_due(), self.forced_at(), self.idle_due(moment), by_next, by_trial]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    fn due(&self, now: Duration, moment: Moment) -> Option<Reason> {
        let is_past = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        self.opened?;
        if self.reconfigured {
            Some(Reason::Reconfigured)
        } else if self.reason.is_some() {
            self.reason
        } else if is_past(self.expires_due()) {
            Some(Reason::Credentials)
        } else if is_past(self.age_due()) {
            Some(Reason::Age)
        } else if is_past(self.idle_due(moment)) {
            Some(Reason::Idle)
        } else {
            None
        }
    }

    fn trial(&self) -> Duration {
        if self.reconfigured { TRIAL } else { Duration::ZERO }
    }

    fn age_due(&self) -> Option<Duration> {
        self.opened.map(|at| at.saturating_add(self.terms.renew_after))
    }

    fn idle_due(&self, moment: Moment) -> Option<Duration> {
        self.opened.map(|opened| opened.max(moment.active).saturating_add(self.terms.idle_after))
    }

    fn expires_due(&self) -> Option<Duration> {
        self.expires.map(|at| at.saturating_sub(self.terms.before_expiry))
    }

    fn forced_at(&self) -> Option<Duration> {
        let by_age = self.opened.map(|at| at.saturating_add(self.terms.force_after));
        let by_keys = self.expires.map(|at| at.saturating_sub(EXPIRY_FORCES.min(self.terms.before_expiry / 2)));
        [by_age, by_keys].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
