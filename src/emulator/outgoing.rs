//! What one stream says to its client: headers, frames, and what waits until the client makes room.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream, server::SendResponse};

use super::{
    frames,
    request::{self, Refusal},
};

enum Response {
    Waiting(SendResponse<Bytes>),
    Open(SendStream<Bytes>),
}

/// What the client did to it.
pub(super) enum Reaction {
    /// It reset the stream, or the connection is gone.
    Gone(Option<Reason>),
    /// It may have made room.
    Writable,
}

pub(super) struct Outgoing {
    response: Response,
    waiting: BytesMut,
}

impl Outgoing {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        Self { response: Response::Waiting(respond), waiting: BytesMut::new() }
    }

    pub(super) fn event(&mut self, event: &[u8]) {
        frames::put_chunk(&mut self.waiting, event);
    }

    pub(super) fn exception(&mut self, name: &str, message: &str) {
        frames::put_exception(&mut self.waiting, name, message);
    }

    /// Bytes that the client has not made room for.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn headers(&mut self) -> Result<(), h2::Error> {
        if let Response::Waiting(respond) = &mut self.response {
            self.response = Response::Open(respond.send_response(request::accepted(), false)?);
        }
        Ok(())
    }

    /// An error in place of headers; nothing where those have gone.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<(), h2::Error> {
        if let Response::Waiting(respond) = &mut self.response {
            self.response = Response::Open(request::refuse(respond, refusal)?);
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        match &mut self.response {
            Response::Waiting(respond) => respond.send_reset(reason),
            Response::Open(stream) => stream.send_reset(reason),
        }
    }

    /// Hands h2 what the client's windows take now, so that what they do not take is counted here and not hidden there.
    /// With `last`, END_STREAM goes behind the last byte: true once it has.
    pub(super) fn flush(&mut self, last: bool) -> Result<bool, h2::Error> {
        if self.waiting.is_empty() && !last {
            return Ok(false);
        }
        self.headers()?;
        let Response::Open(stream) = &mut self.response else { return Ok(false) };
        stream.reserve_capacity(self.waiting.len());
        let room = stream.capacity().min(self.waiting.len());
        let last = last && room == self.waiting.len();
        if room > 0 || last {
            stream.send_data(self.waiting.split_to(room).freeze(), last)?;
        }
        Ok(last)
    }

    /// Waits for the end of the stream from outside (if asked: a stream that is being read hears of it there, and needs no
    /// second look under h2's lock), and for room if something waits.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ends: bool) -> Poll<Reaction> {
        if ends {
            let end = match &mut self.response {
                Response::Waiting(respond) => respond.poll_reset(cx),
                Response::Open(stream) => stream.poll_reset(cx),
            };
            if let Poll::Ready(end) = end {
                return Poll::Ready(Reaction::Gone(end.map_or_else(|error| error.reason(), Some)));
            }
        }
        match &mut self.response {
            Response::Open(stream) if !self.waiting.is_empty() => {
                ready!(stream.poll_capacity(cx));
                Poll::Ready(Reaction::Writable)
            }
            _ => Poll::Pending,
        }
    }
}
