//! A stream that is a WebSocket: each binary message is one message of the event stream, and the connection is its own.
//!
//! tungstenite does RFC 6455: masks, fragments, pings, the closing handshake. It buffers what a socket does not take, so
//! nothing is handed to it before the last of that is out.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Sink as _, SinkExt as _, StreamExt as _};
use http::Response;
use http_body_util::Full;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt as _, sync::oneshot, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use super::{Lost, Reaction};
use crate::emulator::{
    faults::{ConnectionFault, Line},
    frames::MAX_MESSAGE_LEN,
    registry::Stamp,
    request::Refusal,
};

/// For the answer to a ping ahead of a TCP reset.
const HEARD_LIMIT: Duration = Duration::from_millis(250);
/// For the last words to be taken.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// A few audio chunks; bigger messages make it grow.
const READ_BUFFER_BYTES: usize = 16 * 1024;
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Opening = Pin<Box<dyn Future<Output = Result<Socket, Lost>> + Send>>;
pub(in crate::emulator) type Answer = Response<Full<Bytes>>;

pub(in crate::emulator) struct WebSocket {
    state: State,
    line: Option<Line>,
    /// Of the message whose first frames have gone.
    left: usize,
    /// Handed over, and not known to be written.
    unwritten: bool,
    /// The client has closed; nothing can be said any more, and nobody will hear it.
    closed: bool,
    code: CloseCode,
}

enum State {
    Waiting(Handshake),
    Opening(Opening),
    Open(Box<Socket>),
    /// Refused, broken or left.
    Over,
}

/// A request that waits for its answer.
pub(in crate::emulator) struct Handshake {
    pub(in crate::emulator) respond: oneshot::Sender<Answer>,
    /// The answer that opens the WebSocket.
    pub(in crate::emulator) accepted: Answer,
    pub(in crate::emulator) upgrade: OnUpgrade,
}

impl WebSocket {
    pub(in crate::emulator) fn new(handshake: Handshake, line: Line) -> Self {
        Self {
            state: State::Waiting(handshake),
            line: Some(line),
            left: 0,
            unwritten: false,
            closed: false,
            code: CloseCode::Normal,
        }
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        if let Err(lost) = ready!(self.poll_open(cx)) {
            return Poll::Ready(Some(Err(lost)));
        }
        let State::Open(socket) = &mut self.state else { return Poll::Ready(None) };
        loop {
            return Poll::Ready(match ready!(socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Binary(message))) => Some(Ok(message)),
                Some(Ok(Message::Text(_))) => {
                    Some(Err(Lost::Protocol(CloseCode::Unsupported, "a text message came, not a binary one".into())))
                }
                Some(Ok(Message::Close(_))) => {
                    self.closed = true;
                    // Once more: that writes the answering close.
                    continue;
                }
                // Pings have been answered.
                Some(Ok(_)) => continue,
                Some(Err(error)) if !self.closed => Some(Err(error.into())),
                Some(Err(_)) | None => None,
            });
        }
    }

    /// Waits until the handshake is through, or will never be.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        match &mut self.state {
            State::Waiting(handshake) => {
                // The client left the connection, and its request with it.
                ready!(handshake.respond.poll_closed(cx));
                Poll::Ready(Err(Lost::Connection))
            }
            State::Opening(opening) => {
                let opened = ready!(opening.as_mut().poll(cx));
                self.state = State::Over;
                // Whoever waited to say something is told of the room by this.
                self.unwritten = true;
                Poll::Ready(opened.map(|socket| self.state = State::Open(Box::new(socket))))
            }
            State::Open(_) | State::Over => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_reaction(&mut self, cx: &mut Context<'_>, waiting: bool) -> Poll<Reaction> {
        if let Err(lost) = ready!(self.poll_open(cx)) {
            return Poll::Ready(Reaction::Gone(lost));
        }
        let State::Open(socket) = &mut self.state else { return Poll::Pending };
        if !self.unwritten && !waiting {
            return Poll::Pending;
        }
        match ready!(Pin::new(socket).poll_flush(cx)) {
            Err(error) if !self.closed => Poll::Ready(Reaction::Gone(error.into())),
            _ => {
                self.unwritten = false;
                Poll::Ready(Reaction::Writable)
            }
        }
    }

    pub(super) fn headers(&mut self) -> Result<(), Lost> {
        match mem::replace(&mut self.state, State::Over) {
            State::Waiting(Handshake { respond, accepted, upgrade }) => {
                self.state = State::Opening(Box::pin(async {
                    let upgraded = upgrade.await.map_err(|_| Lost::Connection)?;
                    Ok(Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits())).await)
                }));
                respond.send(accepted).map_err(|_| Lost::Connection)
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    /// False: the handshake is through.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<bool, Lost> {
        match mem::replace(&mut self.state, State::Over) {
            State::Waiting(handshake) => {
                handshake.respond.send(refusal.answer()).map(|()| true).map_err(|_| Lost::Connection)
            }
            other => {
                self.state = other;
                Ok(false)
            }
        }
    }

    pub(super) fn close_with(&mut self, code: CloseCode) {
        self.code = code;
    }

    /// All or nothing: what the socket does not take at once waits in tungstenite, until [`Self::poll_reaction`] has seen
    /// it out.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        if self.closed || self.write() { wanted } else { 0 }
    }

    pub(super) fn takes_end(&self) -> bool {
        matches!(self.state, State::Open(_) | State::Over)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.closed || !(self.unwritten || matches!(self.state, State::Opening(_)))
    }

    pub(super) fn send(&mut self, waiting: &mut BytesMut, len: usize, longest: usize, last: bool) -> Result<(), Lost> {
        let mut len = len.min(waiting.len());
        let State::Open(socket) = &mut self.state else { return Ok(()) };
        if self.closed {
            waiting.advance(len);
            return Ok(());
        }
        let mut put = |message| Pin::new(&mut *socket).start_send(message).map_err(Lost::from);
        while len > 0 {
            let begins = self.left == 0;
            if begins {
                // Each begins with its own length.
                let announced = waiting.first_chunk::<4>().map_or(0, |len| u32::from_be_bytes(*len) as usize);
                self.left = announced.max(1);
            }
            let piece = waiting.split_to(self.left.min(len).min(longest));
            len -= piece.len();
            self.left -= piece.len();
            // Of a message that a fault has cut nothing more comes.
            let ends = self.left == 0 || (last && waiting.is_empty());
            let kind = OpCode::Data(if begins { Data::Binary } else { Data::Continue });
            put(Message::Frame(Frame::message(piece.freeze(), kind, ends)))?;
        }
        if last {
            put(Message::Close(Some(CloseFrame { code: self.code, reason: "".into() })))?;
        }
        self.unwritten = true;
        self.write();
        Ok(())
    }

    /// Writes what the socket takes; true where that is all. A failure shows when the socket is read or sent on.
    fn write(&mut self) -> bool {
        let State::Open(socket) = &mut self.state else { return false };
        let mut nobody = Context::from_waker(Waker::noop());
        let written = Pin::new(socket).poll_flush(&mut nobody).is_ready();
        // Where nobody is woken somebody must look again.
        self.unwritten = !written;
        written
    }

    pub(super) async fn break_connection(&mut self, fault: ConnectionFault, stamp: Stamp, limit: Duration) {
        if fault == ConnectionFault::TcpReset {
            self.until_heard().await;
        }
        stamp.now();
        let Some(line) = self.line.take() else { return };
        let connection = mem::replace(&mut self.state, State::Over);
        // It is the connection's end either way.
        let _ = match fault {
            ConnectionFault::Fin => line.fin(connection).await,
            ConnectionFault::TcpReset => line.reset(connection),
            ConnectionFault::Stall { reading } => line.stall(connection, reading, limit).await,
            // Without other streams it is a close: `close_with`.
            ConnectionFault::GoAway { .. } => Ok(()),
        };
    }

    /// See `server::until_heard`.
    async fn until_heard(&mut self) {
        let State::Open(socket) = &mut self.state else { return };
        let heard = async {
            if socket.send(Message::Ping(Bytes::new())).await.is_ok() {
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_pong() {
                        return;
                    }
                }
            }
        };
        let _ = timeout(HEARD_LIMIT, heard).await;
    }

    /// The server closes first, and only then is the client's close awaited: a socket let go with something unread is reset,
    /// and the last words with it.
    pub(super) async fn leave(self) {
        if let (State::Open(mut socket), Some(line)) = (self.state, self.line) {
            let last_words = async {
                let _ = socket.flush().await;
                let _ = socket.get_mut().shutdown().await;
            };
            let _ = timeout(LEAVE_LIMIT, last_words).await;
            let _ = line.fin(socket).await;
        }
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
}
