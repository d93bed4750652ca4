//! One stream to the service as the conversation uses it: order machine, uplink and downlink together.
//!
//! A conversation outlives its streams, so whatever ends with a stream lives here, and a hand-over replaces one value.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    asides::Prompt,
    duplex::{Duplex, Moved},
};
use crate::{
    conversation::Answer,
    error::{Error, ErrorKind, Result},
    protocol::{IllegalStep, InputEvent, Message, OrderMachine, Step, StreamConfig, encode},
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
    /// What it was opened with.
    config: Arc<StreamConfig>,
    last_audio: Option<Duration>,
    position: u64,
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
    /// The same of what the conversation itself has to say.
    Note(String),
    Other,
}

impl Stream {
    /// Opens a stream as far as it can be without knowing what was said: it waits for [`Self::begin`].
    pub(super) fn prepare(transport: &dyn Transport, request: OpenRequest, config: Arc<StreamConfig>) -> Result<Self> {
        let mut machine = OrderMachine::new((*config).clone(), Box::new(|| uuid::Uuid::new_v4().to_string()));
        let mut opening = Vec::new();
        machine.step(Step::Open, &mut opening).map_err(|illegal| illegal_opening(&illegal))?;
        let duplex = Duplex::open(transport, request);
        let mut stream = Self { duplex, outgoing: VecDeque::new(), machine, config, last_audio: None, position: 0 };
        stream.queue(&opening, Sent::Other);
        Ok(stream)
    }

    /// Tells the conversation so far and opens the audio block.
    pub(super) fn begin(&mut self, history: Vec<Message>) -> Result<()> {
        let mut events = Vec::new();
        self.machine.step(Step::Begin(history), &mut events).map_err(|illegal| illegal_opening(&illegal))?;
        self.queue(&events, Sent::Other);
        Ok(())
    }

    /// Bytes of PCM given to the stream, the silence of ours included: what the service's offsets count.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn is_open(&self) -> bool {
        self.duplex.is_open()
    }

    pub(super) fn credentials_expire_at(&self) -> Option<SystemTime> {
        self.duplex.credentials_expire_at()
    }

    pub(super) fn config(&self) -> &Arc<StreamConfig> {
        &self.config
    }

    /// The text, prompt or note that the transport has not taken to its end.
    pub(super) fn take_unwritten(&mut self) -> Option<Sent> {
        self.outgoing
            .drain(..)
            .map(|(_, written)| written.sent)
            .find(|sent| matches!(sent, Sent::Text(_) | Sent::Prompt(_) | Sent::Note(_)))
    }

    pub(super) fn takes_input(&self) -> bool {
        self.duplex.takes_input()
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

    /// As [`Self::text`], of the conversation itself.
    pub(super) fn note(&mut self, text: String, now: Duration) -> Result<()> {
        self.step(Step::Text { text: text.clone(), prime: !self.audio_runs(now) }, Sent::Note(text))
    }

    /// Audio that an earlier stream was given too.
    pub(super) fn again(&mut self, pcm: Bytes, now: Duration) -> Result<()> {
        self.last_audio = Some(now);
        self.step(Step::Audio(pcm), Sent::Other)
    }

    /// What an earlier stream was asked and did not answer.
    pub(super) fn ask(&mut self, text: String, now: Duration) -> Result<()> {
        self.step(Step::Text { text, prime: !self.audio_runs(now) }, Sent::Other)
    }

    pub(super) fn tool_result(&mut self, answer: Answer) -> Result<()> {
        self.step(Step::ToolResult { tool_use_id: answer.id, result: answer.json }, Sent::Other)
    }

    /// The closing events; [`Self::end_input`] follows once they are taken.
    pub(super) fn close(&mut self) -> Result<()> {
        self.step(Step::Close, Sent::Other)
    }

    pub(super) fn end_input(&mut self) {
        self.duplex.end_input();
    }

    /// The closing events were given.
    pub(super) fn is_closed(&self) -> bool {
        self.machine.is_closed()
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
            self.position += pcm_bytes as u64;
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

fn illegal_opening(illegal: &IllegalStep) -> Error {
    Error::new(ErrorKind::Config, "illegal_opening", format!("The conversation cannot be opened: {illegal}."))
}
