//! One live session as Python's `_bridge.py` drives it.
//!
//! Every method is synchronous, short and safe on any thread; only `opened` makes a future, once in a session's
//! life. Locks behind these calls are never held by anybody who waits for the interpreter.

use std::{sync::Arc, time::Duration};

use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

use super::{
    errors, event,
    live::{Live, Outcome, counters, credentials},
    runtime::{self, OfProcess},
};
use crate::{
    conversation::TurnRecord,
    protocol::ToolSpec,
    session::{self, Answer, Reconfiguration, Request, RequestKind, SessionConfig},
    transport::Transport,
};

#[pyclass(frozen, module = "novasonic._core")]
pub(super) struct Session(OfProcess<Live<session::Session>>);

/// `(id, kind, payload)`.
type RequestRow<'py> = (u64, &'static str, Bound<'py, PyAny>);
type Drained<'py> = (Bound<'py, PyList>, Vec<RequestRow<'py>>, bool, Option<u32>);
/// `(number, interrupted, user final, assistant final, user, planned, heard, timings)`; twin of `TurnRow` in
/// `novasonic/transcript.py`.
type TurnRow = (u32, bool, bool, bool, String, String, String, event::Times);

/// `(name, description, schema as JSON)`.
pub(super) type ToolRow = (String, String, String);

pub(super) fn tool_spec((name, description, schema): ToolRow) -> ToolSpec {
    ToolSpec { name, description, schema }
}

impl Session {
    pub(super) fn spawn(py: Python<'_>, transport: Arc<dyn Transport>, config: SessionConfig) -> PyResult<Self> {
        let live = Live::spawn(py, |runtime, notify| session::Session::spawn(runtime, transport, config, notify))?;
        Ok(Self(OfProcess::new("Session", live)))
    }

    fn live(&self, py: Python<'_>) -> PyResult<&session::Session> {
        Ok(&self.0.get(py)?.handle)
    }
}

#[pymethods]
impl Session {
    #[getter]
    fn fd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.0.get(py)?.wake.fd())
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.live(py)?.id())
    }

    /// Resolves to None at the response headers, or to the exception that says why they never came.
    fn opened<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let session = self.live(py)?.clone();
        runtime::future_into_py(py, async move { Outcome(session.opened().await) })
    }

    /// `(event tuples, request rows, whether more events wait, the last interrupted turn)`.
    fn drain<'py>(&self, py: Python<'py>, max_events: usize) -> PyResult<Drained<'py>> {
        let Live { handle: session, wake } = self.0.get(py)?;
        wake.clear();
        let (mut events, mut requests) = (Vec::new(), Vec::new());
        let more = session.drain(max_events, &mut events, &mut requests);
        let tuples = PyList::empty(py);
        for event in &events {
            tuples.append(event::to_tuple(py, event)?)?;
        }
        let requests = requests.into_iter().map(|request| row(py, request)).collect::<PyResult<_>>()?;
        Ok((tuples, requests, more, session.interrupted_turn()))
    }

    fn try_send_audio(&self, py: Python<'_>, pcm: &[u8]) -> PyResult<bool> {
        self.live(py)?.try_send_audio(pcm).map_err(|error| errors::to_py_err(py, &error))
    }

    /// As `try_send_audio`, but a full buffer counts as waiting, not as a refusal, and room is asked for.
    fn send_audio_or_want_room(&self, py: Python<'_>, pcm: &[u8]) -> PyResult<bool> {
        let session = self.live(py)?;
        let taken =
            session.has_room(pcm.len()).and_then(|room| if room { session.try_send_audio(pcm) } else { Ok(false) });
        if matches!(taken, Ok(false)) {
            session.want_room(pcm.len());
        }
        taken.map_err(|error| errors::to_py_err(py, &error))
    }

    fn send_text(&self, py: Python<'_>, text: String) -> PyResult<()> {
        self.live(py)?.send_text(text).map_err(|error| errors::to_py_err(py, &error))
    }

    fn prompt(&self, py: Python<'_>, token: u64, text: String) -> PyResult<()> {
        self.live(py)?.prompt(token, text).map_err(|error| errors::to_py_err(py, &error))
    }

    #[pyo3(signature = (token, system, voice, tools))]
    fn reconfigure(
        &self,
        py: Python<'_>,
        token: u64,
        system: Option<String>,
        voice: Option<String>,
        tools: Option<Vec<ToolRow>>,
    ) -> PyResult<()> {
        let tools = tools.map(|tools| tools.into_iter().map(tool_spec).collect());
        let wish = Reconfiguration { token, system, voice, tools };
        self.live(py)?.reconfigure(wish).map_err(|error| errors::to_py_err(py, &error))
    }

    fn send_tool_result(&self, py: Python<'_>, tool_use_id: String, result: String, ok: bool) -> PyResult<()> {
        self.live(py)?.send_tool_result(tool_use_id, result, ok).map_err(|error| errors::to_py_err(py, &error))
    }

    fn played(&self, py: Python<'_>, turn: u32, seconds: f64) -> PyResult<()> {
        if let Ok(heard) = Duration::try_from_secs_f64(seconds) {
            self.live(py)?.history().lock().played(turn, heard);
        }
        Ok(())
    }

    fn turns(&self, py: Python<'_>) -> PyResult<Vec<TurnRow>> {
        let history = self.live(py)?.history().lock();
        Ok(history.turns().iter().map(turn_row).collect())
    }

    fn turn(&self, py: Python<'_>, number: u32) -> PyResult<Option<TurnRow>> {
        Ok(self.live(py)?.history().lock().turn(number).map(turn_row))
    }

    fn mute(&self, py: Python<'_>, muted: bool) -> PyResult<()> {
        self.live(py)?.mute(muted);
        Ok(())
    }

    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        self.live(py)?.interrupt();
        Ok(())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.live(py)?.close();
        Ok(())
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        self.live(py)?.abort();
        Ok(())
    }

    #[pyo3(signature = (request_id, access_key_id, secret_access_key, session_token, expires_at))]
    fn answer_credentials(
        &self,
        py: Python<'_>,
        request_id: u64,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        expires_at: Option<f64>,
    ) -> PyResult<()> {
        let keys = credentials(access_key_id, secret_access_key, session_token, expires_at);
        self.live(py)?.answer(request_id, Answer::Credentials(keys));
        Ok(())
    }

    /// False: nobody waits for that answer any more.
    fn answer_overlap(&self, py: Python<'_>, request_id: u64, may: bool) -> PyResult<bool> {
        Ok(self.live(py)?.answer(request_id, Answer::MayOverlap(may)))
    }

    fn answer_failed(&self, py: Python<'_>, request_id: u64, reason: String) -> PyResult<()> {
        self.live(py)?.answer(request_id, Answer::Failed(reason));
        Ok(())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters!(
            py,
            session::Stats {
                queued_input_ms,
                queued_output_ms,
                sent_audio_ms,
                filled_silence_ms,
                received_audio_ms,
                refused_chunks,
                refused_audio_ms,
                purged_audio_ms,
                events,
                wakeups,
                unknown_events,
                tool_calls,
                streams_opened,
            } = self.live(py)?.stats()
        )
    }
}

fn row(py: Python<'_>, request: Request) -> PyResult<RequestRow<'_>> {
    let (kind, payload) = match request.kind {
        RequestKind::Credentials => ("credentials", py.None().into_bound(py)),
        RequestKind::MayOverlap => ("may_overlap", py.None().into_bound(py)),
        RequestKind::OverlapEnded => ("overlap_ended", py.None().into_bound(py)),
        RequestKind::Tool { id, name, arguments, turn } => {
            ("tool", (id, name, arguments, turn).into_pyobject(py)?.into_any())
        }
        RequestKind::Reconfigured { token, error } => {
            let error = error.map(|error| errors::instance(py, &error)).transpose()?;
            ("reconfigured", (token, 0, error).into_pyobject(py)?.into_any())
        }
        RequestKind::Prompted { token, turn } => ("prompted", (token, turn).into_pyobject(py)?.into_any()),
    };
    Ok((request.id, kind, payload))
}

fn turn_row(turn: &TurnRecord) -> TurnRow {
    (
        turn.number,
        turn.interrupted,
        turn.user_is_final(),
        turn.assistant_is_final(),
        turn.user_text(),
        turn.planned_text(),
        turn.heard_text(),
        event::timings(turn.timings),
    )
}
