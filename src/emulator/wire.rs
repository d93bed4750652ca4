//! One stream's place on its connection: on HTTP/2 beside others, or as a WebSocket alone.
//!
//! What a stream says and hears is the same in both forms; here is what differs. Nothing is queued here: what the client
//! does not take stays in [`super::outgoing`], where it is counted.

mod http2;
mod websocket;

pub(super) use http2::Http2;
pub(super) use websocket::{Answer, Handshake, WebSocket};

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h2::Reason;
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError, protocol::frame::coding::CloseCode};

use super::{
    faults::ConnectionFault,
    frames::Assembler,
    registry::Stamp,
    request::{Form, Refusal},
};

pub(super) enum Wire {
    Http2(Http2),
    WebSocket(Box<WebSocket>),
}

/// Why nothing more is heard, or can be said.
pub(super) enum Lost {
    /// The client reset the stream.
    Reset(Reason),
    Connection,
    /// What came was no WebSocket message that this stream takes. It can still be told so.
    Protocol(CloseCode, String),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Self::Connection,
            Error::Protocol(_) | Error::Utf8(_) => CloseCode::Protocol,
            _ => return Self::Connection,
        };
        Self::Protocol(code, error.to_string())
    }
}

/// What the client did to what is being said.
pub(super) enum Reaction {
    Gone(Lost),
    /// It may have made room.
    Writable,
}

impl Wire {
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Http2(_) => Form::Http2,
            Self::WebSocket(_) => Form::WebSocket,
        }
    }

    pub(super) fn assembler(&self) -> Assembler {
        match self {
            Self::Http2(_) => Assembler::default(),
            Self::WebSocket(_) => Assembler::of_messages(),
        }
    }

    /// What the client has sent next; None at its end.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        match self {
            Self::Http2(http2) => http2.poll_data(cx),
            Self::WebSocket(websocket) => websocket.poll_data(cx),
        }
    }

    /// Lets the client send so much more.
    pub(super) fn release(&mut self, len: usize) {
        if let Self::Http2(http2) = self {
            http2.release(len);
        }
    }

    /// Waits for the stream's end from outside (if `ends`: one that is being read hears of it there), and for room if
    /// something is `waiting` for it.
    pub(super) fn poll_reaction(&mut self, cx: &mut Context<'_>, ends: bool, waiting: bool) -> Poll<Reaction> {
        match self {
            Self::Http2(http2) => http2.poll_reaction(cx, ends, waiting),
            Self::WebSocket(websocket) => websocket.poll_reaction(cx, waiting),
        }
    }

    /// Accepts the request, if that has not been done.
    pub(super) fn headers(&mut self) -> Result<(), Lost> {
        match self {
            Self::Http2(http2) => http2.headers(),
            Self::WebSocket(websocket) => websocket.headers(),
        }
    }

    /// Answers with an error in place of headers. False: those have gone, and this wire has another way to say it.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<bool, Lost> {
        match self {
            Self::Http2(http2) => http2.refuse(refusal).map(|()| true),
            Self::WebSocket(websocket) => websocket.refuse(refusal),
        }
    }

    /// How much of `wanted` bytes the client takes now.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        match self {
            Self::Http2(http2) => http2.room(wanted),
            Self::WebSocket(websocket) => websocket.room(wanted),
        }
    }

    /// Whether the stream's end can be said: a WebSocket must have been opened to be closed.
    pub(super) fn takes_end(&self) -> bool {
        match self {
            Self::Http2(_) => true,
            Self::WebSocket(websocket) => websocket.takes_end(),
        }
    }

    /// Sends the first `len` bytes of what waits, in frames of at most `longest`. With `last` the stream's end follows.
    pub(super) fn send(&mut self, waiting: &mut BytesMut, len: usize, longest: usize, last: bool) -> Result<(), Lost> {
        match self {
            Self::Http2(http2) => http2.send(waiting.split_to(len).freeze(), longest, last),
            Self::WebSocket(websocket) => websocket.send(waiting, len, longest, last),
        }
    }

    /// Whether all that was sent has been written, as far as that is known here.
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Http2(_) => true,
            Self::WebSocket(websocket) => websocket.is_quiet(),
        }
    }

    /// Resets the stream. False: this wire has no reset.
    pub(super) fn reset(&mut self, reason: Reason) -> bool {
        match self {
            Self::Http2(http2) => http2.reset(reason),
            Self::WebSocket(_) => return false,
        }
        true
    }

    /// With which code a WebSocket ends, once it does; false where there is none.
    pub(super) fn close_with(&mut self, code: CloseCode) -> bool {
        match self {
            Self::Http2(_) => return false,
            Self::WebSocket(websocket) => websocket.close_with(code),
        }
        true
    }

    /// Breaks the whole connection. True: it has been broken; false: the connection's own task does it.
    pub(super) async fn break_connection(&mut self, fault: ConnectionFault, stamp: Stamp, limit: Duration) -> bool {
        match self {
            Self::Http2(http2) => http2.break_connection(fault, stamp),
            Self::WebSocket(websocket) => {
                websocket.break_connection(fault, stamp, limit).await;
                return true;
            }
        }
        false
    }

    /// After the stream: a WebSocket's connection ends with it.
    pub(super) async fn leave(self) {
        if let Self::WebSocket(websocket) = self {
            websocket.leave().await;
        }
    }
}
