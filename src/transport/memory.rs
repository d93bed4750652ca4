//! The transport's in-memory twin: a service that a test plays by hand.
//!
//! The session under test holds one end; the test holds a [`MemoryPeer`] for each stream and decides when headers
//! come, whether the uplink is read, what comes down and how the stream ends. Its channels are small and bounded, so
//! a peer that stops reading blocks the session as a closed HTTP/2 window does.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{AskCredentials, Downlink, OpenRequest, Opening, Transport};
use crate::error::{Error, ErrorKind, Result};

/// Streams that may wait for [`MemoryService::accept`] before further ones are refused.
const BACKLOG: usize = 64;

/// The sizes of one stream's channels, in events.
#[derive(Debug, Clone, Copy)]
pub struct MemoryOptions {
    pub uplink_events: usize,
    pub downlink_events: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { uplink_events: 4, downlink_events: 4 }
    }
}

/// The client's end: hand it to a session.
pub struct MemoryTransport {
    options: MemoryOptions,
    peers: mpsc::Sender<MemoryPeer>,
}

/// Where the streams that the client opens arrive.
pub struct MemoryService {
    peers: mpsc::Receiver<MemoryPeer>,
}

/// The service's end of one stream.
pub struct MemoryPeer {
    pub model_id: String,
    /// What the session offers to a transport that must ask for credentials.
    pub ask: Option<Arc<dyn AskCredentials>>,
    /// What the session will hear as the end of its keys. Set it before headers.
    pub credentials_expire_at: Option<SystemTime>,
    uplink: mpsc::Receiver<Bytes>,
    downlink: Option<mpsc::Sender<Result<Bytes>>>,
    headers: Option<Headers>,
}

struct Headers {
    reply: oneshot::Sender<Result<Downlink>>,
    events: mpsc::Receiver<Result<Bytes>>,
}

/// What arrives from the client.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerInput {
    /// One event's JSON.
    Event(Value),
    /// An event that is not JSON.
    Malformed(Bytes),
    /// The client ended its input properly (signed empty message, `END_STREAM`).
    Ended,
    /// The client gave the stream up (`RST_STREAM`).
    Reset,
}

/// The client's end of what comes down.
pub struct MemoryDownlink {
    events: mpsc::Receiver<Result<Bytes>>,
    request_id: Option<String>,
    credentials_expire_at: Option<SystemTime>,
    failed: bool,
}

/// A transport and the service behind it.
pub fn pair(options: MemoryOptions) -> (Arc<MemoryTransport>, MemoryService) {
    let (sender, peers) = mpsc::channel(BACKLOG);
    (Arc::new(MemoryTransport { options, peers: sender }), MemoryService { peers })
}

impl Transport for MemoryTransport {
    fn open(&self, request: OpenRequest) -> Opening {
        let (uplink, uplink_end) = mpsc::channel(self.options.uplink_events);
        let (downlink, events) = mpsc::channel(self.options.downlink_events);
        let (reply, answer) = oneshot::channel();
        let accepted = self.peers.try_send(MemoryPeer {
            model_id: request.model_id,
            ask: request.ask,
            credentials_expire_at: None,
            uplink: uplink_end,
            downlink: Some(downlink),
            headers: Some(Headers { reply, events }),
        });
        Opening {
            uplink,
            headers: Box::pin(async move {
                accepted.map_err(|_| Error::new(ErrorKind::Connect, "refused", "The service takes no streams."))?;
                answer.await.unwrap_or_else(|_| Err(lost("The service went away before response headers.")))
            }),
        }
    }
}

fn lost(message: &str) -> Error {
    Error::new(ErrorKind::StreamLost, "stream_lost", message)
}

impl MemoryService {
    /// The next stream a client opens; None once the transport is gone.
    pub async fn accept(&mut self) -> Option<MemoryPeer> {
        self.peers.recv().await
    }
}

impl MemoryPeer {
    /// What the client sends next. After `Ended` or `Reset` it repeats.
    pub async fn next(&mut self) -> PeerInput {
        match self.uplink.recv().await {
            Some(json) => serde_json::from_slice(&json).map_or(PeerInput::Malformed(json), PeerInput::Event),
            None if self.is_reset() => PeerInput::Reset,
            None => PeerInput::Ended,
        }
    }

    /// Events the client has sent and nobody has read.
    pub fn waiting(&self) -> usize {
        self.uplink.len()
    }

    /// True once the client has dropped its reading end before this end was through.
    pub fn is_reset(&self) -> bool {
        match &self.headers {
            Some(headers) => headers.reply.is_closed(),
            None => self.downlink.as_ref().is_some_and(mpsc::Sender::is_closed),
        }
    }

    /// Lets response headers out.
    pub fn send_headers(&mut self) {
        let credentials_expire_at = self.credentials_expire_at;
        self.reply(|events| {
            let request_id = Some("memory-request".to_owned());
            Ok(Downlink::Memory(MemoryDownlink { events, request_id, credentials_expire_at, failed: false }))
        });
    }

    /// Fails the stream before headers.
    pub fn refuse(&mut self, error: Error) {
        self.reply(|_| Err(error));
    }

    fn reply(&mut self, answer: impl FnOnce(mpsc::Receiver<Result<Bytes>>) -> Result<Downlink>) {
        if let Some(Headers { reply, events }) = self.headers.take() {
            // The client may have given up; that is its right.
            let _ = reply.send(answer(events));
        }
    }

    /// Sends one event, waiting while the client does not read. False: the client is gone or the stream has ended.
    pub async fn send(&self, event: &Value) -> bool {
        self.send_bytes(Bytes::from(event.to_string())).await
    }

    /// Sends the payload of one chunk as it is.
    pub async fn send_bytes(&self, payload: Bytes) -> bool {
        match &self.downlink {
            Some(downlink) => downlink.send(Ok(payload)).await.is_ok(),
            None => false,
        }
    }

    /// Sends one event if the client's window has room.
    pub fn try_send(&self, event: &Value) -> bool {
        self.downlink.as_ref().is_some_and(|d| d.try_send(Ok(Bytes::from(event.to_string()))).is_ok())
    }

    /// Ends the stream with an error, as an exception frame or a reset would. Waits while the client does not read.
    pub async fn fail(&mut self, error: Error) {
        if let Some(downlink) = self.downlink.take() {
            let _ = downlink.send(Err(error)).await;
        }
    }

    /// Ends the stream as `END_STREAM` does.
    pub fn end(&mut self) {
        self.downlink = None;
    }

    /// Stops taking input, as a peer does that has reset only our half.
    pub fn refuse_input(&mut self) {
        self.uplink.close();
    }
}

impl MemoryDownlink {
    /// The contract of [`Downlink::recv`].
    pub async fn recv(&mut self) -> Result<Option<Bytes>> {
        if self.failed {
            return Ok(None);
        }
        let received = self.events.recv().await.transpose();
        self.failed = received.is_err();
        received
    }

    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    pub fn credentials_expire_at(&self) -> Option<SystemTime> {
        self.credentials_expire_at
    }
}

#[cfg(test)]
mod tests;
