//! Rust errors as the exceptions of `novasonic.exceptions`.
//!
//! The classes live in Python, because an abi3 wheel for 3.11 cannot subclass exceptions natively. Exceptions are
//! built only where Python already runs: on the caller's thread or in the loop's callback.

use pyo3::{
    prelude::*,
    types::{PyDict, PyType},
};

use crate::error::{Error, ErrorKind};

/// Every kind, for the test that compares both sides.
pub(super) const KINDS: [ErrorKind; 13] = [
    ErrorKind::Config,
    ErrorKind::AudioFormat,
    ErrorKind::Credentials,
    ErrorKind::AccessDenied,
    ErrorKind::Certificate,
    ErrorKind::Connect,
    ErrorKind::Timeout,
    ErrorKind::Throttled,
    ErrorKind::Validation,
    ErrorKind::Service,
    ErrorKind::StreamLost,
    ErrorKind::Closed,
    ErrorKind::Internal,
];

/// Name of the Python class for `kind`. Twin of `novasonic/exceptions.py`; a test compares the two.
pub(super) fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "ConfigError",
        ErrorKind::AudioFormat => "AudioFormatError",
        ErrorKind::Credentials => "CredentialsError",
        ErrorKind::AccessDenied => "AccessDeniedError",
        ErrorKind::Certificate => "CertificateError",
        ErrorKind::Connect => "ConnectError",
        ErrorKind::Timeout => "OperationTimeout",
        ErrorKind::Throttled => "ThrottledError",
        ErrorKind::Validation => "ValidationError",
        ErrorKind::Service => "ServiceError",
        ErrorKind::StreamLost => "StreamLostError",
        ErrorKind::Closed => "SessionClosedError",
        ErrorKind::Internal => "InternalError",
    }
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    Ok(py.import("novasonic.exceptions")?.getattr(name)?.cast_into()?)
}

/// The exception instance for `error`, not raised.
pub(super) fn instance<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("code", &error.code)?;
    fields.set_item("request_id", &error.request_id)?;
    fields.set_item("retryable", error.retryable)?;
    fields.set_item("cure", &error.cure)?;
    class(py, class_name(error.kind))?.call((&error.message,), Some(&fields))
}

pub(super) fn to_py_err(py: Python<'_>, error: &Error) -> PyErr {
    instance(py, error).map_or_else(|failure| failure, PyErr::from_value)
}

/// `what` was made by the process `made_in` and is used in a child of it.
pub(super) fn fork_error(py: Python<'_>, what: &str, made_in: u32) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let fields = PyDict::new(py);
        fields.set_item("code", "forked")?;
        fields.set_item(
            "cure",
            "Create the NovaSonic client after the fork (in gunicorn: in the worker, not under preload_app).",
        )?;
        let message = format!(
            "This {what} was made by process {made_in} and is used in process {}, which is a fork of it: threads and \
             connections do not survive a fork.",
            std::process::id()
        );
        Ok(PyErr::from_value(class(py, "ForkError")?.call((message,), Some(&fields))?))
    };
    build().unwrap_or_else(|failure| failure)
}
