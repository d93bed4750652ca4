//! What one stream says to its client: messages, and what waits until the client makes room.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::{
    faults::Junk,
    frames,
    wire::{Lost, Wire},
};

pub(super) struct Outgoing {
    waiting: BytesMut,
    /// A fault: no frame is longer.
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
    pub(super) fn new() -> Self {
        Self { waiting: BytesMut::new(), longest_frame: usize::MAX, drip: None }
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

    /// Whether more could go out, if the client made room.
    pub(super) fn wants_room(&self) -> bool {
        !self.waiting.is_empty() && self.drip.is_none()
    }

    /// Hands over what the client takes now. With `last`, the stream's end goes behind the last byte: true once it has.
    pub(super) fn flush(&mut self, wire: &mut Wire, last: bool) -> Result<bool, Lost> {
        if self.waiting.is_empty() && !last {
            return Ok(false);
        }
        wire.headers()?;
        let wanted = match &mut self.drip {
            Some(drip) => drip.take(self.waiting.len(), Instant::now()),
            None => self.waiting.len(),
        };
        let room = wire.room(wanted);
        let last = last && room == self.waiting.len() && wire.takes_end();
        wire.send(&mut self.waiting, room, self.longest_frame, last)?;
        Ok(last)
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
