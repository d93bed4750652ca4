//! The two bodies of a stream. Both hold the stream's [`Lease`], so that its place on the connection is free again
//! only when neither direction needs it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{
    errors,
    pool::{Fate, Lease},
};
use crate::error::Error;

/// What the SDK sends, signed and framed.
pub(super) struct UplinkBody {
    sdk: Pin<Box<SdkBody>>,
    intake: Watched,
}

/// Since when a stream takes nothing of what it is given; None: it asks for more.
#[derive(Default)]
pub(super) struct Intake(Mutex<Option<Instant>>);

impl Intake {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn blocked_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is blocked any more when the body is gone.
struct Watched(Arc<Lease>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.intake.set(None);
    }
}

impl UplinkBody {
    pub(super) fn new(sdk: Pin<Box<SdkBody>>, lease: Arc<Lease>) -> Self {
        // The request itself.
        lease.pulse.note_sent();
        Self { sdk, intake: Watched(lease) }
    }

    /// Gives the unsent body back, for another connection.
    pub(super) fn into_sdk(self) -> Pin<Box<SdkBody>> {
        self.sdk
    }
}

impl Body for UplinkBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Body::poll_frame(self.sdk.as_mut(), cx);
        let lease = &self.intake.0;
        if let Poll::Ready(Some(Ok(_))) = &polled {
            lease.pulse.note_sent();
            // hyper asks for more at once, unless the peer's window and its own buffer are full.
            lease.intake.set(Some(Instant::now()));
        } else {
            lease.intake.set(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(&*self.sdk)
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&*self.sdk)
    }
}

/// What the service sends. It also watches the other direction: only here can an error be told.
pub(super) struct DownlinkBody {
    incoming: Incoming,
    lost: Option<(hyper::Error, Fate)>,
    lease: Arc<Lease>,
    /// How long the service may take nothing of what goes up.
    stall: Duration,
    look: Pin<Box<Sleep>>,
}

impl DownlinkBody {
    pub(super) fn new(incoming: Incoming, lease: Arc<Lease>, stall: Duration) -> Self {
        let look = Box::pin(tokio::time::sleep(stall));
        Self { incoming, lost: None, lease, stall, look }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.look.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let due = self.lease.intake.blocked_since().unwrap_or(now) + self.stall;
            if due <= now {
                return Poll::Ready(());
            }
            self.look.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl Body for DownlinkBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.lost.is_none() {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Err(error))) => self.lost = Some((error, self.lease.fate.clone())),
                Poll::Ready(frame) => {
                    return Poll::Ready(frame.map(|frame| frame.map_err(|error| errors::from_lost(&error, None))));
                }
                Poll::Pending => {
                    ready!(self.poll_stalled(cx));
                    return Poll::Ready(Some(Err(errors::stalled(self.stall))));
                }
            }
        }
        let Some((error, fate)) = &mut self.lost else { return Poll::Ready(None) };
        if !errors::lost_with_connection(error) {
            return Poll::Ready(Some(Err(errors::from_lost(error, None))));
        }
        let reason = ready!(Pin::new(fate).poll(cx)).ok().flatten();
        Poll::Ready(Some(Err(errors::from_lost(error, reason.as_deref()))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
