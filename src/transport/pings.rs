//! When hyper pings, and how long it waits for the answer: the clock that we give it.
//!
//! hyper's own keep-alive knows one interval, counts only whole frames of streams as life, and looks at its timer before
//! it looks at the socket, so that a process that was stopped for a while (a suspended laptop, a starved container)
//! would call a lively peer dead. None of that can be configured, but all of it hangs on the timer.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant as StdInstant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

use super::pulse::Pulse;

/// What hyper is told to wait for an answer: no interval is that long, so its timer knows what it is asked for.
pub(super) const ANSWER: Duration = Duration::from_hours(24);

/// An alarm this late was not the peer's fault: we did not run. What has come meanwhile must be read first.
const LATE: Duration = Duration::from_millis(100);
const LATE_GRACE: Duration = Duration::from_millis(500);

/// After an alarm in time there may still be something in the socket that nobody has read.
const LAST_LOOK: Duration = Duration::from_millis(20);

pub(super) struct PingTimer {
    pub(super) pulse: Arc<Pulse>,
    pub(super) bounds: Bounds,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Silence after which a ping is sent while something goes up.
    pub(super) talking: Duration,
    /// The same while a stream is open and nothing goes up: gently, for front ends that count pings.
    pub(super) idle: Duration,
    /// How long a ping may go unanswered.
    pub(super) answer: Duration,
}

impl Timer for PingTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.at(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn Sleep>> {
        self.at(Instant::from_std(deadline))
    }

    fn now(&self) -> StdInstant {
        Instant::now().into_std()
    }
}

impl PingTimer {
    fn at(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let now = Instant::now();
        let (waits_for, first) = if deadline > now + ANSWER / 2 {
            self.pulse.note_asked();
            (For::Answer { asked: now, last_look: None }, now + self.bounds.answer)
        } else {
            (For::Need { not_before: deadline }, deadline)
        };
        let alarm = Box::pin(tokio::time::sleep_until(first));
        Box::pin(PingSleep { alarm, pulse: Arc::clone(&self.pulse), bounds: self.bounds, waits_for })
    }
}

struct PingSleep {
    alarm: Pin<Box<tokio::time::Sleep>>,
    pulse: Arc<Pulse>,
    bounds: Bounds,
    waits_for: For,
}

enum For {
    /// A ping is needed.
    Need { not_before: Instant },
    /// A ping went unanswered. `last_look`: when that was last believed, and how long to doubt it.
    Answer { asked: Instant, last_look: Option<(Instant, Instant)> },
}

impl Sleep for PingSleep {}

impl PingSleep {
    /// When this is over, as things stand.
    fn due(&mut self, now: Instant) -> Instant {
        let read = self.pulse.read_at();
        match &mut self.waits_for {
            For::Need { not_before } => {
                let silence = if self.pulse.is_talking() { self.bounds.talking } else { self.bounds.idle };
                (read + silence).max(*not_before)
            }
            For::Answer { asked, last_look } => {
                // Any byte is life, whatever else it is an answer to.
                let due = read.max(*asked) + self.bounds.answer;
                match last_look {
                    Some((of, until)) if *of == due => *until,
                    _ if due > now => due,
                    _ => {
                        let late = now.duration_since(due) > LATE;
                        let until = now + if late { LATE_GRACE } else { LAST_LOOK };
                        *last_look = Some((due, until));
                        until
                    }
                }
            }
        }
    }
}

impl Future for PingSleep {
    type Output = ();

    /// Polled each time anything moves on the connection, so that what is due is found out anew.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // hyper cannot take a connection's pings back.
        if self.pulse.wants_calm() {
            return Poll::Pending;
        }
        loop {
            let now = Instant::now();
            let due = self.due(now);
            if due <= now {
                return Poll::Ready(());
            }
            if due < self.alarm.deadline() {
                self.alarm.as_mut().reset(due);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests;
