//! What one stream says to its client: headers, frames, and what waits until the client makes room.

use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream, server::SendResponse};

use super::{
    faults::Junk,
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
    /// A fault: no DATA frame is longer.
    longest_frame: usize,
    /// A fault: what may be sent is doled out.
    drip: Option<Drip>,
}

struct Drip {
    bytes_per_s: u32,
    /// Nothing goes out before.
    next: Instant,
}

/// One byte at a time would cost a wake-up each, and one second's worth at a time would be no drip.
const DRIP_INTERVAL: Duration = Duration::from_millis(20);

impl Outgoing {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        Self { response: Response::Waiting(respond), waiting: BytesMut::new(), longest_frame: usize::MAX, drip: None }
    }

    pub(super) fn event(&mut self, event: &[u8]) {
        frames::put_chunk(&mut self.waiting, event);
    }

    pub(super) fn exception(&mut self, name: &str, message: &str) {
        frames::put_exception(&mut self.waiting, name, message);
    }

    pub(super) fn error(&mut self, code: &str, message: &str) {
        frames::put_error(&mut self.waiting, code, message);
    }

    pub(super) fn bad_crc(&mut self) {
        frames::put_chunk(&mut self.waiting, HARMLESS);
        if let Some(last) = self.waiting.last_mut() {
            *last ^= 0xff;
        }
    }

    pub(super) fn half_a_message(&mut self) {
        let whole = self.waiting.len();
        frames::put_chunk(&mut self.waiting, HARMLESS);
        self.waiting.truncate(whole.midpoint(self.waiting.len()));
    }

    pub(super) fn junk(&mut self, junk: Junk) {
        match junk {
            Junk::Json => frames::put_raw_chunk(&mut self.waiting, "chunk", b"{\"bytes\":"),
            Junk::Base64 => frames::put_raw_chunk(&mut self.waiting, "chunk", b"{\"bytes\":\"no base64!\"}"),
            Junk::Event => frames::put_chunk(&mut self.waiting, b"{\"event\":{\"textOutput\""),
        }
    }

    pub(super) fn unknown_frame(&mut self) {
        frames::put_raw_chunk(&mut self.waiting, "somethingNew", b"{}");
    }

    pub(super) fn cut_to(&mut self, longest_frame: usize) {
        self.longest_frame = longest_frame;
    }

    pub(super) fn drip(&mut self, bytes_per_s: u32) {
        self.drip = Some(Drip { bytes_per_s, next: Instant::now() });
    }

    /// Until when nothing more goes out although something waits.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.drip.as_ref().filter(|_| !self.waiting.is_empty()).map(|drip| drip.next)
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
        let wanted = match &mut self.drip {
            Some(drip) => drip.take(self.waiting.len(), Instant::now()),
            None => self.waiting.len(),
        };
        stream.reserve_capacity(wanted);
        let room = stream.capacity().min(wanted);
        let last = last && room == self.waiting.len();
        let mut data = self.waiting.split_to(room).freeze();
        while data.len() > self.longest_frame {
            stream.send_data(data.split_to(self.longest_frame), false)?;
        }
        if !data.is_empty() || last {
            stream.send_data(data, last)?;
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
            Response::Open(stream) if !self.waiting.is_empty() && self.drip.is_none() => {
                ready!(stream.poll_capacity(cx));
                Poll::Ready(Reaction::Writable)
            }
            _ => Poll::Pending,
        }
    }
}

/// An event that changes nothing, to be spoilt.
const HARMLESS: &[u8] = br#"{"event":{"usageEvent":{}}}"#;

impl Drip {
    /// How many of the bytes may go now.
    fn take(&mut self, waiting: usize, now: Instant) -> usize {
        if now < self.next {
            return 0;
        }
        // Rates below one byte an interval: one byte, and a longer one.
        let share = (f64::from(self.bytes_per_s) * DRIP_INTERVAL.as_secs_f64()).max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, below 2^32
        let taken = waiting.min(share as usize);
        #[allow(clippy::cast_precision_loss)] // as above
        let cost = Duration::from_secs_f64(taken as f64 / f64::from(self.bytes_per_s));
        self.next = now + cost;
        taken
    }
}
