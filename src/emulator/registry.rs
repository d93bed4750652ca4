//! What the streams of one emulator share: ids, reports, and the way from a turn's id to the stream that runs it.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    brains::Brain,
    settings::{BrainAction, BrainChoice, BrainNotice, Settings, StreamReport},
    signature::Keys,
};

/// Reports kept; an emulator that runs for days forgets the oldest.
const MAX_REPORTS: usize = 10_000;

pub(super) type Action = (u64, BrainAction);

pub(super) struct Registry {
    pub(super) settings: Arc<Settings>,
    /// Loaded once, shared by all streams.
    pub(super) brain: Arc<Brain>,
    pub(super) keys: Keys,
    pub(super) next_turn_id: Arc<AtomicU64>,
    last_stream_id: AtomicU64,
    last_connection_id: AtomicU64,
    reports: Mutex<VecDeque<Arc<Mutex<StreamReport>>>>,
    turns: Mutex<HashMap<u64, mpsc::Sender<Action>>>,
}

impl Registry {
    /// Fails where the brain's script cannot be read.
    pub(super) fn new(settings: Settings) -> io::Result<Self> {
        let brain = Arc::new(Brain::load(&settings.brain)?);
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
            reports: Mutex::default(),
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
        lock(&self.reports).iter().map(|report| lock(report).clone()).collect()
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

/// One stream's entry. Dropping it closes the report and cancels the turns still open, also when the stream panics.
pub(super) struct Entry {
    registry: Arc<Registry>,
    report: Arc<Mutex<StreamReport>>,
    actions: mpsc::Sender<Action>,
    open_turns: Vec<u64>,
    stream_id: u64,
}

impl Entry {
    pub(super) fn open(registry: Arc<Registry>, report: StreamReport, actions: mpsc::Sender<Action>) -> Self {
        let line =
            format!("stream {} to {} opened on connection {}", report.stream_id, report.model_id, report.connection_id);
        let stream_id = report.stream_id;
        let report = Arc::new(Mutex::new(report));
        let mut reports = lock(&registry.reports);
        if reports.len() == MAX_REPORTS {
            reports.pop_front();
        }
        reports.push_back(Arc::clone(&report));
        drop(reports);
        // Afterwards, so that who reads the line finds the report.
        registry.log(&line);
        Self { registry, report, actions, open_turns: Vec::new(), stream_id }
    }

    /// Notes an input event; a run of audioInput is one entry.
    pub(super) fn saw_event(&self, name: &'static str, (heard, spoken): (u64, u64)) {
        let mut report = lock(&self.report);
        if name != "audioInput" || report.events.last().is_none_or(|last| last != name) {
            report.events.push(name.to_owned());
        }
        report.audio_bytes = heard;
        report.output_audio_bytes = spoken;
    }

    pub(super) fn count_audio(&self, (heard, spoken): (u64, u64)) {
        let mut report = lock(&self.report);
        report.audio_bytes = heard;
        report.output_audio_bytes = spoken;
    }

    pub(super) fn last_event_is(&self, name: &str) -> bool {
        lock(&self.report).events.last().is_some_and(|last| last == name)
    }

    /// The first reason stands.
    pub(super) fn end(&self, reason: impl Into<String>) {
        let mut report = lock(&self.report);
        if report.ended.is_some() {
            return;
        }
        let reason = reason.into();
        let line = format!(
            "stream {} ended: {reason} ({} bytes of speech heard, {} spoken)",
            self.stream_id, report.audio_bytes, report.output_audio_bytes
        );
        report.ended = Some(reason);
        drop(report);
        self.registry.log(&line);
    }

    pub(super) fn open_turn(&mut self, turn_id: u64) {
        self.open_turns.push(turn_id);
        lock(&self.registry.turns).insert(turn_id, self.actions.clone());
    }

    pub(super) fn cancel_turn(&mut self, turn_id: u64) {
        self.close_turn(turn_id);
        self.registry.notify_host(BrainNotice::Cancel { turn_id });
    }

    pub(super) fn close_turn(&mut self, turn_id: u64) {
        self.open_turns.retain(|open| *open != turn_id);
        lock(&self.registry.turns).remove(&turn_id);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        for turn_id in std::mem::take(&mut self.open_turns) {
            self.cancel_turn(turn_id);
        }
        self.end(if std::thread::panicking() { "the emulator failed (a defect)" } else { "the emulator stopped" });
    }
}

/// A panic in one stream must not take the others' reports with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
