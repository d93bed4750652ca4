//! Faults on demand: what they are, whom they meet and when, and the ones that concern a whole connection.
//!
//! One model for the four ways to ask for them: settings, scripts (`[[fault]]`), the command line and the control
//! interface. [`table`] is the one spelling that the latter three share, and Python's `Fault` writes it too.

mod line;
mod schedule;
mod table;

pub(super) use line::{ConnectionFault, Line};
pub(super) use schedule::{Armed, Faults, Schedule};
pub(super) use table::Table;

use std::fmt;

use super::settings::HeadersAt;

/// One fault, and the streams it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    pub place: Place,
    /// None: whoever it is. The emulator's own key is the account "".
    pub account: Option<String>,
    /// The n-th stream of the account (or of all) since the fault was set, from 1; None: each.
    pub stream: Option<u64>,
    /// Committed that often at most; None: always.
    pub times: Option<u64>,
}

/// Where in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// After response headers, which go out at once, and before any event.
    Headers,
    /// After so many input events, and what is said at once in answer; 0: before response headers.
    Input { count: u64, counting: Counting },
    /// After so many output events.
    Output { count: u64, counting: Counting },
}

impl Default for Place {
    fn default() -> Self {
        Self::Input { count: 0, counting: Counting::All }
    }
}

/// Which events count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counting {
    All,
    /// All but `audioInput` and `audioOutput`.
    NonAudio,
    Named(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// An HTTP error in place of response headers.
    Refuse {
        status: u16,
        code: String,
        message: String,
    },
    /// `ServiceQuotaExceededException` where the account has more live streams than this.
    Quota {
        max: usize,
    },
    /// The emulator's clock is ahead by so much, as far as signatures go.
    Skew {
        seconds: i64,
    },
    /// `RST_STREAM`.
    RstStream {
        code: u32,
    },
    /// RST of the whole connection.
    TcpReset,
    /// FIN of the whole connection, no GOAWAY.
    Fin,
    GoAway {
        code: u32,
        /// The connection ends at once; else its streams go on and new ones are refused (code 0 alone).
        hard: bool,
    },
    /// `END_STREAM` half way.
    EndStream,
    Exception {
        name: String,
        message: String,
    },
    /// An unmodelled error: `:message-type: error`.
    Error {
        name: String,
        message: String,
    },
    /// Answers nothing more.
    Stall {
        scope: Scope,
        /// What the client sends is still taken, and thrown away.
        reading: bool,
    },
    /// Before TLS and HTTP/2, so for whole connections of whatever account.
    RefuseConnection {
        /// Accepted and never answered, else reset at once.
        silent: bool,
    },
    /// One more message, whose checksum is wrong.
    BadCrc,
    /// Half a message, then `END_STREAM`.
    Truncated,
    /// One more message that is no event.
    Junk(Junk),
    /// One more event as it stands; `fields` is a JSON object.
    Event {
        name: String,
        fields: String,
    },
    /// One more message with an `:event-type` that is not `chunk`.
    UnknownFrame,
    /// One more `audioOutput`, of so many bytes of base64.
    BigEvent {
        size: usize,
    },
    /// From here on no DATA frame is longer.
    TinyFrames {
        size: usize,
    },
    /// From here on so many bytes a second.
    Drip {
        bytes_per_s: u32,
    },
    /// The next events come twice; None: all.
    Duplicate {
        count: Option<u64>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// HTTP/2 goes on: pings are answered, neighbours served.
    Stream,
    /// Pings stay unanswered, and all streams of the connection are silent.
    Connection,
}

/// Which layer is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Junk {
    /// The chunk is no JSON.
    Json,
    /// Its bytes are no base64.
    Base64,
    /// The event within is no JSON.
    Event,
}

impl Fault {
    /// For everybody, each time.
    pub fn new(kind: FaultKind, place: Place) -> Self {
        Self { kind, place, account: None, stream: None, times: None }
    }

    pub fn after_input(count: u64, kind: FaultKind) -> Self {
        Self::new(kind, Place::Input { count, counting: Counting::All })
    }

    pub fn after_output(count: u64, kind: FaultKind) -> Self {
        Self::new(kind, Place::Output { count, counting: Counting::All })
    }

    /// From the JSON object that [`table`] describes.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let table: Table = serde_json::from_str(json).map_err(|error| format!("fault: {error}"))?;
        table.fault()
    }

    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, FaultKind::Refuse { .. } | FaultKind::Quota { .. })
    }

    /// Of the time before a stream talks.
    pub(super) fn is_of_opening(&self) -> bool {
        self.is_refusal() || matches!(self.kind, FaultKind::RefuseConnection { .. })
    }

    /// A refusal comes in place of response headers, so it cannot come later than they do.
    pub(super) fn check(&self, headers: HeadersAt) -> Result<(), String> {
        let latest = match headers {
            HeadersAt::FirstEvent => 1,
            HeadersAt::Immediately => 0,
        };
        match (&self.kind, &self.place) {
            (FaultKind::RefuseConnection { .. }, Place::Input { count: 0, .. })
                if self.account.is_none() && self.stream.is_none() =>
            {
                Ok(())
            }
            (FaultKind::RefuseConnection { .. }, _) => {
                Err("refuse_connection comes before any request: it has no place, account or stream".into())
            }
            (FaultKind::Refuse { .. } | FaultKind::Quota { .. }, place) => match place {
                Place::Input { count, .. } if *count <= latest => Ok(()),
                _ => Err(format!(
                    "{self}: a refusal is impossible there, since response headers have gone out by then. Use after_input, at \
                     most {latest}."
                )),
            },
            _ => Ok(()),
        }
    }
}

/// As reports tell it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        let (direction, count, counting) = match &self.place {
            Place::Headers => return f.write_str(" after headers"),
            Place::Input { count, counting } => ("input", count, counting),
            Place::Output { count, counting } => ("output", count, counting),
        };
        match (count, counting) {
            (0, _) => Ok(()),
            (_, Counting::All) => write!(f, " after {direction} {count}"),
            (_, Counting::NonAudio) => write!(f, " after {direction} {count} (non-audio)"),
            (_, Counting::Named(name)) => write!(f, " after {direction} {count} ({name})"),
        }
    }
}

impl Counting {
    fn counts(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::NonAudio => name != "audioInput" && name != "audioOutput",
            Self::Named(wanted) => wanted == name,
        }
    }
}

#[cfg(test)]
mod tests;
