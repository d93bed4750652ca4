//! How fast the emulator's own clocks run.

use std::time::Duration;

/// Divides every duration of the service: 10.0 makes an 8-minute limit one of 48 seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace(f64);

impl Pace {
    /// What is not a positive number counts as 1.0.
    pub(super) fn new(speed: f64) -> Self {
        Self(if speed.is_finite() && speed > 0.0 { speed } else { 1.0 })
    }

    pub(super) fn speed(self) -> f64 {
        self.0
    }

    pub(super) fn scale(self, duration: Duration) -> Duration {
        Duration::try_from_secs_f64(duration.as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }
}
