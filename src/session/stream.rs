//! One stream to the service as the conversation uses it: order machine, uplink and downlink together.
//!
//! A conversation outlives its streams, so whatever ends with a stream lives here, and a hand-over replaces one value.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    asides::{Prompt, ToolResult},
    duplex::{Duplex, Moved},
};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{InputEvent, OrderMachine, Step, StreamConfig, encode},
    transport::{OpenRequest, Transport},
};

/// A microphone sends every 20 to 250 ms. After a longer gap none is running, and the model answers no text on an audio
/// block that sleeps (protocol reference §3).
const RECENT_AUDIO: Duration = Duration::from_millis(500);

pub(super) struct Stream {
    duplex: Duplex,
    /// Encoded and legal, in order, not yet taken by the transport.
    outgoing: VecDeque<(Bytes, Written)>,
    machine: OrderMachine,
    last_audio: Option<Duration>,
}

/// One event, as the conversation hears of it once the transport has taken it.
pub(super) struct Written {
    /// Audio in it, whoever made it.
    pub(super) pcm_bytes: usize,
    pub(super) sent: Sent,
}

/// What is complete with an event.
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

impl Stream {
    /// Opens a stream whose opening events are ready to be sent, before any headers.
    pub(super) fn open(transport: &dyn Transport, request: OpenRequest, config: StreamConfig) -> Result<Self> {
        let mut machine = OrderMachine::new(config, Box::new(|| uuid::Uuid::new_v4().to_string()));
        let mut opening = Vec::new();
        machine.step(Step::Open, &mut opening).map_err(|illegal| {
            Error::new(ErrorKind::Config, "illegal_opening", format!("The conversation cannot be opened: {illegal}."))
        })?;
        let duplex = Duplex::open(transport, request);
        let mut stream = Self { duplex, outgoing: VecDeque::new(), machine, last_audio: None };
        stream.queue(&opening, Sent::Other);
        Ok(stream)
    }

    /// Everything given so far has been taken, and more may be given.
    pub(super) fn wants_input(&self) -> bool {
        self.outgoing.is_empty() && self.duplex.takes_input()
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
        self.duplex.end_input();
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.duplex.request_id()
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
        self.outgoing.extend(events.iter().map(|event| {
            let pcm_bytes = match event {
                InputEvent::AudioInput { pcm, .. } => pcm.len(),
                _ => 0,
            };
            (encode(event).into(), Written { pcm_bytes, sent: Sent::Other })
        }));
        if let Some((_, last)) = self.outgoing.back_mut() {
            last.sent = sent;
        }
    }

    /// As [`Duplex::next`].
    pub(super) async fn next(&mut self, may_read: bool) -> Moved<Written> {
        let Self { duplex, outgoing, .. } = self;
        duplex.next(!outgoing.is_empty(), || outgoing.pop_front(), may_read).await
    }
}
