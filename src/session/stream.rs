//! One stream to the service as the conversation uses it: order machine, uplink and downlink together.
//!
//! A conversation outlives its streams, so whatever ends with a stream lives here, and a hand-over replaces one value.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::asides::{Prompt, ToolResult};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{InputEvent, OrderMachine, Step, StreamConfig, encode},
    transport::{BoxFuture, Downlink, OpenRequest, Transport},
};

/// A microphone sends every 20 to 250 ms. After a longer gap none is running, and the model answers no text on an audio
/// block that sleeps (protocol reference §3).
const RECENT_AUDIO: Duration = Duration::from_millis(500);

pub(super) struct Stream {
    /// Before the uplink, since fields drop in this order: a stream given up half way must be reset, not ended.
    downlink: Receiving,
    uplink: Uplink,
    /// Encoded and legal, in order, not yet taken by the transport.
    outgoing: VecDeque<Outgoing>,
    machine: OrderMachine,
    /// Kept beyond the downlink, for the error that ends it.
    request_id: Option<String>,
    last_audio: Option<Duration>,
}

enum Uplink {
    Open(mpsc::Sender<Bytes>),
    /// We have ended our input.
    Ended,
    /// The transport takes nothing more; its downlink will say why.
    Lost,
}

enum Receiving {
    Headers(BoxFuture<Result<Downlink>>),
    Events(Downlink),
    Over,
}

struct Outgoing {
    json: Bytes,
    /// Audio in it, whoever made it.
    pcm_bytes: usize,
    sent: Sent,
}

/// What the transport has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// So many bytes of the caller's audio.
    Audio(usize),
    /// So many bytes of silence in the place of audio that did not come.
    Silence(usize),
    /// The last event of a text's block.
    Text(String),
    /// The last event of a prompt's block.
    Prompt(Prompt),
    /// The last event of a tool result's block.
    ToolResult {
        id: String,
        ok: bool,
    },
    Other,
}

/// What happened on the stream.
pub(super) enum Progress {
    Sent {
        what: Sent,
        pcm_bytes: usize,
    },
    UplinkLost,
    Opened,
    Received(Bytes),
    /// The peer ended its side; nothing follows.
    Ended,
    Failed(Error),
}

impl Stream {
    /// Opens a stream whose opening events are ready to be sent, before any headers.
    pub(super) fn open(transport: &dyn Transport, request: OpenRequest, config: StreamConfig) -> Result<Self> {
        let mut machine = OrderMachine::new(config, Box::new(|| uuid::Uuid::new_v4().to_string()));
        let mut opening = Vec::new();
        machine.step(Step::Open, &mut opening).map_err(|illegal| {
            Error::new(ErrorKind::Config, "illegal_opening", format!("The conversation cannot be opened: {illegal}."))
        })?;
        let parts = transport.open(request);
        let mut stream = Self {
            downlink: Receiving::Headers(parts.headers),
            uplink: Uplink::Open(parts.uplink),
            outgoing: VecDeque::new(),
            machine,
            request_id: None,
            last_audio: None,
        };
        stream.queue(&opening, Sent::Other);
        Ok(stream)
    }

    /// Everything given so far has been taken, and more may be given.
    pub(super) fn wants_input(&self) -> bool {
        self.outgoing.is_empty() && matches!(self.uplink, Uplink::Open(_))
    }

    pub(super) fn audio(&mut self, pcm: Bytes, now: Duration) -> Result<()> {
        let bytes = pcm.len();
        self.last_audio = Some(now);
        self.step(Step::Audio(pcm), Sent::Audio(bytes))
    }

    pub(super) fn silence(&mut self, pcm: Bytes, now: Duration) -> Result<()> {
        let bytes = pcm.len();
        self.last_audio = Some(now);
        self.step(Step::Audio(pcm), Sent::Silence(bytes))
    }

    /// One whole block, primed with silence where no audio runs.
    pub(super) fn text(&mut self, text: String, now: Duration) -> Result<()> {
        self.step(Step::Text { text: text.clone(), prime: !self.audio_runs(now) }, Sent::Text(text))
    }

    /// As [`Self::text`]; the difference is the conversation's.
    pub(super) fn prompt(&mut self, prompt: Prompt, now: Duration) -> Result<()> {
        let step = Step::Text { text: prompt.text.clone(), prime: !self.audio_runs(now) };
        self.step(step, Sent::Prompt(prompt))
    }

    fn audio_runs(&self, now: Duration) -> bool {
        self.last_audio.is_some_and(|last| now.saturating_sub(last) <= RECENT_AUDIO)
    }

    pub(super) fn tool_result(&mut self, ToolResult { id, json, ok }: ToolResult) -> Result<()> {
        self.step(Step::ToolResult { tool_use_id: id.clone(), result: json }, Sent::ToolResult { id, ok })
    }

    /// The closing events; [`Self::end_input`] follows once they are taken.
    pub(super) fn close(&mut self) -> Result<()> {
        self.step(Step::Close, Sent::Other)
    }

    pub(super) fn end_input(&mut self) {
        self.uplink = Uplink::Ended;
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    fn step(&mut self, step: Step, sent: Sent) -> Result<()> {
        let mut events = Vec::new();
        self.machine.step(step, &mut events).map_err(|illegal| {
            // The queue gives steps in a legal order only, so this is ours to mend.
            Error::new(ErrorKind::Internal, "illegal_step", format!("A step was out of order: {illegal}."))
        })?;
        self.queue(&events, sent);
        Ok(())
    }

    /// `sent` stands for all of `events` and is reported with the last.
    fn queue(&mut self, events: &[InputEvent], sent: Sent) {
        self.outgoing.extend(events.iter().map(|event| Outgoing {
            json: encode(event).into(),
            pcm_bytes: match event {
                InputEvent::AudioInput { pcm, .. } => pcm.len(),
                _ => 0,
            },
            sent: Sent::Other,
        }));
        if let Some(last) = self.outgoing.back_mut() {
            last.sent = sent;
        }
    }

    /// Writes and reads, whichever comes first; a blocked uplink does not hold up reading, nor the other way round.
    /// Cancel-safe. With `may_read` false it leaves events to the transport.
    pub(super) async fn next(&mut self, may_read: bool) -> Progress {
        let Self { uplink, outgoing, downlink, request_id, .. } = self;
        let progress = tokio::select! {
            written = write(uplink, outgoing) => written,
            read = downlink.read(may_read) => read,
        };
        match (&progress, downlink) {
            (Progress::UplinkLost, _) => {
                *uplink = Uplink::Lost;
                outgoing.clear();
            }
            (Progress::Opened, Receiving::Events(downlink)) => {
                *request_id = downlink.request_id().map(str::to_owned);
            }
            _ => {}
        }
        progress
    }
}

/// Pending for ever while there is nothing to write. Cancel-safe: an event leaves the queue when it has its place.
async fn write(uplink: &Uplink, outgoing: &mut VecDeque<Outgoing>) -> Progress {
    let Uplink::Open(sender) = uplink else { return std::future::pending().await };
    if outgoing.is_empty() {
        return std::future::pending().await;
    }
    match sender.reserve().await {
        Ok(place) => match outgoing.pop_front() {
            Some(Outgoing { json, pcm_bytes, sent }) => {
                place.send(json);
                Progress::Sent { what: sent, pcm_bytes }
            }
            None => Progress::Sent { what: Sent::Other, pcm_bytes: 0 },
        },
        Err(_) => Progress::UplinkLost,
    }
}

impl Receiving {
    async fn read(&mut self, may_read: bool) -> Progress {
        let progress = match self {
            Self::Headers(headers) => match headers.await {
                Ok(downlink) => {
                    *self = Self::Events(downlink);
                    return Progress::Opened;
                }
                Err(error) => Progress::Failed(error),
            },
            Self::Events(downlink) if may_read => match downlink.recv().await {
                Ok(Some(json)) => return Progress::Received(json),
                Ok(None) => Progress::Ended,
                Err(error) => Progress::Failed(error),
            },
            Self::Events(_) | Self::Over => return std::future::pending().await,
        };
        *self = Self::Over;
        progress
    }
}
