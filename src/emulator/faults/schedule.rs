//! Which faults a stream meets, and when each is due.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use super::{Fault, FaultKind, Place};

/// A fault that was set, with its counters.
pub(in crate::emulator) struct Armed {
    pub(in crate::emulator) fault: Fault,
    /// Streams of its account since it was set.
    opened: AtomicU64,
    commits: AtomicU64,
}

impl Armed {
    pub(in crate::emulator) fn new(fault: Fault) -> Self {
        Self { fault, opened: AtomicU64::new(0), commits: AtomicU64::new(0) }
    }

    pub(in crate::emulator) fn is_for(&self, account: &str) -> bool {
        self.fault.account.as_deref().is_none_or(|wanted| wanted == account)
    }

    /// Counts an opened stream; true: the fault is for it.
    fn meets(&self, account: &str) -> bool {
        if !self.is_for(account) {
            return false;
        }
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        self.fault.stream.is_none_or(|stream| stream == number)
    }

    /// False: it was committed as often as it may be.
    fn take(&self) -> bool {
        let limit = self.fault.times.unwrap_or(u64::MAX);
        let more = |commits| (commits < limit).then_some(commits + 1);
        self.commits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Takes back a commit that came to nothing.
    pub(in crate::emulator) fn put_back(&self) {
        self.commits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A fault that was set, for whoever asks.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::emulator) struct Told {
    fault: String,
    account: Option<String>,
    stream: Option<u64>,
    times: Option<u64>,
    commits: u64,
}

/// The faults set on an emulator.
#[derive(Default)]
pub(in crate::emulator) struct Faults(Mutex<Vec<Arc<Armed>>>);

impl Faults {
    pub(in crate::emulator) fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().extend(faults.into_iter().map(|fault| Arc::new(Armed::new(fault))));
    }

    /// Streams that are open keep theirs.
    pub(in crate::emulator) fn clear(&self) {
        self.lock().clear();
    }

    /// Each with how often it was committed.
    pub(in crate::emulator) fn list(&self) -> Vec<Told> {
        let told = |armed: &Arc<Armed>| Told {
            fault: armed.fault.to_string(),
            account: armed.fault.account.clone(),
            stream: armed.fault.stream,
            times: armed.fault.times,
            commits: armed.commits.load(Ordering::Relaxed),
        };
        self.lock().iter().map(told).collect()
    }

    /// What a new stream of this account meets.
    pub(in crate::emulator) fn of(&self, account: &str) -> Schedule {
        let faults = self.lock();
        let meet = |armed: &&Arc<Armed>| !is_of_connection(&armed.fault) && armed.meets(account);
        Schedule::new(faults.iter().filter(meet).cloned())
    }

    /// Whether a new connection is refused: `Some(silent)`.
    pub(in crate::emulator) fn at_accept(&self) -> Option<bool> {
        self.lock().iter().find_map(|armed| match armed.fault.kind {
            FaultKind::RefuseConnection { silent } if armed.take() => Some(silent),
            _ => None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Armed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of_connection(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::RefuseConnection { .. })
}

/// The faults of one stream, each once.
#[derive(Default)]
pub(in crate::emulator) struct Schedule {
    pending: Vec<Pending>,
    due: VecDeque<Arc<Armed>>,
}

struct Pending {
    armed: Arc<Armed>,
    /// Events that must still come.
    left: u64,
}

impl Schedule {
    fn new(faults: impl Iterator<Item = Arc<Armed>>) -> Self {
        let mut schedule = Self::default();
        for armed in faults {
            match &armed.fault.place {
                Place::Input { count, .. } | Place::Output { count, .. } if *count > 0 => {
                    schedule.pending.push(Pending { left: *count, armed });
                }
                Place::Headers => schedule.pending.push(Pending { left: 1, armed }),
                // Refusals take the place of headers, so they come before all else that is due with them.
                _ if armed.fault.is_refusal() => schedule.due.push_front(armed),
                _ => schedule.due.push_back(armed),
            }
        }
        schedule
    }

    /// Nothing will ever be due.
    pub(in crate::emulator) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.due.is_empty()
    }

    pub(in crate::emulator) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(in crate::emulator) fn wants_headers(&self) -> bool {
        self.pending.iter().any(|pending| pending.armed.fault.place == Place::Headers)
    }

    pub(in crate::emulator) fn headers_sent(&mut self) {
        self.advance(|place| *place == Place::Headers);
    }

    pub(in crate::emulator) fn input(&mut self, name: &str) {
        self.advance(|place| matches!(place, Place::Input { counting, .. } if counting.counts(name)));
    }

    pub(in crate::emulator) fn output(&mut self, name: &str) {
        self.advance(|place| matches!(place, Place::Output { counting, .. } if counting.counts(name)));
    }

    /// Due at once, wherever the stream is.
    pub(in crate::emulator) fn now(&mut self, armed: Arc<Armed>) {
        self.due.push_back(armed);
    }

    /// The next fault that is due and may still be committed.
    pub(in crate::emulator) fn next(&mut self) -> Option<Arc<Armed>> {
        while let Some(armed) = self.due.pop_front() {
            if armed.take() {
                return Some(armed);
            }
        }
        None
    }

    /// The skew that the request itself is judged by.
    pub(in crate::emulator) fn skew(&mut self) -> Option<(Arc<Armed>, i64)> {
        let at = self.due.iter().position(|armed| matches!(armed.fault.kind, FaultKind::Skew { .. }))?;
        let armed = self.due.remove(at).filter(|armed| armed.take())?;
        match armed.fault.kind {
            FaultKind::Skew { seconds } => Some((armed, seconds)),
            _ => None,
        }
    }

    /// A refusal that is due.
    pub(in crate::emulator) fn refusal(&mut self) -> Option<Arc<Armed>> {
        let at = self.due.iter().position(|armed| armed.fault.is_refusal())?;
        self.due.remove(at).filter(|armed| armed.take())
    }

    fn advance(&mut self, counts: impl Fn(&Place) -> bool) {
        let due = &mut self.due;
        self.pending.retain_mut(|pending| {
            if counts(&pending.armed.fault.place) {
                pending.left -= 1;
                if pending.left == 0 {
                    due.push_back(Arc::clone(&pending.armed));
                }
            }
            pending.left > 0
        });
    }
}
