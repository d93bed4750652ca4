//! Which connection a stream goes to: one with room, else a new one, so that no session waits behind a stream limit.
//!
//! A connection takes as many streams as the peer's SETTINGS allow, and never more than our own cap, which bounds how
//! many conversations one lost connection can end. Before SETTINGS have come it takes one; others who want it wait for
//! the news, briefly, and then get a connection of their own. Callers that come together share the dials: as many as
//! they need, not one each.

mod settings;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::Shared};
use http::Uri;
pub use settings::PoolSettings;
use tokio::{sync::oneshot, time::Instant};

use super::{
    body::Intake,
    connection::{Dialed, Dialer, Driver, Sender},
    errors,
    proxy::Route,
    pulse::Pulse,
    tls::ClientTls,
};
use crate::error::{Error, ErrorKind, Result};

/// The connections to one origin.
pub(super) struct Pool {
    dialer: Dialer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: Vec<Link>,
    waiting: VecDeque<oneshot::Sender<Result<Lease>>>,
    dialing: usize,
    last_id: u64,
    /// What the peer last told: what the next connection can be expected to carry.
    expected_limit: Option<usize>,
}

/// Resolves when a connection has ended, with the reason if it was not orderly. Its streams fail an instant earlier
/// and know no more than that their socket is gone.
pub(super) type Fate = Shared<oneshot::Receiver<Option<Arc<hyper::Error>>>>;

struct Link {
    id: u64,
    sender: Sender,
    fate: Fate,
    pulse: Arc<Pulse>,
    active: usize,
    limit: Limit,
    idle_since: Instant,
}

#[derive(Clone, Copy, PartialEq)]
enum Limit {
    /// SETTINGS may come any moment.
    Awaited,
    /// SETTINGS have not come within the grace.
    Overdue,
    Told(usize),
}

/// A stream's place on a connection, free again when dropped.
pub(super) struct Lease {
    pool: Option<Arc<Pool>>,
    id: u64,
    pub(super) sender: Sender,
    pub(super) fate: Fate,
    pub(super) pulse: Arc<Pulse>,
    pub(super) intake: Intake,
}

impl Lease {
    /// The connection it is on.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.release(self.id);
        }
    }
}

impl Link {
    fn room(&self, cap: usize) -> usize {
        let limit = match self.limit {
            _ if self.sender.is_closed() || self.pulse.is_doubtful() => 0,
            Limit::Awaited | Limit::Overdue => 1,
            Limit::Told(limit) => limit.min(cap),
        };
        limit.saturating_sub(self.active)
    }
}

impl Pool {
    pub(super) fn new(
        origin: Uri,
        tls: Option<Arc<ClientTls>>,
        route: Option<Route>,
        settings: PoolSettings,
    ) -> Arc<Self> {
        let dialer = Dialer { origin, tls, route, settings, calm: Arc::new(AtomicBool::new(false)) };
        Arc::new(Self { dialer, state: Mutex::default() })
    }

    /// A place for one stream. Cancel-safe: a place that nobody takes goes to the next who waits.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease> {
        let (waiter, place) = oneshot::channel();
        self.update(|state| state.waiting.push_back(waiter));
        place.await.unwrap_or_else(|_| Err(errors::internal("The connection pool lost a waiter.")))
    }

    /// The host and port, for messages.
    pub(super) fn place(&self) -> String {
        self.dialer.place()
    }

    /// Whether this origin ever spoke HTTP/2 to us.
    pub(super) fn peer_has_spoken(&self) -> bool {
        self.lock().expected_limit.is_some()
    }

    /// Takes a connection out of use for new streams; those it has go on.
    pub(super) fn retire(self: &Arc<Self>, id: u64) {
        self.update(|state| state.links.retain(|link| link.id != id));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cap(&self) -> usize {
        self.dialer.settings.streams_per_connection.max(1)
    }

    /// Applies a change, then serves whom it helps and dials what is missing.
    fn update(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let dials = {
            let mut state = self.lock();
            change(&mut state);
            self.serve(&mut state);
            let dials = state.missing_dials(self.cap());
            state.dialing += dials;
            dials
        };
        for _ in 0..dials {
            self.dial();
        }
    }

    /// Hands places to those who wait, fullest connection first, so that spare ones can go idle and close.
    fn serve(self: &Arc<Self>, state: &mut State) {
        state.waiting.retain(|waiter| !waiter.is_closed());
        let cap = self.cap();
        while !state.waiting.is_empty() {
            let with_room = state.links.iter_mut().filter(|link| link.room(cap) > 0);
            let Some(link) = with_room.max_by_key(|link| link.active) else { return };
            let Some(waiter) = state.waiting.pop_front() else { return };
            let (sender, fate, pulse) = (link.sender.clone(), link.fate.clone(), Arc::clone(&link.pulse));
            let lease =
                Lease { pool: Some(Arc::clone(self)), id: link.id, sender, fate, pulse, intake: Intake::default() };
            match waiter.send(Ok(lease)) {
                Ok(()) => link.active += 1,
                // Cancelled since. Not its drop but we give the place back: the lock is ours.
                Err(Ok(mut lease)) => lease.pool = None,
                Err(Err(_)) => {}
            }
        }
    }

    fn dial(self: &Arc<Self>) {
        let ticket = Ticket { pool: Some(Arc::clone(self)) };
        tokio::spawn(async move {
            let Some(pool) = ticket.pool.clone() else { return };
            let id = {
                let mut state = pool.lock();
                state.last_id += 1;
                state.last_id
            };
            let dialed = pool.dialer.dial(ToldBy { pool: Arc::downgrade(&pool), id }).await;
            ticket.settle(id, dialed);
        });
    }

    fn release(self: &Arc<Self>, id: u64) {
        let mut state = self.lock();
        if let Some(link) = state.links.iter_mut().find(|link| link.id == id) {
            link.active = link.active.saturating_sub(1);
            link.idle_since = Instant::now();
        }
        // A place came free, so nothing needs dialling: this also runs in drops outside any runtime.
        self.serve(&mut state);
    }

    /// When this connection should be looked at again; None: it was idle for long and is out of the pool.
    fn close_if_idle(&self, id: u64) -> Option<Instant> {
        let idle = self.dialer.settings.idle_timeout;
        let mut state = self.lock();
        let now = Instant::now();
        let position = state.links.iter().position(|link| link.id == id)?;
        let link = state.links.get(position)?;
        let due = if link.active > 0 { now + idle } else { link.idle_since + idle };
        if due > now {
            return Some(due);
        }
        state.links.swap_remove(position);
        tracing::debug!(connection = id, "closing an idle connection");
        None
    }

    /// Runs a connection to its end.
    async fn run(pool: Weak<Self>, id: u64, mut driver: Driver, ended: oneshot::Sender<Option<Arc<hyper::Error>>>) {
        let (grace, idle) = match pool.upgrade() {
            Some(pool) => (pool.dialer.settings.settings_grace, pool.dialer.settings.idle_timeout),
            None => (Duration::ZERO, Duration::ZERO),
        };
        let mut overdue = std::pin::pin!(tokio::time::sleep(grace));
        let mut idle = std::pin::pin!(tokio::time::sleep(idle));
        let (mut awaits_settings, mut may_idle) = (true, true);
        let failure = loop {
            tokio::select! {
                failure = &mut driver => break failure,
                () = &mut overdue, if awaits_settings => {
                    awaits_settings = false;
                    if let Some(pool) = pool.upgrade() {
                        pool.update(|state| state.overdue(id));
                    }
                }
                () = &mut idle, if may_idle => {
                    match pool.upgrade().and_then(|pool| pool.close_if_idle(id)) {
                        Some(due) => idle.as_mut().reset(due),
                        // Out of the pool, its last sender dropped: hyper closes it with a GOAWAY.
                        None => may_idle = false,
                    }
                }
            }
        };
        let failure = failure.map(Arc::new);
        // Nobody asks where no stream was open.
        let _ = ended.send(failure.clone());
        let Some(pool) = pool.upgrade() else { return };
        if let Some(failure) = failure.as_deref() {
            tracing::debug!(connection = id, error = %errors::chain(failure), "connection ended");
            if errors::asks_for_calm(failure) && !pool.dialer.calm.swap(true, Ordering::Relaxed) {
                tracing::warn!(endpoint = %pool.place(), "the peer calls pings too many (ENHANCE_YOUR_CALM): stopped");
            }
        }
        pool.retire(id);
    }
}

impl State {
    /// Streams that a connection can be expected to carry.
    fn expected(&self, cap: usize) -> usize {
        let overdue = self.links.iter().any(|link| link.limit == Limit::Overdue);
        match self.expected_limit {
            Some(limit) => limit.min(cap).max(1),
            None if overdue => 1,
            None => cap,
        }
    }

    fn missing_dials(&self, cap: usize) -> usize {
        let expected = self.expected(cap);
        let awaited = self.links.iter().filter(|link| link.limit == Limit::Awaited && !link.sender.is_closed());
        let coming =
            self.dialing * expected + awaited.map(|link| expected.saturating_sub(link.active.max(1))).sum::<usize>();
        self.waiting.len().saturating_sub(coming).div_ceil(expected)
    }

    fn overdue(&mut self, id: u64) {
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id && link.limit == Limit::Awaited) {
            link.limit = Limit::Overdue;
        }
    }

    fn fail(&mut self, count: usize, error: &Error) {
        for waiter in self.waiting.drain(..count.min(self.waiting.len())) {
            // A caller that is gone needs no error.
            let _ = waiter.send(Err(error.clone()));
        }
    }
}

/// Counts a dial as under way until it is settled, also when its task is dropped with the runtime.
struct Ticket {
    pool: Option<Arc<Pool>>,
}

impl Ticket {
    fn settle(mut self, id: u64, dialed: Result<Dialed>) {
        let Some(pool) = self.pool.take() else { return };
        match dialed {
            Ok(Dialed { sender, driver, pulse }) => {
                let (ended, fate) = oneshot::channel();
                pool.update(|state| {
                    state.dialing = state.dialing.saturating_sub(1);
                    let (fate, idle_since) = (fate.shared(), Instant::now());
                    state.links.push(Link { id, sender, fate, pulse, active: 0, limit: Limit::Awaited, idle_since });
                });
                tokio::spawn(Pool::run(Arc::downgrade(&pool), id, driver, ended));
            }
            Err(error) => pool.update(|state| {
                state.dialing = state.dialing.saturating_sub(1);
                // As many as this dial was for; other dials may still succeed.
                state.fail(state.expected(pool.cap()), &error);
            }),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            let mut state = pool.lock();
            state.dialing = state.dialing.saturating_sub(1);
            if state.dialing == 0 {
                state.fail(usize::MAX, &errors::internal("The runtime stopped while connecting."));
            }
        }
    }
}

/// Through which a connection tells the pool what it hears from its peer.
pub(super) struct ToldBy {
    pool: Weak<Pool>,
    id: u64,
}

impl ToldBy {
    /// The peer told, or changed, its stream limit.
    pub(super) fn limit(&self, limit: usize) {
        let Some(pool) = self.pool.upgrade() else { return };
        pool.update(|state| {
            state.expected_limit = Some(limit);
            if let Some(link) = state.links.iter_mut().find(|link| link.id == self.id) {
                link.limit = Limit::Told(limit);
            }
            if limit == 0 {
                // Another connection would be told the same: say so instead of dialling for ever.
                let error = Error::new(
                    ErrorKind::Connect,
                    "no_streams",
                    format!("{} allows no streams at the moment.", pool.place()),
                );
                state.fail(usize::MAX, &error.with_cure("Try again later."));
            }
        });
    }

    /// No new stream can be opened here any more (GOAWAY, or the end).
    pub(super) fn closing(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(self.id);
        }
    }
}
