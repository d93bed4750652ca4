//! The task that owns a conversation: it writes what the caller queued, reads what the service says, and ends once.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{
    SessionConfig,
    input::Taken,
    lane::LaneCredentials,
    shared::{End, Shared},
    stream::{Progress, Sent, Stream},
};
use crate::{
    conversation::{Conversation, Event},
    error::{Error, ErrorKind, Result},
    protocol::decode,
    transport::{BoxFuture, Transport},
};

/// Runs one session to its end. A panic in it, or a runtime that is shut down under it, ends it as well.
pub(super) async fn run(shared: Arc<Shared>, transport: Arc<dyn Transport>, config: SessionConfig) {
    let last_word = LastWord(shared.clone());
    let live = async move {
        let mut actor = Actor::new(shared, config);
        actor.live(&*transport).await
        // The actor goes here, and its stream with it, before the end is announced.
    };
    let end = AssertUnwindSafe(live).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(session = last_word.0.id, "a session's task panicked");
        End::failed(
            Error::new(ErrorKind::Internal, "panic", "A defect in novasonic ended this session; others go on.")
                .with_cure("Please report it with the traceback printed on stderr."),
        )
    });
    last_word.0.end(end);
}

/// Ends the session if its task is dropped half way, as a runtime does that shuts down.
struct LastWord(Arc<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.end(End::failed(
            Error::new(ErrorKind::Closed, "runtime_shut_down", "The runtime was shut down under this session.")
                .with_cure("Close sessions before the program ends."),
        ));
    }
}

/// Why the actor wakes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Open,
    Close,
    /// The transport stopped taking input and its downlink never said why.
    UplinkLost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Not,
    /// The caller has closed; what is queued goes first.
    Flushing,
    /// The closing events are on their way.
    Ending,
}

struct Actor {
    shared: Arc<Shared>,
    config: SessionConfig,
    conversation: Conversation,
    stream: Option<Stream>,
    closing: Closing,
    alarm: Option<(Alarm, BoxFuture<()>)>,
    batch: Vec<Event>,
}

impl Actor {
    fn new(shared: Arc<Shared>, config: SessionConfig) -> Self {
        Self {
            conversation: Conversation::new(config.stream.output_rate.hz()),
            shared,
            config,
            stream: None,
            closing: Closing::Not,
            alarm: None,
            batch: Vec::new(),
        }
    }

    async fn live(&mut self, transport: &dyn Transport) -> End {
        let end = match self.open_stream(transport) {
            Ok(()) => self.serve().await,
            Err(error) => End::failed(error),
        };
        self.conversation.on_stream_end(self.shared.at(), &mut self.batch);
        self.publish();
        end
    }

    fn open_stream(&mut self, transport: &dyn Transport) -> Result<()> {
        self.set_alarm(Alarm::Open, self.config.timeouts.open);
        self.stream = Some(Stream::open(
            transport,
            self.config.model_id.clone(),
            self.config.stream.clone(),
            Arc::new(LaneCredentials(self.shared.lane.clone())),
            self.config.timeouts.open,
        )?);
        Ok(())
    }

    fn set_alarm(&mut self, alarm: Alarm, after: Duration) {
        let clock = &self.shared.clock;
        self.alarm = Some((alarm, clock.sleep_until(clock.now().saturating_add(after))));
    }

    async fn serve(&mut self) -> End {
        loop {
            if self.shared.commands.abort.load(Ordering::Acquire) {
                return End::closed();
            }
            self.obey();
            if let Err(error) = self.fill_uplink() {
                return End::failed(error);
            }
            let may_read = !self.shared.output.is_full();
            let progress = tokio::select! {
                () = self.shared.wake.notified() => continue,
                alarm = ring(&mut self.alarm) => return self.on_alarm(alarm),
                progress = next(self.stream.as_mut(), may_read) => progress,
            };
            if let Some(end) = self.on_progress(progress) {
                return end;
            }
        }
    }

    /// Does what the handle's flags ask for.
    fn obey(&mut self) {
        let commands = &self.shared.commands;
        if commands.interrupt.swap(false, Ordering::AcqRel) {
            self.conversation.interrupt(self.shared.at(), &mut self.batch);
            self.publish();
        }
        if self.closing == Closing::Not && self.shared.commands.close.load(Ordering::Acquire) {
            self.closing = Closing::Flushing;
            self.set_alarm(Alarm::Close, self.config.timeouts.close);
        }
    }

    /// Gives the stream the next piece once it has written the last. What waits stays in the caller's queue, where it
    /// counts against its bound.
    fn fill_uplink(&mut self) -> Result<()> {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.wants_input()) else { return Ok(()) };
        let now = self.shared.clock.now();
        let (taken, room) = self.shared.input.pop();
        self.shared.tell(room);
        match (taken, self.closing) {
            (Some(Taken::Audio(pcm)), _) => stream.audio(pcm, now),
            (Some(Taken::Text(text)), _) => stream.text(text, now),
            (None, Closing::Not) => Ok(()),
            (None, Closing::Flushing) => {
                self.closing = Closing::Ending;
                stream.close()
            }
            (None, Closing::Ending) => {
                stream.end_input();
                Ok(())
            }
        }
    }

    fn on_progress(&mut self, progress: Progress) -> Option<End> {
        match progress {
            Progress::Sent(sent) => self.on_sent(sent),
            Progress::Opened => {
                if self.closing == Closing::Not {
                    self.alarm = None;
                }
                self.shared.stream_opened();
            }
            Progress::Received(json) => return self.on_received(&json).err().map(End::failed),
            // During the opening its own bound holds, and while closing the close's.
            Progress::UplinkLost if self.alarm.is_none() => {
                self.set_alarm(Alarm::UplinkLost, self.config.timeouts.close);
            }
            Progress::UplinkLost => {}
            Progress::Ended => {
                return Some(self.end_or_closed(stream_lost("The service ended the stream before it was closed.")));
            }
            Progress::Failed(error) => {
                // Whoever waits for the opening hears what it met, even in a close, which itself is silent.
                self.shared.opening_failed(error.clone());
                return Some(self.end_or_closed(error));
            }
        }
        None
    }

    fn on_sent(&mut self, sent: Sent) {
        match sent {
            Sent::Audio(bytes) => self.shared.counters.sent(bytes),
            Sent::Text(text) => {
                self.conversation.on_typed(text, self.shared.at(), &mut self.batch);
                self.publish();
            }
            Sent::Other => {}
        }
    }

    /// An event we do not know survives as one; a chunk that is no event at all ends the session, since the SDK gives
    /// its stream up over one layer further out and nobody could say what was lost.
    fn on_received(&mut self, json: &Bytes) -> Result<()> {
        let event = decode(json).map_err(|error| {
            Error::new(ErrorKind::Service, "bad_event", format!("The service sent an unreadable event: {error}."))
                .with_request_id(self.request_id())
        })?;
        self.conversation.on_output(event, self.shared.at(), &mut self.batch);
        self.publish();
        Ok(())
    }

    fn on_alarm(&self, alarm: Alarm) -> End {
        match alarm {
            Alarm::Open => End::failed(
                Error::new(
                    ErrorKind::Timeout,
                    "open_timeout",
                    format!("No response headers came within {} s.", self.config.timeouts.open.as_secs_f64()),
                )
                .with_cure("Check region, endpoint and network, or raise Timeouts.open."),
            ),
            Alarm::Close => End::closed(),
            Alarm::UplinkLost => self.end_or_closed(stream_lost("The connection stopped taking input.")),
        }
    }

    /// After our own close the peer may be slow, silent or rude: it is a close all the same.
    fn end_or_closed(&self, error: Error) -> End {
        if self.closing == Closing::Not {
            let request_id = error.request_id.clone().or_else(|| self.request_id());
            return End::failed(error.with_request_id(request_id));
        }
        End::closed()
    }

    fn request_id(&self) -> Option<String> {
        self.stream.as_ref()?.request_id().map(str::to_owned)
    }

    fn publish(&mut self) {
        let needed = self.shared.output.push(&mut self.batch);
        self.shared.tell(needed);
    }
}

fn stream_lost(message: &str) -> Error {
    Error::new(ErrorKind::StreamLost, "stream_lost", message).with_cure("Open a new session; it may carry the history.")
}

async fn next(stream: Option<&mut Stream>, may_read: bool) -> Progress {
    match stream {
        Some(stream) => stream.next(may_read).await,
        None => std::future::pending().await,
    }
}

async fn ring(alarm: &mut Option<(Alarm, BoxFuture<()>)>) -> Alarm {
    match alarm {
        Some((kind, sleep)) => {
            sleep.await;
            *kind
        }
        None => std::future::pending().await,
    }
}
