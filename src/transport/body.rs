//! The two bodies of a stream. Both hold the stream's [`Lease`], so that its place on the connection is free again
//! only when neither direction needs it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    errors,
    pool::{Fate, Lease},
};
use crate::error::Error;

/// What the SDK sends, signed and framed.
pub(super) struct UplinkBody {
    sdk: Pin<Box<SdkBody>>,
    _lease: Arc<Lease>,
}

impl UplinkBody {
    pub(super) fn new(sdk: Pin<Box<SdkBody>>, lease: Arc<Lease>) -> Self {
        Self { sdk, _lease: lease }
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
        Body::poll_frame(self.sdk.as_mut(), cx)
    }

    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(&*self.sdk)
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&*self.sdk)
    }
}

/// What the service sends.
pub(super) struct DownlinkBody {
    incoming: Incoming,
    lost: Option<(hyper::Error, Fate)>,
    lease: Arc<Lease>,
}

impl DownlinkBody {
    pub(super) fn new(incoming: Incoming, lease: Arc<Lease>) -> Self {
        Self { incoming, lost: None, lease }
    }
}

impl Body for DownlinkBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.lost.is_none() {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Err(error)) => self.lost = Some((error, self.lease.fate.clone())),
                frame => return Poll::Ready(frame.map(|frame| frame.map_err(|error| errors::from_lost(&error, None)))),
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
