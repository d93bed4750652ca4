//! Events as the cheap tuples that `novasonic/_bridge.py` turns into dataclasses.
//!
//! A tuple is `(kind, at, turn, raw_type, *fields)`; `kind` indexes [`EVENT_FIELDS`].

use std::time::Duration;

use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    types::{PyBytes, PyString, PyTuple},
};

use super::errors;
use crate::{
    conversation::{EndReason, Event, EventKind, InterruptSource, Reason, Speaker, Timings},
    protocol::TokenCounts,
};

/// Class and fields of each kind. Twin of `novasonic/events.py`; a test compares the two.
pub(super) const EVENT_FIELDS: [(&str, &[&str]); 12] = [
    ("AudioOutput", &["pcm", "rate"]),
    ("Transcript", &["role", "text", "final", "segment"]),
    ("TurnStarted", &[]),
    ("TurnEnded", &["interrupted", "timings"]),
    ("Interrupted", &["source"]),
    ("Usage", &["delta", "total", "usd"]),
    ("SessionEnded", &["reason", "error"]),
    ("UnknownEvent", &["name", "raw"]),
    ("ToolCall", &["id", "name", "arguments"]),
    ("ToolFinished", &["id", "ok", "seconds"]),
    ("Renewing", &["reason"]),
    ("Renewed", &["seconds", "replayed_seconds"]),
];

pub(super) fn to_tuple<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyTuple>> {
    let at = event.at.as_secs_f64();
    let turn = event.turn;
    // A handful of names, a thousand times a second: shared instead of built anew.
    let raw = PyString::intern(py, &event.raw_type);
    match &event.kind {
        EventKind::Audio { pcm, rate_hz } => (0_u8, at, turn, raw, PyBytes::new(py, pcm), rate_hz).into_pyobject(py),
        EventKind::Transcript { speaker, text, is_final, segment } => {
            (1_u8, at, turn, raw, speaker_name(*speaker), text, is_final, segment).into_pyobject(py)
        }
        EventKind::TurnStarted => (2_u8, at, turn, raw).into_pyobject(py),
        EventKind::TurnEnded { interrupted, timings: times } => {
            (3_u8, at, turn, raw, interrupted, timings(*times)).into_pyobject(py)
        }
        EventKind::Interrupted { source } => (4_u8, at, turn, raw, source_name(*source)).into_pyobject(py),
        EventKind::Usage { delta, total, usd } => {
            (5_u8, at, turn, raw, counts(*delta), counts(*total), usd).into_pyobject(py)
        }
        EventKind::SessionEnded { reason, error } => {
            let error = match error {
                Some(error) => errors::instance(py, error)?,
                None => py.None().into_bound_py_any(py)?,
            };
            (6_u8, at, turn, raw, reason_name(*reason), error).into_pyobject(py)
        }
        EventKind::Unknown { name, raw: json } => (7_u8, at, turn, raw, name, json).into_pyobject(py),
        EventKind::ToolCall { id, name, arguments } => (8_u8, at, turn, raw, id, name, arguments).into_pyobject(py),
        EventKind::ToolFinished { id, ok, after } => {
            (9_u8, at, turn, raw, id, ok, after.as_secs_f64()).into_pyobject(py)
        }
        EventKind::Renewing { reason } => (10_u8, at, turn, raw, renewal_name(*reason)).into_pyobject(py),
        EventKind::Renewed { took, replayed } => {
            (11_u8, at, turn, raw, took.as_secs_f64(), replayed.as_secs_f64()).into_pyobject(py)
        }
    }
}

fn speaker_name(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    }
}

fn source_name(source: InterruptSource) -> &'static str {
    match source {
        InterruptSource::Model => "model",
        InterruptSource::Client => "client",
    }
}

fn renewal_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Age => "age",
        Reason::Idle => "idle",
        Reason::Credentials => "credentials",
        Reason::Reconfigured => "reconfigured",
        Reason::Lost => "lost",
    }
}

fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Closed => "closed",
        EndReason::Limit => "limit",
        EndReason::Server => "server",
        EndReason::Error => "error",
    }
}

/// In the order of `Timings` in events.py, in seconds.
pub(super) type Times = (f64, Option<f64>, Option<f64>, Option<f64>);

pub(super) fn timings(timings: Timings) -> Times {
    let Timings { started, user_ended, first_audio, ended } = timings;
    let seconds = |at: Option<Duration>| at.map(|at| at.as_secs_f64());
    (started.as_secs_f64(), seconds(user_ended), seconds(first_audio), seconds(ended))
}

/// In the order of `TokenCounts` in events.py.
fn counts(counts: TokenCounts) -> (u64, u64, u64, u64) {
    (counts.speech_in, counts.text_in, counts.speech_out, counts.text_out)
}
