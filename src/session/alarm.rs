//! One bound on waiting at a time: what happens if nothing else does, and when. `timer.rs` wakes the actor for it.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// What an actor waits for no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Open,
    Close,
    /// The transport stopped taking input and its downlink never said why.
    UplinkLost,
}

#[derive(Debug, Default)]
pub(super) struct Alarm {
    set: Option<(Bound, Duration)>,
}

impl Alarm {
    /// Replaces what was set before.
    pub(super) fn set(&mut self, bound: Bound, now: Duration, after: Duration) {
        self.set = Some((bound, now.saturating_add(after)));
    }

    pub(super) fn clear(&mut self) {
        self.set = None;
    }

    pub(super) fn is_set(&self) -> bool {
        self.set.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.set.map(|(_, at)| at)
    }

    pub(super) fn due(&self, now: Duration) -> Option<Bound> {
        self.set.filter(|(_, at)| *at <= now).map(|(bound, _)| bound)
    }
}

pub(super) fn open_timeout(after: Duration, cure: &'static str) -> Error {
    let message = format!("No response headers came within {} s.", after.as_secs_f64());
    Error::new(ErrorKind::Timeout, "open_timeout", message).with_cure(cure)
}
