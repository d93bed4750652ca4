//! One stream in the registry: its report as it grows, and its turns.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc;

use super::{Action, Kept, Live, MAX_REPORTS, Registry, lock, unix_time};
use crate::emulator::{
    faults::{Armed, Fault},
    recording::Recorder,
    settings::{BrainNotice, StreamReport},
};

/// Names of events that one report counts; scripts may invent them.
const MAX_NAMES: usize = 64;

/// One stream's entry. Dropping it closes the report and cancels the turns still open, also when the stream panics.
pub(in crate::emulator) struct Entry {
    registry: Arc<Registry>,
    report: Arc<Mutex<StreamReport>>,
    actions: mpsc::Sender<Action>,
    open_turns: Vec<u64>,
    stream_id: u64,
}

impl Entry {
    pub(in crate::emulator) fn open(
        registry: Arc<Registry>,
        report: StreamReport,
        recorder: Recorder,
        actions: mpsc::Sender<Action>,
        orders: mpsc::Sender<Arc<Armed>>,
    ) -> Self {
        let line =
            format!("stream {} to {} opened on connection {}", report.stream_id, report.model_id, report.connection_id);
        let stream_id = report.stream_id;
        lock(&registry.live).insert(stream_id, Live { account: report.account.clone(), orders });
        let report = Arc::new(Mutex::new(report));
        let mut reports = lock(&registry.reports);
        if reports.len() == MAX_REPORTS {
            reports.pop_front();
        }
        reports.push_back(Kept { report: Arc::clone(&report), recorder });
        drop(reports);
        // Afterwards, so that who reads the line finds the report.
        registry.log(&line);
        Self { registry, report, actions, open_turns: Vec::new(), stream_id }
    }

    /// Notes an input event; a run of audioInput is one entry.
    pub(in crate::emulator) fn saw_event(&self, name: &'static str, (heard, spoken): (u64, u64)) {
        let mut report = lock(&self.report);
        if name != "audioInput" || report.events.last().is_none_or(|last| last != name) {
            report.events.push(name.to_owned());
        }
        count(&mut report.inputs, name);
        report.audio_bytes = heard;
        report.output_audio_bytes = spoken;
    }

    pub(in crate::emulator) fn said(&self, name: &str) {
        count(&mut lock(&self.report).outputs, name);
    }

    pub(in crate::emulator) fn committed(&self, fault: &Fault) {
        lock(&self.report).faults.push(fault.to_string());
        self.stamp().now();
    }

    /// For whoever commits the fault later than it was asked for.
    pub(in crate::emulator) fn stamp(&self) -> Stamp {
        Stamp(Arc::clone(&self.report))
    }

    /// This one included.
    pub(in crate::emulator) fn streams_of_account(&self) -> usize {
        let account = lock(&self.report).account.clone();
        lock(&self.registry.live).values().filter(|live| live.account == account).count()
    }

    /// Nothing more will be said: the account has room for another.
    pub(in crate::emulator) fn leave(&self) {
        lock(&self.registry.live).remove(&self.stream_id);
    }

    pub(in crate::emulator) fn count_audio(&self, (heard, spoken): (u64, u64)) {
        let mut report = lock(&self.report);
        report.audio_bytes = heard;
        report.output_audio_bytes = spoken;
    }

    pub(in crate::emulator) fn last_event_is(&self, name: &str) -> bool {
        lock(&self.report).events.last().is_some_and(|last| last == name)
    }

    /// The first reason stands.
    pub(in crate::emulator) fn end(&self, reason: impl Into<String>) {
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
        report.ended_at = Some(unix_time());
        drop(report);
        self.leave();
        self.registry.log(&line);
    }

    pub(in crate::emulator) fn open_turn(&mut self, turn_id: u64) {
        self.open_turns.push(turn_id);
        lock(&self.registry.turns).insert(turn_id, self.actions.clone());
    }

    pub(in crate::emulator) fn cancel_turn(&mut self, turn_id: u64) {
        self.close_turn(turn_id);
        self.registry.notify_host(BrainNotice::Cancel { turn_id });
    }

    pub(in crate::emulator) fn close_turn(&mut self, turn_id: u64) {
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

/// When a fault was committed goes into its stream's report.
pub(in crate::emulator) struct Stamp(Arc<Mutex<StreamReport>>);

impl Stamp {
    pub(in crate::emulator) fn now(&self) {
        lock(&self.0).fault_at = Some(unix_time());
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < MAX_NAMES {
        counts.insert(name.to_owned(), 1);
    }
}
