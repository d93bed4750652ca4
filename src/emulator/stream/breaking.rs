//! Faults on one stream: committed in their places, behind what was said before them.

use std::{future::poll_fn, sync::Arc, time::Duration};

use h2::Reason;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{Phase, Stream};
use crate::emulator::{
    faults::{Armed, ConnectionFault, FaultKind, Scope},
    request::{Form, Refusal},
    wire::{Lost, Reaction},
};

/// A client that does not read is not waited for longer.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

impl Stream {
    /// Faults see an input event only when it was answered.
    pub(super) fn count_input(&mut self) {
        if let Some(name) = self.uncounted.take() {
            self.faults.input(name);
        }
    }

    /// Before the stream ends by itself: true where no fault has ended it first.
    pub(super) async fn goes_on(&mut self) -> bool {
        self.count_input();
        if self.faults.is_due() {
            self.commit().await;
        }
        self.phase == Phase::Talking && !self.over
    }

    pub(super) async fn commit(&mut self) {
        while self.phase == Phase::Talking
            && !self.over
            && let Some(armed) = self.faults.next()
        {
            self.drain().await;
            if !self.over {
                self.apply(&armed).await;
            }
        }
    }

    /// Lets what was said before the fault reach the socket.
    async fn drain(&mut self) {
        let drained = async {
            loop {
                self.flush();
                // The connection writes when it is polled.
                tokio::task::yield_now().await;
                if self.over || (self.outgoing.waiting_bytes() == 0 && self.wire.is_quiet()) {
                    return;
                }
                if let Some(held_until) = self.outgoing.held_until() {
                    sleep_until(held_until.into()).await;
                    continue;
                }
                match poll_fn(|cx| self.wire.poll_reaction(cx, true, self.outgoing.wants_room())).await {
                    Reaction::Gone(lost) => return self.lost(lost),
                    Reaction::Writable => {}
                }
            }
        };
        let _ = timeout(DRAIN_LIMIT, drained).await;
    }

    pub(super) async fn apply(&mut self, armed: &Arc<Armed>) {
        let fault = &armed.fault;
        if let FaultKind::Quota { max } = fault.kind
            && self.entry.streams_of_account() <= max
        {
            return armed.put_back();
        }
        self.entry.committed(fault);
        match &fault.kind {
            FaultKind::Refuse { status, code, message } => self.refuse(&Refusal::new(*status, code, message)),
            FaultKind::Quota { max } => {
                let message = format!("Too many concurrent streams: the account may have {max}.");
                self.refuse(&Refusal::new(400, "ServiceQuotaExceededException", message));
            }
            FaultKind::Skew { seconds } => self.skew = time::Duration::seconds(*seconds),
            FaultKind::RstStream { code } => {
                let reason = Reason::from(*code);
                let verdict = format!("fault: RST_STREAM {reason:?}");
                if self.wire.reset(reason) {
                    self.finish(verdict);
                } else {
                    self.close_websocket(CloseCode::Error, verdict);
                }
            }
            FaultKind::TcpReset => self.break_connection("fault: TCP reset", ConnectionFault::TcpReset).await,
            FaultKind::Fin => self.break_connection("fault: FIN", ConnectionFault::Fin).await,
            FaultKind::GoAway { code, hard } => {
                let fault = ConnectionFault::GoAway { reason: Reason::from(*code), hard: *hard };
                match (hard, self.wire.form()) {
                    (true, Form::Http2) => self.break_connection("fault: GOAWAY", fault).await,
                    (true, Form::WebSocket) => self.close_websocket(CloseCode::Away, "fault: GOAWAY".into()),
                    (false, Form::Http2) => {
                        self.wire.break_connection(fault, self.entry.stamp(), self.registry.longest_stream()).await;
                    }
                    // It refuses further streams, and there are none.
                    (false, Form::WebSocket) => {}
                }
            }
            FaultKind::EndStream => self.begin_end("fault: END_STREAM"),
            FaultKind::Exception { name, message } => {
                self.end_with_exception(name, message, format!("fault: {name}"));
            }
            FaultKind::Error { name, message } => {
                self.outgoing.error(name, message);
                self.begin_end(format!("fault: error {name}"));
            }
            FaultKind::Stall { scope: Scope::Stream, reading } if self.wire.form() == Form::Http2 => {
                self.stall("fault: stall", if *reading { Phase::Mute } else { Phase::Stalled });
            }
            FaultKind::Stall { reading, .. } => {
                self.break_connection("fault: stall", ConnectionFault::Stall { reading: *reading }).await;
            }
            FaultKind::Truncated => {
                self.outgoing.half_a_message();
                self.begin_end("fault: truncated");
            }
            FaultKind::BadCrc => self.outgoing.bad_crc(),
            FaultKind::Junk(junk) => self.outgoing.junk(*junk),
            FaultKind::Event { name, fields } => self.outgoing.event(&event(name, fields)),
            FaultKind::UnknownFrame => self.outgoing.unknown_frame(),
            FaultKind::BigEvent { size } => {
                let fields = format!(r#"{{"content":"{}"}}"#, "A".repeat(*size));
                self.outgoing.event(&event("audioOutput", &fields));
            }
            FaultKind::TinyFrames { size } => self.outgoing.cut_to(*size),
            FaultKind::Drip { bytes_per_s } => self.outgoing.drip(*bytes_per_s),
            FaultKind::Duplicate { count } => self.duplicates = count.unwrap_or(u64::MAX),
            // Over before there was a stream.
            FaultKind::RefuseConnection { .. } => {}
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let verdict = format!("fault: refused with {} {}", refusal.status, refusal.code);
        match self.wire.refuse(refusal) {
            Ok(true) => {
                self.verdict = Some(verdict);
                self.close();
            }
            // In a stream's own spelling.
            Ok(false) => {
                let mut name = refusal.code.clone();
                name.get_mut(..1).into_iter().for_each(str::make_ascii_lowercase);
                self.end_with_exception(&name, &refusal.message, verdict);
            }
            Err(lost) => self.lost(lost),
        }
    }

    fn close_websocket(&mut self, code: CloseCode, verdict: String) {
        self.wire.close_with(code);
        self.begin_end(verdict);
    }

    /// On HTTP/2 the stream is held until its connection is gone: dropped now, it would be reset ahead of the fault.
    async fn break_connection(&mut self, verdict: &str, fault: ConnectionFault) {
        self.stall(verdict, Phase::Stalled);
        if self.wire.break_connection(fault, self.entry.stamp(), self.registry.longest_stream()).await {
            self.lost(Lost::Connection);
        }
    }

    fn stall(&mut self, verdict: &str, phase: Phase) {
        self.verdict = Some(verdict.to_owned());
        self.phase = phase;
    }
}

fn event(name: &str, fields: &str) -> Vec<u8> {
    format!(r#"{{"event":{{{}:{fields}}}}}"#, serde_json::Value::from(name)).into_bytes()
}
