//! A stream among others on an HTTP/2 connection, whose own task commits the connection's faults.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use tokio::sync::mpsc;

use super::{Lost, Reaction};
use crate::emulator::{
    faults::ConnectionFault,
    registry::Stamp,
    request::{self, Refusal},
};

pub(in crate::emulator) struct Http2 {
    body: RecvStream,
    response: Response,
    connection: mpsc::Sender<(ConnectionFault, Stamp)>,
}

enum Response {
    Waiting(SendResponse<Bytes>),
    Open(SendStream<Bytes>),
}

impl From<h2::Error> for Lost {
    fn from(error: h2::Error) -> Self {
        error.reason().map_or(Self::Connection, Self::Reset)
    }
}

impl Http2 {
    pub(in crate::emulator) fn new(
        body: RecvStream,
        respond: SendResponse<Bytes>,
        connection: mpsc::Sender<(ConnectionFault, Stamp)>,
    ) -> Self {
        Self { body, response: Response::Waiting(respond), connection }
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        self.body.poll_data(cx).map_err(Lost::from)
    }

    pub(super) fn release(&mut self, len: usize) {
        let _ = self.body.flow_control().release_capacity(len);
    }

    pub(super) fn headers(&mut self) -> Result<(), Lost> {
        if let Response::Waiting(respond) = &mut self.response {
            self.response = Response::Open(respond.send_response(request::accepted(), false)?);
        }
        Ok(())
    }

    /// Nothing where headers have gone.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Result<(), Lost> {
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

    /// Hands h2 no more than the client's windows take, so that what they do not take is not hidden there.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        let Response::Open(stream) = &mut self.response else { return 0 };
        stream.reserve_capacity(wanted);
        stream.capacity().min(wanted)
    }

    pub(super) fn send(&mut self, mut data: Bytes, longest: usize, last: bool) -> Result<(), Lost> {
        let Response::Open(stream) = &mut self.response else { return Ok(()) };
        while data.len() > longest {
            stream.send_data(data.split_to(longest), false)?;
        }
        if !data.is_empty() || last {
            stream.send_data(data, last)?;
        }
        Ok(())
    }

    /// A stream that is being read needs no second look for its end, under h2's lock.
    pub(super) fn poll_reaction(&mut self, cx: &mut Context<'_>, ends: bool, waiting: bool) -> Poll<Reaction> {
        if ends {
            let end = match &mut self.response {
                Response::Waiting(respond) => respond.poll_reset(cx),
                Response::Open(stream) => stream.poll_reset(cx),
            };
            if let Poll::Ready(end) = end {
                return Poll::Ready(Reaction::Gone(end.map_or_else(Lost::from, Lost::Reset)));
            }
        }
        match &mut self.response {
            Response::Open(stream) if waiting => {
                ready!(stream.poll_capacity(cx));
                Poll::Ready(Reaction::Writable)
            }
            _ => Poll::Pending,
        }
    }

    pub(super) fn break_connection(&self, fault: ConnectionFault, stamp: Stamp) {
        // Full: another stream of the connection is breaking it just now.
        let _ = self.connection.try_send((fault, stamp));
    }
}
