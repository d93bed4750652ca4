//! One transport stream with both of its halves. What goes up and what comes down is the owner's affair.

use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    error::{Error, Result},
    transport::{BoxFuture, Downlink, OpenRequest, Transport},
};

pub(super) struct Duplex {
    /// Before the uplink, since fields drop in this order: a stream given up half way must be reset, not ended.
    downlink: Receiving,
    uplink: Uplink,
    /// Kept beyond the downlink, for the error that ends it.
    request_id: Option<String>,
    credentials_expire_at: Option<SystemTime>,
    opened: bool,
    /// In turn, so that neither direction starves the other; not by lot, so that what failed once fails again.
    reads_first: bool,
}

enum Uplink {
    Open(mpsc::Sender<Bytes>),
    /// We have ended our input.
    Ended,
    /// The transport takes nothing more; its downlink will say why.
    Lost,
}

enum Receiving {
    Headers(BoxFuture<Result<Downlink>>),
    Events(Downlink),
    Over,
}

/// What happened on the stream.
pub(super) enum Moved<What> {
    /// The transport has taken the event; so its owner called it.
    Sent(What),
    UplinkLost,
    Opened,
    Received(Bytes),
    /// The peer ended its side; nothing follows.
    Ended,
    Failed(Error),
}

impl Duplex {
    /// Begins to open a stream; events may be sent before any headers.
    pub(super) fn open(transport: &dyn Transport, request: OpenRequest) -> Self {
        let parts = transport.open(request);
        Self {
            downlink: Receiving::Headers(parts.headers),
            uplink: Uplink::Open(parts.uplink),
            request_id: None,
            credentials_expire_at: None,
            opened: false,
            reads_first: false,
        }
    }

    pub(super) fn takes_input(&self) -> bool {
        matches!(self.uplink, Uplink::Open(_))
    }

    /// Nothing more goes up. What came down so far and what is to come stays.
    pub(super) fn end_input(&mut self) {
        self.uplink = Uplink::Ended;
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// When the keys end that the stream was signed with, once it is open.
    pub(super) fn credentials_expire_at(&self) -> Option<SystemTime> {
        self.credentials_expire_at
    }

    /// Its response headers have come.
    pub(super) fn is_open(&self) -> bool {
        self.opened
    }

    /// Writes and reads, whichever comes first; a blocked uplink does not hold up reading, nor the other way round.
    ///
    /// `take` gives the next event once the transport has a place for it; `waiting` says that there is one. With
    /// `may_read` false events are left to the transport. Cancel-safe.
    pub(super) async fn next<What>(
        &mut self,
        waiting: bool,
        take: impl FnOnce() -> Option<(Bytes, What)>,
        may_read: bool,
    ) -> Moved<What> {
        let Self { uplink, downlink, reads_first, .. } = self;
        *reads_first = !*reads_first;
        let (write, read) = (uplink.write(waiting, take), downlink.read(may_read));
        let moved = if *reads_first {
            tokio::select! { biased; read = read => read, written = write => written }
        } else {
            tokio::select! { biased; written = write => written, read = read => read }
        };
        match (&moved, downlink) {
            (Moved::UplinkLost, _) => *uplink = Uplink::Lost,
            (Moved::Opened, Receiving::Events(downlink)) => {
                self.opened = true;
                self.request_id = downlink.request_id().map(str::to_owned);
                self.credentials_expire_at = downlink.credentials_expire_at();
            }
            _ => {}
        }
        moved
    }
}

impl Uplink {
    /// Pending for ever while there is nothing to write.
    async fn write<What>(&self, waiting: bool, take: impl FnOnce() -> Option<(Bytes, What)>) -> Moved<What> {
        let (Self::Open(sender), true) = (self, waiting) else { return std::future::pending().await };
        let Ok(place) = sender.reserve().await else { return Moved::UplinkLost };
        let Some((event, what)) = take() else { return std::future::pending().await };
        place.send(event);
        Moved::Sent(what)
    }
}

impl Receiving {
    async fn read<What>(&mut self, may_read: bool) -> Moved<What> {
        let moved = match self {
            Self::Headers(headers) => match headers.await {
                Ok(downlink) => {
                    *self = Self::Events(downlink);
                    return Moved::Opened;
                }
                Err(error) => Moved::Failed(error),
            },
            Self::Events(downlink) if may_read => match downlink.recv().await {
                Ok(Some(json)) => return Moved::Received(json),
                Ok(None) => Moved::Ended,
                Err(error) => Moved::Failed(error),
            },
            Self::Events(_) | Self::Over => return std::future::pending().await,
        };
        *self = Self::Over;
        moved
    }
}
