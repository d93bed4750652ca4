//! One bound on waiting at a time, on the conversation's own clock.

use std::time::Duration;

use super::Clock;
use crate::transport::BoxFuture;

/// Rings once, with the reason it was set for.
pub(super) struct Alarm<Reason> {
    set: Option<(Reason, BoxFuture<()>)>,
}

impl<Reason: Copy> Alarm<Reason> {
    pub(super) fn new() -> Self {
        Self { set: None }
    }

    /// Replaces what was set before.
    pub(super) fn set(&mut self, clock: &dyn Clock, reason: Reason, after: Duration) {
        self.set = Some((reason, clock.sleep_until(clock.now().saturating_add(after))));
    }

    pub(super) fn clear(&mut self) {
        self.set = None;
    }

    pub(super) fn is_set(&self) -> bool {
        self.set.is_some()
    }

    /// Pending for ever while nothing is set. Cancel-safe.
    pub(super) async fn ring(&mut self) -> Reason {
        match &mut self.set {
            Some((reason, sleep)) => {
                sleep.await;
                *reason
            }
            None => std::future::pending().await,
        }
    }
}
