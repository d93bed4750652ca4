//! A fault as one flat table: `[[fault]]` of a script, JSON of the control interface, `--fault`, and Python's `Fault`.
//!
//! ```toml
//! [[fault]]
//! kind = "rst_stream"           # see `KINDS`
//! after_output = 12             # or after_input = 12, or after_headers = true; left out: before headers
//! counting = "audioOutput"      # which events count: "all" (unless told), "non-audio", or one name
//! account = "anna"              # whose streams: the part of the access key id behind the emulator's own and "_"
//! stream = 1                    # only the first of them since the fault was set
//! times = 1                     # committed once
//! code = "CANCEL"               # what the kind takes
//! ```

use h2::Reason;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Counting, Fault, FaultKind, Junk, Place, Scope};

/// The most a fault may send at once.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// Each kind with the keys that are its own.
const KINDS: &[(&str, &[&str])] = &[
    ("refuse", &["status", "name", "message"]),
    ("throttle", &["message"]),
    ("quota", &["max"]),
    ("skew", &["seconds"]),
    ("refuse_connection", &["form"]),
    ("no_headers", &[]),
    ("rst_stream", &["code"]),
    ("tcp_reset", &[]),
    ("fin", &[]),
    ("goaway", &["code", "hard"]),
    ("end_stream", &[]),
    ("exception", &["name", "message"]),
    ("error", &["name", "message"]),
    ("stall", &["scope", "reading"]),
    ("bad_crc", &[]),
    ("truncated", &[]),
    ("junk", &["form"]),
    ("event", &["name", "fields"]),
    ("unknown_frame", &[]),
    ("big_event", &["size"]),
    ("tiny_frames", &["size"]),
    ("drip", &["rate"]),
    ("duplicate", &["count"]),
];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::emulator) struct Table {
    kind: String,
    after_input: Option<u64>,
    after_output: Option<u64>,
    #[serde(default)]
    after_headers: bool,
    counting: Option<String>,
    account: Option<String>,
    stream: Option<u64>,
    times: Option<u64>,

    status: Option<u32>,
    name: Option<String>,
    message: Option<String>,
    max: Option<usize>,
    seconds: Option<i64>,
    form: Option<String>,
    code: Option<Code>,
    hard: Option<bool>,
    scope: Option<String>,
    reading: Option<bool>,
    size: Option<usize>,
    rate: Option<u32>,
    count: Option<u64>,
    fields: Option<Map<String, Value>>,
}

/// Of HTTP/2, by number or by name (RFC 9113, section 7).
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Code {
    Number(u32),
    Name(String),
}

impl Code {
    fn number(&self) -> Result<u32, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => (0..=Reason::HTTP_1_1_REQUIRED.into())
                .find(|code| format!("{:?}", Reason::from(*code)) == *name)
                .ok_or_else(|| format!("HTTP/2 has no error code {name:?}")),
        }
    }
}

impl Table {
    /// What is wrong is told by kind and key.
    pub(in crate::emulator) fn fault(mut self) -> Result<Fault, String> {
        let kind = std::mem::take(&mut self.kind);
        let wrong = |message: String| format!("fault {kind:?}: {message}");
        let Some((_, keys)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no fault is called {kind:?}. There are {}.", names.join(", ")));
        };
        if let Some(key) = self.own_keys().into_iter().find(|key| !keys.contains(key)) {
            return Err(wrong(format!("it takes no {key}")));
        }
        let place = self.place().map_err(wrong)?;
        if self.stream == Some(0) || self.times == Some(0) {
            return Err(wrong("stream and times count from 1".into()));
        }
        let (account, stream, times) = (self.account.take(), self.stream, self.times);
        let kind = self.kind(&kind).map_err(wrong)?;
        Ok(Fault { kind, place, account, stream, times })
    }

    /// Those given that only some kinds take.
    fn own_keys(&self) -> Vec<&'static str> {
        let given = [
            ("status", self.status.is_some()),
            ("name", self.name.is_some()),
            ("message", self.message.is_some()),
            ("max", self.max.is_some()),
            ("seconds", self.seconds.is_some()),
            ("form", self.form.is_some()),
            ("code", self.code.is_some()),
            ("hard", self.hard.is_some()),
            ("scope", self.scope.is_some()),
            ("reading", self.reading.is_some()),
            ("size", self.size.is_some()),
            ("rate", self.rate.is_some()),
            ("count", self.count.is_some()),
            ("fields", self.fields.is_some()),
        ];
        given.into_iter().filter_map(|(key, is_given)| is_given.then_some(key)).collect()
    }

    fn place(&mut self) -> Result<Place, String> {
        let counting = match self.counting.take() {
            None => Counting::All,
            Some(name) => match name.as_str() {
                "all" => Counting::All,
                "non-audio" => Counting::NonAudio,
                _ => Counting::Named(name),
            },
        };
        match (self.after_headers, self.after_input, self.after_output) {
            (true, None, None) => Ok(Place::Headers),
            (false, count, None) => Ok(Place::Input { count: count.unwrap_or(0), counting }),
            (false, None, Some(count)) => Ok(Place::Output { count, counting }),
            _ => Err("give one of after_input, after_output and after_headers".into()),
        }
    }

    fn kind(self, kind: &str) -> Result<FaultKind, String> {
        let needs = |key: &str| format!("it needs {key}");
        let message = self.message.unwrap_or_default();
        Ok(match kind {
            "refuse" => FaultKind::Refuse {
                status: self
                    .status
                    .and_then(|status| u16::try_from(status).ok())
                    .filter(|status| (400..600).contains(status))
                    .ok_or_else(|| needs("status: an HTTP status from 400 to 599"))?,
                code: self.name.ok_or_else(|| needs("name: the error's, as ThrottlingException"))?,
                message,
            },
            "throttle" => FaultKind::Refuse {
                status: 429,
                code: "ThrottlingException".into(),
                message: if message.is_empty() {
                    "Too many requests, please wait before trying again.".into()
                } else {
                    message
                },
            },
            "quota" => FaultKind::Quota { max: self.max.ok_or_else(|| needs("max"))? },
            "skew" => FaultKind::Skew { seconds: self.seconds.ok_or_else(|| needs("seconds"))? },
            "refuse_connection" => FaultKind::RefuseConnection {
                silent: choose("form", self.form.as_deref().unwrap_or("reset"), &[("reset", false), ("silent", true)])?,
            },
            "no_headers" => FaultKind::Stall { scope: Scope::Stream, reading: true },
            "rst_stream" => FaultKind::RstStream {
                code: self.code.map_or(Ok(Reason::INTERNAL_ERROR.into()), |code| code.number())?,
            },
            "tcp_reset" => FaultKind::TcpReset,
            "fin" => FaultKind::Fin,
            "goaway" => {
                let code = self.code.map_or(Ok(0), |code| code.number())?;
                let hard = self.hard.unwrap_or(code != 0);
                if code != 0 && !hard {
                    return Err("only code 0 lets streams go on".into());
                }
                FaultKind::GoAway { code, hard }
            }
            "end_stream" => FaultKind::EndStream,
            "exception" => FaultKind::Exception { name: self.name.ok_or_else(|| needs("name"))?, message },
            "error" => FaultKind::Error { name: self.name.ok_or_else(|| needs("name"))?, message },
            "stall" => FaultKind::Stall {
                scope: choose(
                    "scope",
                    self.scope.as_deref().unwrap_or("stream"),
                    &[("stream", Scope::Stream), ("connection", Scope::Connection)],
                )?,
                reading: self.reading.unwrap_or(false),
            },
            "bad_crc" => FaultKind::BadCrc,
            "truncated" => FaultKind::Truncated,
            "junk" => FaultKind::Junk(choose(
                "form",
                self.form.as_deref().unwrap_or("json"),
                &[("json", Junk::Json), ("base64", Junk::Base64), ("event", Junk::Event)],
            )?),
            "event" => FaultKind::Event {
                name: self.name.ok_or_else(|| needs("name"))?,
                fields: Value::from(self.fields.unwrap_or_default()).to_string(),
            },
            "unknown_frame" => FaultKind::UnknownFrame,
            "big_event" => FaultKind::BigEvent { size: within("size", self.size.unwrap_or(4 << 20), MAX_EVENT_BYTES)? },
            "tiny_frames" => FaultKind::TinyFrames { size: within("size", self.size.unwrap_or(1), 16_384)? },
            "drip" => FaultKind::Drip {
                bytes_per_s: self.rate.filter(|rate| *rate > 0).ok_or_else(|| needs("rate: bytes a second"))?,
            },
            _ => FaultKind::Duplicate { count: self.count },
        })
    }
}

fn choose<T: Copy>(key: &str, given: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("{key} is {given:?}, not {}", names.join(" or "))
    })
}

fn within(key: &str, value: usize, most: usize) -> Result<usize, String> {
    if (1..=most).contains(&value) { Ok(value) } else { Err(format!("{key} is {value}, outside 1 to {most}")) }
}

impl FaultKind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Refuse { .. } => "refuse",
            Self::Quota { .. } => "quota",
            Self::Skew { .. } => "skew",
            Self::RefuseConnection { .. } => "refuse_connection",
            Self::RstStream { .. } => "rst_stream",
            Self::TcpReset => "tcp_reset",
            Self::Fin => "fin",
            Self::GoAway { .. } => "goaway",
            Self::EndStream => "end_stream",
            Self::Exception { .. } => "exception",
            Self::Error { .. } => "error",
            Self::Stall { .. } => "stall",
            Self::BadCrc => "bad_crc",
            Self::Truncated => "truncated",
            Self::Junk(_) => "junk",
            Self::Event { .. } => "event",
            Self::UnknownFrame => "unknown_frame",
            Self::BigEvent { .. } => "big_event",
            Self::TinyFrames { .. } => "tiny_frames",
            Self::Drip { .. } => "drip",
            Self::Duplicate { .. } => "duplicate",
        }
    }
}
