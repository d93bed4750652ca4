//! The two bounded queues of a raw stream.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::RawStats;
use crate::{
    error::{Error, ErrorKind, Result},
    session::{input::closed_error, room::Room},
};

/// `PartBody.bytes` of the service's API.
const MAX_EVENT_BYTES: usize = 1_000_000;
/// What a queued event costs beside its bytes, so that many small ones are bounded too.
const EVENT_OVERHEAD: usize = 64;
/// What leaves the inbox in one drain, so that the host's own queue is bounded as well.
const MAX_DRAIN_BYTES: usize = 256 << 10;

fn cost(bytes: usize) -> usize {
    bytes.saturating_add(EVENT_OVERHEAD)
}

/// Events in order, and what they weigh.
#[derive(Default)]
struct Events {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

impl Events {
    fn cost(&self) -> usize {
        self.bytes + self.queue.len() * EVENT_OVERHEAD
    }

    fn push(&mut self, event: Bytes) {
        self.bytes += event.len();
        self.queue.push_back(event);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let event = self.queue.pop_front()?;
        self.bytes -= event.len();
        Some(event)
    }
}

/// What the host has given and the transport has not taken.
pub(super) struct Outbox {
    capacity: usize,
    state: Mutex<OutboxState>,
}

#[derive(Default)]
struct OutboxState {
    events: Events,
    ending: bool,
    /// The last event sent was the host's `sessionEnd`.
    said_goodbye: bool,
    /// Why nothing is taken any more.
    closed: Option<Error>,
    room: Room,
    sent_events: u64,
    sent_bytes: u64,
    refused_events: u64,
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_push(&self, event: &[u8]) -> Result<bool> {
        let mut state = self.lock();
        if !self.fits(&state, event.len())? {
            state.refused_events += 1;
            return Ok(false);
        }
        state.events.push(Bytes::copy_from_slice(event));
        Ok(true)
    }

    pub(super) fn has_room(&self, bytes: usize) -> Result<bool> {
        self.fits(&self.lock(), bytes)
    }

    fn fits(&self, state: &OutboxState, bytes: usize) -> Result<bool> {
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        if bytes == 0 {
            return Err(Error::new(ErrorKind::Validation, "empty_event", "The event is empty.")
                .with_cure("Send one event's JSON; to end the input there is end_input()."));
        }
        let most = self.capacity.min(MAX_EVENT_BYTES);
        if bytes > most {
            let message = format!("The event has {bytes} bytes; the service and the buffer take {most}.");
            return Err(Error::new(ErrorKind::Validation, "event_too_large", message)
                .with_cure("Send audio and text in smaller pieces (32 to 100 ms of audio is usual)."));
        }
        Ok(state.events.queue.is_empty() || state.events.cost() + cost(bytes) <= self.capacity)
    }

    /// True: there is room already, tell whoever waits.
    pub(super) fn want_room(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        state.room.want(self.capacity, cost(bytes));
        state.grant()
    }

    /// True: somebody waits for room and must be told that there will be none.
    pub(super) fn end_input(&self) -> bool {
        let mut state = self.lock();
        state.ending = true;
        state.closed.get_or_insert_with(|| {
            Error::new(ErrorKind::Closed, "input_ended", "The input of this stream has been ended.")
                .with_cure("Send everything before end_input() or aclose().")
        });
        state.grant()
    }

    /// Forgets what is queued: there is no stream any more to send it on.
    pub(super) fn end(&self, error: Option<Error>) {
        let mut state = self.lock();
        state.closed = Some(error.unwrap_or_else(closed_error));
        state.events = Events::default();
        state.grant();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().events.queue.is_empty()
    }

    /// Whether the peer may end the stream now: it was told so, by the input's end or by the event that announces it,
    /// which a host sends a moment earlier.
    pub(super) fn may_end(&self) -> bool {
        let state = self.lock();
        state.events.queue.is_empty() && (state.ending || state.said_goodbye)
    }

    /// Everything has been taken, and nothing more will come.
    pub(super) fn is_through(&self) -> bool {
        let state = self.lock();
        state.ending && state.events.queue.is_empty()
    }

    /// The next event, and whether somebody who waits for room must be told.
    pub(super) fn pop(&self) -> (Option<Bytes>, bool) {
        let mut state = self.lock();
        let event = state.events.pop();
        if let Some(event) = &event {
            state.said_goodbye = is_session_end(event);
            state.sent_events += 1;
            state.sent_bytes += event.len() as u64;
        }
        let told = state.grant();
        (event, told)
    }

    pub(super) fn tally(&self, into: &mut RawStats) {
        let state = self.lock();
        into.queued_input_bytes = state.events.bytes as u64;
        into.sent_events = state.sent_events;
        into.sent_bytes = state.sent_bytes;
        into.refused_events = state.refused_events;
    }
}

/// `{"event":{"sessionEnd":{}}}` in any spacing; the only thing of the language that a raw stream must know.
fn is_session_end(event: &[u8]) -> bool {
    const LONGEST: usize = 64;
    const NAME: &[u8] = br#""sessionEnd""#;
    event.len() <= LONGEST && event.windows(NAME.len()).any(|window| window == NAME)
}

impl OutboxState {
    fn grant(&mut self) -> bool {
        self.room.grant(self.events.cost(), self.closed.is_some())
    }
}

/// What the service has said and the host has not drained.
pub(super) struct Inbox {
    bound: usize,
    state: Mutex<InboxState>,
}

#[derive(Default)]
struct InboxState {
    events: Events,
    received_events: u64,
    received_bytes: u64,
    dropped_events: u64,
}

pub(super) struct Drained {
    pub(super) more: bool,
    /// The queue was full and is not any more: the stream may be read again.
    pub(super) room: bool,
}

impl Inbox {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self, state: &InboxState) -> bool {
        state.events.cost() >= self.bound
    }

    pub(super) fn is_full(&self) -> bool {
        self.full(&self.lock())
    }

    /// True: the queue was empty, tell the host. A full queue drops the event, which only a close lets happen.
    pub(super) fn push(&self, event: Bytes) -> bool {
        let mut state = self.lock();
        state.received_events += 1;
        state.received_bytes += event.len() as u64;
        if self.full(&state) {
            state.dropped_events += 1;
            return false;
        }
        let first = state.events.queue.is_empty();
        state.events.push(event);
        first
    }

    pub(super) fn drain(&self, max: usize, out: &mut Vec<Bytes>) -> Drained {
        let mut state = self.lock();
        let was_full = self.full(&state);
        let (mut count, mut bytes) = (0, 0);
        while let Some(next) = state.events.queue.front() {
            bytes += next.len();
            if count == max || (count > 0 && bytes > MAX_DRAIN_BYTES) {
                break;
            }
            count += 1;
            out.extend(state.events.pop());
        }
        Drained { more: !state.events.queue.is_empty(), room: was_full && !self.full(&state) }
    }

    pub(super) fn tally(&self, into: &mut RawStats) {
        let state = self.lock();
        into.queued_output_bytes = state.events.bytes as u64;
        into.received_events = state.received_events;
        into.received_bytes = state.received_bytes;
        into.dropped_events = state.dropped_events;
    }
}
