//! One raw stream as Python's `stream.py` drives it; the manners are those of [`super::session`].

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use super::{
    errors,
    live::{Live, Outcome, counters, credentials},
    runtime::{self, OfProcess},
};
use crate::{
    session::{
        Answer,
        raw::{self, RawConfig},
    },
    transport::Transport,
};

#[pyclass(frozen, module = "novasonic._core")]
pub(super) struct RawStream(OfProcess<Live<raw::RawStream>>);

type Drained<'py> = (Bound<'py, PyList>, Vec<u64>, bool, bool);

impl RawStream {
    pub(super) fn spawn(py: Python<'_>, transport: Arc<dyn Transport>, config: RawConfig) -> PyResult<Self> {
        let live = Live::spawn(py, |runtime, notify| raw::RawStream::spawn(runtime, transport, config, notify))?;
        Ok(Self(OfProcess::new("RawStream", live)))
    }

    fn live(&self, py: Python<'_>) -> PyResult<&raw::RawStream> {
        Ok(&self.0.get(py)?.handle)
    }
}

#[pymethods]
impl RawStream {
    #[getter]
    fn fd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.0.get(py)?.wake.fd())
    }

    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.live(py)?.id())
    }

    #[getter]
    fn request_id(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.live(py)?.request_id())
    }

    /// Resolves to None at the response headers, or to the exception that says why they never came.
    fn opened<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = self.live(py)?.clone();
        runtime::future_into_py(py, async move { Outcome(stream.opened().await) })
    }

    /// `(events, ids of requests for credentials, whether more events wait, whether the stream has ended)`.
    fn drain<'py>(&self, py: Python<'py>, max_events: usize) -> PyResult<Drained<'py>> {
        let Live { handle: stream, wake } = self.0.get(py)?;
        wake.clear();
        // Before the events: at the end none is added any more.
        let over = stream.is_over();
        let (mut events, mut requests) = (Vec::new(), Vec::new());
        let more = stream.drain(max_events, &mut events, &mut requests);
        let events = PyList::new(py, events.iter().map(|event| PyBytes::new(py, event)))?;
        // A stream asks for nothing else.
        Ok((events, requests.iter().map(|request| request.id).collect(), more, over))
    }

    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.live(py)?.error().map(|error| errors::instance(py, &error)).transpose()
    }

    fn try_send(&self, py: Python<'_>, event: &[u8]) -> PyResult<bool> {
        self.live(py)?.try_send(event).map_err(|error| errors::to_py_err(py, &error))
    }

    /// As `try_send`, but a full buffer counts as waiting, not as a refusal, and room is asked for.
    fn send_or_want_room(&self, py: Python<'_>, event: &[u8]) -> PyResult<bool> {
        let stream = self.live(py)?;
        let taken = stream.has_room(event.len()).and_then(|room| if room { stream.try_send(event) } else { Ok(false) });
        if matches!(taken, Ok(false)) {
            stream.want_room(event.len());
        }
        taken.map_err(|error| errors::to_py_err(py, &error))
    }

    fn end_input(&self, py: Python<'_>) -> PyResult<()> {
        self.live(py)?.end_input();
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

    fn answer_failed(&self, py: Python<'_>, request_id: u64, reason: String) -> PyResult<()> {
        self.live(py)?.answer(request_id, Answer::Failed(reason));
        Ok(())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counters!(
            py,
            raw::RawStats {
                queued_input_bytes,
                queued_output_bytes,
                sent_events,
                sent_bytes,
                received_events,
                received_bytes,
                refused_events,
                dropped_events,
                wakeups,
            } = self.live(py)?.stats()
        )
    }
}
