//! One sleep for all of an actor's deadlines.

use std::{sync::Arc, time::Duration};

use super::Clock;
use crate::transport::BoxFuture;

pub(super) struct Timer {
    clock: Arc<dyn Clock>,
    armed: Option<(Duration, BoxFuture<()>)>,
}

impl Timer {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, armed: None }
    }

    /// Rings at `deadline` or earlier. A sleep that would end before is left alone: deadlines move on with every frame,
    /// and a ring too many costs less than a new timer thirty times a second.
    pub(super) fn arm(&mut self, deadline: Option<Duration>) {
        if let Some(deadline) = deadline
            && self.armed.as_ref().is_none_or(|(at, _)| deadline < *at)
        {
            self.armed = Some((deadline, self.clock.sleep_until(deadline)));
        }
    }

    /// Pending for ever while nothing is armed. Cancel-safe.
    pub(super) async fn ring(&mut self) {
        match &mut self.armed {
            Some((_, sleep)) => sleep.await,
            None => std::future::pending().await,
        }
        self.armed = None;
    }
}
