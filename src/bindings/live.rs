//! What a session and a raw stream have in common at the border: a handle, the descriptor it rings, and answers.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use pyo3::prelude::*;
use tokio::runtime::Handle;

use super::{errors, runtime, wake::Wake};
use crate::{error::Error, session::Notify, transport::Credentials};

pub(super) struct Live<T> {
    // Dropped before the descriptor it notifies.
    pub(super) handle: T,
    pub(super) wake: Arc<Wake>,
}

impl<T> Live<T> {
    pub(super) fn spawn(py: Python<'_>, spawn: impl FnOnce(&Handle, Notify) -> T) -> PyResult<Self> {
        let runtime = runtime::handle(py)?;
        let wake = Wake::new()?;
        let notify = {
            let wake = Arc::clone(&wake);
            Arc::new(move || wake.notify())
        };
        Ok(Self { handle: spawn(&runtime, notify), wake })
    }
}

/// A struct of counters as a dict. Exhaustive on purpose: a new counter must reach Python.
macro_rules! counters {
    ($py:expr, $kind:path { $($name:ident),* $(,)? } = $stats:expr) => {{
        let $kind { $($name),* } = $stats;
        let counters = PyDict::new($py);
        $(counters.set_item(stringify!($name), $name)?;)*
        Ok(counters)
    }};
}
pub(super) use counters;

/// `expires_at` in seconds since the epoch; a time that no clock can show is left out.
pub(super) fn credentials(
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires_at: Option<f64>,
) -> Credentials {
    let expires_at = expires_at
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch));
    Credentials { access_key_id, secret_access_key, session_token, expires_at }
}

/// None, or the exception instance; built on the thread that hands it over, which is attached anyway.
pub(super) struct Outcome(pub(super) Result<(), Error>);

impl<'py> IntoPyObject<'py> for Outcome {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self.0 {
            Ok(()) => Ok(py.None().into_bound(py)),
            Err(error) => errors::instance(py, &error),
        }
    }
}
