//! The emulator as `novasonic.emulator` runs it, and the door to brains written in Python.
//!
//! The emulator's thread puts notices into a mailbox and raises a descriptor; the event loop that runs the brains
//! empties it. What a brain does comes back by plain calls. That thread never attaches to Python, so it may be
//! joined while the interpreter is held.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyTuple},
};

use super::{runtime::OfProcess, wake::Wake};
use crate::emulator::{
    self, BrainAction, BrainChoice, BrainHost, BrainNotice, Fault, HeadersAt, Recording, Settings, StreamReport,
    ToolChoice, TurnRequest,
};

/// Lines of the log that may wait; whoever does not read them loses the oldest.
const MAX_LINES: usize = 1_000;

#[pyclass(frozen, module = "novasonic._core")]
pub(super) struct Emulator(OfProcess<Running>);

struct Running {
    state: Mutex<State>,
    mailbox: Arc<Mailbox>,
    https_port: u16,
    http_port: u16,
    control: (u16, String),
    ca_pem: String,
}

/// Stopped, it still tells what it saw.
struct State {
    emulator: emulator::Emulator,
    is_live: bool,
}

/// What the emulator tells, until the loop comes for it.
struct Mailbox {
    waiting: Mutex<Waiting>,
    wake: Arc<Wake>,
}

#[derive(Default)]
struct Waiting {
    notices: VecDeque<BrainNotice>,
    lines: VecDeque<String>,
}

impl BrainHost for Mailbox {
    fn notice(&self, notice: BrainNotice) {
        let mut waiting = lock(&self.waiting);
        // A turn that is over before its brain heard of it needs none. So a loop that stalls finds no more notices
        // than there are open turns.
        if let BrainNotice::Cancel { turn_id } = notice {
            let before = waiting.notices.len();
            waiting.notices.retain(|queued| turn_of(queued) != turn_id);
            if waiting.notices.len() < before {
                return;
            }
        }
        waiting.notices.push_back(notice);
        drop(waiting);
        self.wake.notify();
    }
}

impl Mailbox {
    fn line(&self, line: &str) {
        let mut waiting = lock(&self.waiting);
        if waiting.lines.len() == MAX_LINES {
            waiting.lines.pop_front();
        }
        waiting.lines.push_back(line.to_owned());
        drop(waiting);
        self.wake.notify();
    }
}

type Drained<'py> = (Bound<'py, PyList>, Vec<String>, bool);
type Recorded<'py> = (Bound<'py, PyBytes>, String, Vec<(String, String)>, Vec<String>, Vec<(String, String)>, bool);

#[pymethods]
impl Emulator {
    #[new]
    #[pyo3(signature = (*, brain, script, host, port, http_port, allow_remote, sans, verify, access_key_id,
        secret_access_key, headers, speed, max_streams, idle_limit, stream_limit, faults, record))]
    #[expect(clippy::too_many_arguments, reason = "one call, keywords only")]
    fn start(
        py: Python<'_>,
        brain: &str,
        script: Option<PathBuf>,
        host: &str,
        port: u16,
        http_port: u16,
        allow_remote: bool,
        sans: Vec<String>,
        verify: bool,
        access_key_id: String,
        secret_access_key: String,
        headers: &str,
        speed: f64,
        max_streams: u32,
        idle_limit: f64,
        stream_limit: f64,
        faults: Vec<String>,
        record: bool,
    ) -> PyResult<Self> {
        let mailbox = Arc::new(Mailbox { waiting: Mutex::default(), wake: Wake::new()? });
        let on_log = Arc::clone(&mailbox);
        let settings = Settings {
            host: host.parse::<IpAddr>().map_err(|_| bad(format!("host is {host:?}, which is no IP address")))?,
            port,
            http_port,
            allow_remote,
            sans,
            brain: match (brain, script) {
                ("echo", _) => BrainChoice::Echo,
                ("parrot", _) => BrainChoice::Parrot,
                ("script", Some(path)) => BrainChoice::Script(path),
                ("host", _) => BrainChoice::Host(Arc::clone(&mailbox) as Arc<dyn BrainHost>),
                _ => return Err(bad(format!("no brain is called {brain:?}"))),
            },
            verify,
            access_key_id,
            secret_access_key,
            headers: match headers {
                "first-event" => HeadersAt::FirstEvent,
                "immediately" => HeadersAt::Immediately,
                _ => return Err(bad(format!("headers is {headers:?}, not \"first-event\" or \"immediately\""))),
            },
            speed,
            max_streams_per_connection: max_streams,
            idle_limit: seconds("idle_limit", idle_limit)?,
            stream_limit: seconds("stream_limit", stream_limit)?,
            faults: faults.into_iter().map(|json| fault(&json)).collect::<PyResult<_>>()?,
            record,
            on_log: Some(Arc::new(move |line: &str| on_log.line(line))),
        };
        let emulator = py.detach(|| emulator::Emulator::start(settings)).map_err(start_error)?;
        let running = Running {
            https_port: emulator.https_addr().port(),
            http_port: emulator.http_addr().port(),
            control: (emulator.control_addr().port(), emulator.control_token().to_owned()),
            ca_pem: emulator.ca_pem().to_owned(),
            state: Mutex::new(State { emulator, is_live: true }),
            mailbox,
        };
        Ok(Self(OfProcess::new("Emulator", running)))
    }

    #[getter]
    fn https_port(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(self.0.get(py)?.https_port)
    }

    #[getter]
    fn http_port(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(self.0.get(py)?.http_port)
    }

    #[getter]
    fn control_port(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(self.0.get(py)?.control.0)
    }

    #[getter]
    fn control_token(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(&self.0.get(py)?.control.1)
    }

    #[getter]
    fn ca_pem(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(&self.0.get(py)?.ca_pem)
    }

    #[getter]
    fn fd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.0.get(py)?.mailbox.wake.fd())
    }

    /// `(notices, lines of the log, whether more notices wait)`.
    fn drain<'py>(&self, py: Python<'py>, max_notices: usize) -> PyResult<Drained<'py>> {
        let mailbox = &self.0.get(py)?.mailbox;
        mailbox.wake.clear();
        let mut waiting = lock(&mailbox.waiting);
        let count = waiting.notices.len().min(max_notices);
        let notices: Vec<BrainNotice> = waiting.notices.drain(..count).collect();
        let lines = waiting.lines.drain(..).collect();
        let more = !waiting.notices.is_empty();
        drop(waiting);
        let rows = PyList::empty(py);
        for notice in notices {
            rows.append(row(py, notice)?)?;
        }
        Ok((rows, lines, more))
    }

    fn heard(&self, py: Python<'_>, turn_id: u64, text: String) -> PyResult<bool> {
        self.act(py, turn_id, BrainAction::Heard(text))
    }

    #[pyo3(signature = (turn_id, text, pcm))]
    fn say(&self, py: Python<'_>, turn_id: u64, text: String, pcm: Option<&[u8]>) -> PyResult<bool> {
        self.act(py, turn_id, BrainAction::Say { text, pcm: pcm.map(Bytes::copy_from_slice) })
    }

    fn call(&self, py: Python<'_>, turn_id: u64, call_id: u64, name: String, arguments: String) -> PyResult<bool> {
        self.act(py, turn_id, BrainAction::Call { call_id, name, arguments })
    }

    fn done(&self, py: Python<'_>, turn_id: u64) -> PyResult<bool> {
        self.act(py, turn_id, BrainAction::Done)
    }

    fn failed(&self, py: Python<'_>, turn_id: u64, reason: String) -> PyResult<bool> {
        self.act(py, turn_id, BrainAction::Failed(reason))
    }

    /// One dictionary for each stream, with the attributes of `novasonic.emulator.StreamReport`.
    fn streams<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let reports = lock(&self.0.get(py)?.state).emulator.streams();
        reports.into_iter().map(|each| report(py, each)).collect()
    }

    /// `(pcm, system, history, typed, tool_results, truncated)`.
    fn recording<'py>(&self, py: Python<'py>, stream_id: u64) -> PyResult<Option<Recorded<'py>>> {
        let recording = lock(&self.0.get(py)?.state).emulator.recording(stream_id);
        Ok(recording.map(|Recording { pcm, system, history, typed, tool_results, truncated, .. }| {
            (PyBytes::new(py, &pcm), system, history, typed, tool_results, truncated)
        }))
    }

    fn add_faults(&self, py: Python<'_>, faults: Vec<String>) -> PyResult<()> {
        let faults = faults.into_iter().map(|json| fault(&json)).collect::<PyResult<_>>()?;
        lock(&self.0.get(py)?.state).emulator.add_faults(faults).map_err(bad)
    }

    fn clear_faults(&self, py: Python<'_>) -> PyResult<()> {
        lock(&self.0.get(py)?.state).emulator.clear_faults();
        Ok(())
    }

    fn commit(&self, py: Python<'_>, json: &str) -> PyResult<usize> {
        lock(&self.0.get(py)?.state).emulator.commit(fault(json)?).map_err(bad)
    }

    /// Ends all streams and joins the emulator's thread. A second call does nothing.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let running = self.0.get(py)?;
        py.detach(|| {
            let mut state = lock(&running.state);
            state.emulator.stop();
            state.is_live = false;
        });
        Ok(())
    }
}

impl Emulator {
    /// False: the turn is over, or its client reads so slowly that nothing more is taken now.
    fn act(&self, py: Python<'_>, turn_id: u64, action: BrainAction) -> PyResult<bool> {
        let state = lock(&self.0.get(py)?.state);
        Ok(state.is_live && state.emulator.act(turn_id, action))
    }
}

/// The notice's kind, the turn, and what its Python twin (`emulator/_host.py`) takes.
fn row(py: Python<'_>, notice: BrainNotice) -> PyResult<Bound<'_, PyAny>> {
    Ok(match notice {
        BrainNotice::Turn(turn) => {
            let TurnRequest { turn_id, text, pcm, rate_hz, output_rate_hz, voice, system, history, tools, .. } = turn;
            let caller = (turn.stream_id, turn.account);
            let pcm = PyBytes::new(py, &pcm);
            let tool_choice = match turn.tool_choice {
                ToolChoice::Auto => None,
                ToolChoice::Any => Some("any".to_owned()),
                ToolChoice::Tool(name) => Some(name),
            };
            ("turn", turn_id, caller, text, pcm, rate_hz, output_rate_hz, voice, system, history, tools, tool_choice)
                .into_pyobject(py)?
                .into_any()
        }
        BrainNotice::Cancel { turn_id } => ("cancel", turn_id).into_pyobject(py)?.into_any(),
        BrainNotice::ToolResult { turn_id, call_id, content } => {
            ("tool_result", turn_id, call_id, content).into_pyobject(py)?.into_any()
        }
    })
}

fn turn_of(notice: &BrainNotice) -> u64 {
    match notice {
        BrainNotice::Turn(turn) => turn.turn_id,
        BrainNotice::Cancel { turn_id } | BrainNotice::ToolResult { turn_id, .. } => *turn_id,
    }
}

fn report(py: Python<'_>, report: StreamReport) -> PyResult<Bound<'_, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("stream_id", report.stream_id)?;
    row.set_item("connection_id", report.connection_id)?;
    row.set_item("websocket", report.websocket)?;
    row.set_item("model_id", report.model_id)?;
    row.set_item("region", report.region)?;
    row.set_item("access_key_id", report.access_key_id)?;
    row.set_item("account", report.account)?;
    row.set_item("number", report.number)?;
    row.set_item("events", PyTuple::new(py, report.events)?)?;
    row.set_item("inputs", report.inputs)?;
    row.set_item("outputs", report.outputs)?;
    row.set_item("audio_bytes", report.audio_bytes)?;
    row.set_item("output_audio_bytes", report.output_audio_bytes)?;
    row.set_item("faults", PyTuple::new(py, report.faults)?)?;
    row.set_item("opened_at", report.opened_at)?;
    row.set_item("fault_at", report.fault_at)?;
    row.set_item("ended_at", report.ended_at)?;
    row.set_item("ended", report.ended)?;
    Ok(row)
}

/// As `novasonic.emulator.Fault` writes itself.
fn fault(json: &str) -> PyResult<Fault> {
    Fault::from_json(json).map_err(bad)
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| bad(format!("{name} is {value}, which is no number of seconds")))
}

/// The facade makes a `ConfigError` of it.
fn bad(message: String) -> PyErr {
    PyValueError::new_err(message)
}

fn start_error(error: io::Error) -> PyErr {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => bad(error.to_string()),
        _ => error.into(),
    }
}

/// A panic under one of these locks leaves their data whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
