//! Time as the session sees it: an argument, so that a test may hold it still.

use std::time::Duration;

use tokio::time::Instant;

use crate::transport::BoxFuture;

/// A clock that never goes back. Times are durations since an origin of its own.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Duration;
    /// Resolves once `now()` has reached `deadline`.
    fn sleep_until(&self, deadline: Duration) -> BoxFuture<()>;

    /// From 0 to 1, for waits that many must not spend alike. With the time, all that a session takes from the world
    /// beside its streams: a test that gives both sees the same again.
    fn chance(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a chance")]
        let chance = (uuid::Uuid::new_v4().as_u128() >> 64) as f64 / u64::MAX as f64;
        chance
    }
}

/// Tokio's clock, which `tokio::time::pause` also stops.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    origin: Instant,
}

impl Default for TokioClock {
    fn default() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<()> {
        match self.origin.checked_add(deadline) {
            Some(deadline) => Box::pin(tokio::time::sleep_until(deadline)),
            // A bound so far away is none.
            None => Box::pin(std::future::pending()),
        }
    }
}
