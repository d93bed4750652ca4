//! What an emulator is started with, and what it tells.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;

use super::faults::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadersAt {
    /// Only after the first event: what the service was seen to do (reference §7.3), and the harder case for a client.
    FirstEvent,
    Immediately,
}

/// A turn that a brain in the host language must answer.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    pub turn_id: u64,
    pub stream_id: u64,
    /// Whose stream it is: see [`StreamReport::account`].
    pub account: String,
    /// Typed text, or None where the user spoke.
    pub text: Option<String>,
    /// What the user said (PCM16LE mono at `rate_hz`), empty where the user typed.
    pub pcm: Bytes,
    pub rate_hz: u32,
    pub output_rate_hz: u32,
    pub voice: String,
    pub system: String,
    /// (`user` or `assistant`, text) of the history replayed on this stream and of the turns since, as far as heard.
    pub history: Vec<(String, String)>,
    /// Names of the declared tools.
    pub tools: Vec<String>,
    pub tool_choice: ToolChoice,
}

/// What the client asked the model to call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    #[default]
    Auto,
    /// Some tool, whichever.
    Any,
    /// The one of this name.
    Tool(String),
}

/// Told to the host.
#[derive(Debug, Clone)]
pub enum BrainNotice {
    Turn(TurnRequest),
    /// Barge-in or stream end: cancel the coroutine of this turn.
    Cancel {
        turn_id: u64,
    },
    ToolResult {
        turn_id: u64,
        call_id: u64,
        content: String,
    },
}

/// Done by the host in a turn.
#[derive(Debug, Clone)]
pub enum BrainAction {
    /// What the user said, as the brain understood it; before the first `Say`. Each is a fragment of its own.
    Heard(String),
    /// An event of the service as it stands (`fields` is a JSON object, to which the common ones are added), in its place
    /// between the sentences.
    Event {
        name: String,
        fields: String,
    },
    /// One sentence: text, and PCM16LE mono at the turn's `output_rate_hz` (None: a placeholder tone per word).
    Say {
        text: String,
        pcm: Option<Bytes>,
    },
    Call {
        call_id: u64,
        name: String,
        arguments: String,
    },
    Done,
    Failed(String),
}

/// The door to brains outside Rust. Called from the emulator's thread; must not block.
pub trait BrainHost: Send + Sync {
    fn notice(&self, notice: BrainNotice);
}

#[derive(Clone)]
pub enum BrainChoice {
    /// Each audioInput comes back at once as one audioOutput.
    Echo,
    /// Says back what was heard, after the pause.
    Parrot,
    /// A TOML file of turns.
    Script(PathBuf),
    Host(Arc<dyn BrainHost>),
}

/// Told each line of the log. Called from the emulator's thread; must not block.
pub type LogHook = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
pub struct Settings {
    pub host: IpAddr,
    /// 0: any free port.
    pub port: u16,
    pub http_port: u16,
    /// Without it only loopback addresses may be bound.
    pub allow_remote: bool,
    /// Further names for the certificate, beside localhost, 127.0.0.1 and `::1`.
    pub sans: Vec<String>,
    pub brain: BrainChoice,
    /// Check signatures of requests and events.
    pub verify: bool,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub headers: HeadersAt,
    /// 1.0: real time; 10.0: pauses, speech and clocks ten times faster.
    pub speed: f64,
    /// `SETTINGS_MAX_CONCURRENT_STREAMS` of each connection.
    pub max_streams_per_connection: u32,
    /// "Timed out waiting for audio bytes or interactive content": 55 s.
    pub idle_limit: Duration,
    /// 8 minutes.
    pub stream_limit: Duration,
    pub faults: Vec<Fault>,
    /// Keep what clients send: see [`Recording`].
    pub record: bool,
    /// Gets one line when a stream opens, ends or is refused; called from the emulator's thread, must not block.
    pub on_log: Option<LogHook>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            http_port: 0,
            allow_remote: false,
            sans: Vec::new(),
            brain: BrainChoice::Parrot,
            verify: true,
            access_key_id: "AKIDEMULATORNOTAWS00".into(),
            secret_access_key: "the-emulators-secret-opens-no-door-at-aws".into(),
            headers: HeadersAt::FirstEvent,
            speed: 1.0,
            max_streams_per_connection: 100,
            idle_limit: Duration::from_secs(55),
            stream_limit: Duration::from_mins(8),
            faults: Vec::new(),
            record: false,
            on_log: None,
        }
    }
}

/// One stream as a test wants to see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StreamReport {
    pub stream_id: u64,
    pub connection_id: u64,
    /// It came as a browser's, not over HTTP/2.
    pub websocket: bool,
    pub model_id: String,
    pub region: String,
    pub access_key_id: Option<String>,
    /// What the access key id has behind the emulator's own and `_`; a foreign id as it is; empty where nothing is signed.
    pub account: String,
    /// Counts the account's streams, from 1.
    pub number: u64,
    /// Names of all input events in order, runs of audioInput folded to one.
    pub events: Vec<String>,
    pub audio_bytes: u64,
    pub output_audio_bytes: u64,
    /// How often each event came, and was sent.
    pub inputs: BTreeMap<String, u64>,
    pub outputs: BTreeMap<String, u64>,
    /// Those committed, in order.
    pub faults: Vec<String>,
    /// Unix time in seconds, so that another process can tell how long ago it was.
    pub opened_at: f64,
    /// Of the last fault.
    pub fault_at: Option<f64>,
    pub ended_at: Option<f64>,
    /// None while it lives; then `clean` or what broke (a rule's text, a signature, a reset).
    pub ended: Option<String>,
}
