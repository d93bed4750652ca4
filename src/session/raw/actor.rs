//! The task that owns a raw stream: it moves events between the queues and the transport, and ends once.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;

use super::{RawConfig, Shared};
use crate::{
    error::{Error, ErrorKind},
    session::{
        Clock, Timeouts,
        alarm::{Alarm, Bound, open_timeout},
        duplex::{Duplex, Moved},
        lane::LaneCredentials,
        timer::Timer,
    },
    transport::{OpenRequest, Transport},
};

/// How a stream ended; None: well.
type End = Option<Error>;

struct Actor {
    shared: Arc<Shared>,
    duplex: Duplex,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    alarm: Alarm,
    timer: Timer,
    closing: bool,
}

pub(super) async fn live(shared: Arc<Shared>, transport: Arc<dyn Transport>, config: RawConfig) -> End {
    let RawConfig { model_id, regions, buffers: _, timeouts, clock } = config;
    let request = OpenRequest {
        model_id,
        regions,
        ask: Some(Arc::new(LaneCredentials(shared.lane.clone()))),
        open_timeout: timeouts.open,
        patience: timeouts.patience,
    };
    let timer = Timer::new(clock.clone());
    let duplex = Duplex::open(&*transport, request);
    let mut actor = Actor { shared, duplex, timeouts, clock, alarm: Alarm::default(), timer, closing: false };
    actor.bound(Bound::Open, actor.timeouts.open);
    actor.serve().await
    // The stream goes with the actor, before the end is announced.
}

impl Actor {
    fn bound(&mut self, bound: Bound, after: Duration) {
        self.alarm.set(bound, self.clock.now(), after);
    }

    async fn serve(&mut self) -> End {
        loop {
            if self.shared.abort.load(Ordering::Acquire) {
                return None;
            }
            if !self.closing && self.shared.close.load(Ordering::Acquire) {
                self.closing = true;
                self.bound(Bound::Close, self.timeouts.close);
            }
            if let Some(bound) = self.alarm.due(self.clock.now()) {
                return self.on_alarm(bound);
            }
            if self.duplex.takes_input() && self.shared.outbox.is_through() {
                self.duplex.end_input();
            }
            let shared = &self.shared;
            // During a close nobody need read, and the peer's end stands behind all it has to say.
            let may_read = self.closing || !shared.inbox.is_full();
            let waiting = !shared.outbox.is_empty();
            self.timer.arm(self.alarm.deadline());
            let moved = tokio::select! {
                () = shared.wake.notified() => continue,
                () = self.timer.ring() => continue,
                moved = self.duplex.next(waiting, || take(shared), may_read) => moved,
            };
            if let Some(end) = self.on_moved(moved) {
                return end;
            }
        }
    }

    fn on_moved(&mut self, moved: Moved<()>) -> Option<End> {
        match moved {
            Moved::Opened => {
                if !self.closing {
                    self.alarm.clear();
                }
                if let Some(id) = self.duplex.request_id() {
                    self.shared.request_id.get_or_init(|| id.to_owned());
                }
                self.shared.life.tell_opened(Ok(()));
            }
            Moved::Received(json) => {
                let first = self.shared.inbox.push(json);
                self.shared.tell(first);
            }
            // During the opening its own bound holds, and while closing the close's.
            Moved::UplinkLost if !self.alarm.is_set() => {
                self.bound(Bound::UplinkLost, self.timeouts.close);
            }
            Moved::Sent(()) | Moved::UplinkLost => {}
            Moved::Ended if self.shared.outbox.may_end() => return Some(None),
            Moved::Ended => return Some(self.end(lost("The service ended the stream before its input was ended."))),
            Moved::Failed(error) => {
                // Whoever waits for the opening hears what it met, even in a close, which itself is silent.
                self.shared.life.tell_opened(Err(error.clone()));
                return Some(self.end(error));
            }
        }
        None
    }

    fn on_alarm(&self, bound: Bound) -> End {
        match bound {
            Bound::Open => Some(open_timeout(
                self.timeouts.open,
                "Send the first events at once, since the service answers only then; check region, endpoint and network, \
                 or raise Timeouts.open.",
            )),
            Bound::Close => None,
            Bound::UplinkLost => self.end(lost("The connection stopped taking input.")),
        }
    }

    /// After our own close the peer may be slow, silent or rude: it is a close all the same. The handle's word counts,
    /// not what the loop has seen of it: both may come between two turns of the loop.
    fn end(&self, error: Error) -> End {
        if self.shared.close.load(Ordering::Acquire) || self.shared.abort.load(Ordering::Acquire) {
            return None;
        }
        let request_id = error.request_id.clone().or_else(|| self.shared.request_id.get().cloned());
        Some(error.with_request_id(request_id))
    }
}

fn take(shared: &Shared) -> Option<(Bytes, ())> {
    let (event, room) = shared.outbox.pop();
    shared.tell(room);
    Some((event?, ()))
}

fn lost(message: &str) -> Error {
    Error::new(ErrorKind::StreamLost, "stream_lost", message).with_cure("Open a new stream.")
}
