//! One error for the whole client side, classed by what the caller can do about it.
//!
//! Python's tree (`python/novasonic/exceptions.py`) mirrors [`ErrorKind`] class by class; a test compares the two.

use std::fmt;

/// What the caller can do: each kind becomes one Python exception class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A setting is wrong or missing: fix the configuration.
    Config,
    /// PCM that cannot be sent: odd length, too long, wrong type.
    AudioFormat,
    /// No credentials were found, or their provider failed.
    Credentials,
    /// The service refused who we are or what we may do (403, bad signature).
    AccessDenied,
    /// The peer's certificate is not trusted.
    Certificate,
    /// No connection: refused, unreachable, DNS, not HTTP/2.
    Connect,
    /// A bound in `Timeouts` ran out.
    Timeout,
    /// Throttling or quota: back off and try again.
    Throttled,
    /// The service refused an event or a request (`ValidationException`).
    Validation,
    /// The service failed (5xx, model errors).
    Service,
    /// The stream ended before our own close: reset, FIN or END_STREAM.
    StreamLost,
    /// The session has ended; nothing can be sent any more.
    Closed,
    /// A defect of this library.
    Internal,
}

/// An error with everything Python's `NovaSonicError` carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    /// The service's own exception name (`ThrottlingException`) or a short `snake_case` code of ours.
    pub code: String,
    /// What happened and where. Never holds audio, prompt text or credentials.
    pub message: String,
    pub request_id: Option<String>,
    pub retryable: bool,
    /// What to do about it, one sentence.
    pub cure: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        let retryable = matches!(
            kind,
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Throttled | ErrorKind::Service | ErrorKind::StreamLost
        );
        Self { kind, code: code.into(), message: message.into(), request_id: None, retryable, cure: None }
    }

    #[must_use]
    pub fn with_cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cure) = &self.cure {
            write!(f, " {cure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
