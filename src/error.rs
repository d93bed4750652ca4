//! One error for the whole client side, classed by what the caller can do about it.
//!
//! Python's tree (`python/novasonic/exceptions.py`) mirrors [`ErrorKind`] class by class; a test compares the two.

use std::{fmt, time::Duration};

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

/// What a conversation does about an error by itself, where it may. What the person would have to say twice is never
/// the price of a restart: history and the audio of the open utterance go along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// A new stream with the history, the first time at once, then with back-off.
    Restart,
    /// As `Restart`, but once in a row: the history may be what the service objects to, and it does not say.
    RestartOnce,
    /// Throttled or out of quota: wait longer before a new stream.
    BackOff,
    /// The history is too long: trim the oldest and restart, once.
    TrimHistory,
    /// The history itself is refused: restart without it, once. Where there is none, as `Never`.
    WithoutHistory,
    /// The caller must mend something first.
    Never,
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
    recovery: Recovery,
}

/// Code of the service's end of a stream that lived its eight minutes. A generation that is stuck ends in the same
/// words: only the age of the stream tells them apart.
pub const STREAM_LIMIT: &str = "stream_limit";

/// Code of the service's end of a stream that it heard nothing on.
pub const IDLE: &str = "idle";

/// Code of a peer that let go of a connection before it spoke HTTP/2: it may take the next.
pub const CLOSED_EARLY: &str = "closed_early";

/// Code of a peer that does not answer any more.
pub const PEER_SILENT: &str = "peer_silent";

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        let recovery = Recovery::of(kind);
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            request_id: None,
            retryable: recovery.is_retry(),
            cure: None,
            recovery,
        }
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

    /// Whether the same call may work later. Changes what the conversation does, where the two disagree.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        match (retryable, self.recovery) {
            (true, Recovery::Never) => self.recovery = Recovery::Restart,
            (false, recovery) if recovery.is_retry() => self.recovery = Recovery::Never,
            _ => {}
        }
        self
    }

    /// For what the kind alone does not tell; also sets `retryable`.
    #[must_use]
    pub fn recovering(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self.retryable = recovery.is_retry();
        self
    }

    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The stream ended because it had to, not because anything failed: the next one needs no back-off.
    pub fn is_planned_end(&self) -> bool {
        self.code == STREAM_LIMIT || self.code == IDLE
    }

    /// How long the service says that a stream may be idle, if this is an idle end that tells.
    pub fn idle_limit(&self) -> Option<Duration> {
        if self.code != IDLE {
            return None;
        }
        let (before, _) = self.message.split_once(" seconds")?;
        let seconds = before.rsplit(|other: char| !other.is_ascii_digit()).next()?;
        seconds.parse().ok().map(Duration::from_secs)
    }
}

impl Recovery {
    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Service | ErrorKind::StreamLost => Self::Restart,
            ErrorKind::Throttled => Self::BackOff,
            ErrorKind::Config
            | ErrorKind::AudioFormat
            | ErrorKind::Credentials
            | ErrorKind::AccessDenied
            | ErrorKind::Certificate
            | ErrorKind::Validation
            | ErrorKind::Closed
            | ErrorKind::Internal => Self::Never,
        }
    }

    /// The same call may work later, with nothing changed.
    fn is_retry(self) -> bool {
        matches!(self, Self::Restart | Self::BackOff)
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

#[cfg(test)]
mod tests;
