//! The one way to tell the host that something waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Notify;

pub(super) struct Signal {
    notify: Notify,
    wakeups: AtomicU64,
}

impl Signal {
    pub(super) fn new(notify: Notify) -> Self {
        Self { notify, wakeups: AtomicU64::new(0) }
    }

    /// Never called with a lock held: the host may drain from inside the call.
    pub(super) fn raise(&self) {
        self.wakeups.fetch_add(1, Ordering::Relaxed);
        (self.notify)();
    }

    pub(super) fn wakeups(&self) -> u64 {
        self.wakeups.load(Ordering::Relaxed)
    }
}
