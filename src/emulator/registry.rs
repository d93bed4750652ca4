//! What the streams of one emulator share: ids, reports, and the way from a turn's id to the stream that runs it.

mod entry;

pub(super) use entry::{Entry, Stamp};

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;

use super::{
    brains::Brain,
    faults::{Armed, Fault, Faults, Place},
    recording::{Recorder, Recording},
    settings::{BrainAction, BrainChoice, BrainNotice, Settings, StreamReport},
    signature::Keys,
};

/// Reports kept; an emulator that runs for days forgets the oldest.
const MAX_REPORTS: usize = 10_000;
/// Accounts whose streams are counted; with a bound, because without signatures anybody may name them.
const MAX_ACCOUNTS: usize = 100_000;

/// Beyond the 8 minutes of the dialogue's own clock, which stands still while the client does not read.
const GRACE: Duration = Duration::from_secs(10);
pub(super) type Action = (u64, BrainAction);

pub(super) struct Registry {
    pub(super) settings: Arc<Settings>,
    /// Loaded once, shared by all streams.
    pub(super) brain: Arc<Brain>,
    pub(super) keys: Keys,
    pub(super) next_turn_id: Arc<AtomicU64>,
    last_stream_id: AtomicU64,
    last_connection_id: AtomicU64,
    /// Those that each new stream looks at.
    pub(super) faults: Faults,
    reports: Mutex<VecDeque<Kept>>,
    recorded_bytes: Arc<AtomicUsize>,
    /// By stream id.
    live: Mutex<HashMap<u64, Live>>,
    /// Streams so far, by account.
    opened: Mutex<HashMap<String, u64>>,
    turns: Mutex<HashMap<u64, mpsc::Sender<Action>>>,
}

struct Kept {
    report: Arc<Mutex<StreamReport>>,
    recorder: Recorder,
}

/// A stream that may be told to break.
struct Live {
    account: String,
    orders: mpsc::Sender<Arc<Armed>>,
}

impl Registry {
    /// Fails where the brain's script cannot be read, or a fault is impossible.
    pub(super) fn new(settings: Settings) -> io::Result<Self> {
        let brain = Arc::new(Brain::load(&settings.brain)?);
        let faults = Faults::default();
        let wanted = settings.faults.iter().cloned().chain(brain.faults());
        faults.add(check(wanted, &settings).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?);
        let keys = Keys {
            access_key_id: settings.access_key_id.clone(),
            secret_access_key: settings.secret_access_key.clone(),
        };
        Ok(Self {
            settings: Arc::new(settings),
            brain,
            keys,
            next_turn_id: Arc::new(AtomicU64::new(1)),
            last_stream_id: AtomicU64::new(0),
            last_connection_id: AtomicU64::new(0),
            faults,
            reports: Mutex::default(),
            recorded_bytes: Arc::default(),
            live: Mutex::default(),
            opened: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    pub(super) fn next_connection_id(&self) -> u64 {
        self.last_connection_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn next_stream_id(&self) -> u64 {
        self.last_stream_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Every line says that this is not AWS: a log read later must not be taken for the service's.
    pub(super) fn log(&self, line: &str) {
        tracing::info!(target: "novasonic::emulator", "EMULATOR, not AWS: {line}");
        if let Some(on_log) = &self.settings.on_log {
            on_log(&format!("EMULATOR, not AWS: {line}"));
        }
    }

    pub(super) fn reports(&self) -> Vec<StreamReport> {
        lock(&self.reports).iter().map(|kept| lock(&kept.report).clone()).collect()
    }

    pub(super) fn recording(&self, stream_id: u64) -> Option<Recording> {
        let reports = lock(&self.reports);
        let kept = reports.iter().rev().find(|kept| lock(&kept.report).stream_id == stream_id)?;
        kept.recorder.recording()
    }

    pub(super) fn recorder(&self) -> Recorder {
        Recorder::new(self.settings.record, &self.recorded_bytes)
    }

    /// What an access key id says after the emulator's own and `_`: so one secret serves any number of accounts.
    pub(super) fn account(&self, access_key_id: &str) -> String {
        match access_key_id.strip_prefix(&*self.keys.access_key_id) {
            Some("") => "",
            Some(rest) => rest.strip_prefix('_').unwrap_or(access_key_id),
            None => access_key_id,
        }
        .to_owned()
    }

    /// Counts one more stream of this account.
    pub(super) fn next_number(&self, account: &str) -> u64 {
        let mut opened = lock(&self.opened);
        if opened.len() == MAX_ACCOUNTS && !opened.contains_key(account) {
            opened.clear();
        }
        let number = opened.entry(account.to_owned()).or_default();
        *number += 1;
        *number
    }

    /// For streams opened from now on: all of them or, where one is impossible, none.
    pub(super) fn add_faults(&self, faults: Vec<Fault>) -> Result<(), String> {
        self.faults.add(check(faults, &self.settings)?);
        Ok(())
    }

    /// At once, on the live streams of the fault's account; how many those are.
    pub(super) fn commit(&self, fault: Fault) -> Result<usize, String> {
        if fault.is_of_opening() || fault.place != Place::default() || fault.stream.is_some() {
            return Err(format!(
                "{fault}: on streams that are open a fault has no place, and cannot be about opening one"
            ));
        }
        let armed = Arc::new(Armed::new(fault));
        let live = lock(&self.live);
        let told = |live: &&Live| armed.is_for(&live.account) && live.orders.try_send(Arc::clone(&armed)).is_ok();
        Ok(live.values().filter(told).count())
    }

    /// By then a stream is over, whatever its client does.
    pub(super) fn longest_stream(&self) -> Duration {
        self.settings.stream_limit.div_f64(self.settings.speed) + GRACE
    }

    pub(super) fn act(&self, turn_id: u64, action: BrainAction) -> bool {
        let last = matches!(action, BrainAction::Done | BrainAction::Failed(_));
        let mut turns = lock(&self.turns);
        let taken = turns.get(&turn_id).is_some_and(|turn| turn.try_send((turn_id, action)).is_ok());
        if taken && last {
            turns.remove(&turn_id);
        }
        taken
    }

    pub(super) fn notify_host(&self, notice: BrainNotice) {
        if let BrainChoice::Host(host) = &self.settings.brain {
            host.notice(notice);
        }
    }
}

fn check(faults: impl IntoIterator<Item = Fault>, settings: &Settings) -> Result<Vec<Fault>, String> {
    faults.into_iter().map(|fault| fault.check(settings.headers).map(|()| fault)).collect()
}

pub(super) fn unix_time() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

/// A panic in one stream must not take the others' reports with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
