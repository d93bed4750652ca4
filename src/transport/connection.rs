//! One HTTP/2 connection to the service, from the TCP handshake to its last stream.
//!
//! It exists beside the SDK's own client because that one keeps a single connection for each origin, lets further
//! streams wait for ever behind the peer's limit, sends no pings, and shares 5 MiB of window among all streams.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::{
    client::conn::http2,
    rt::{Executor, Read, Write},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{
    body::UplinkBody,
    errors,
    pings::{self, PingTimer},
    pool::{PoolSettings, ToldBy},
    proxy::{self, Route},
    pulse::{Metered, Pulse},
    tls::ClientTls,
};
use crate::error::{Error, ErrorKind, Result};

/// What one stream may have in flight towards us unread: about twelve seconds of 24 kHz audio in its two base64 coats.
const STREAM_WINDOW: u32 = 1 << 20;

/// What one stream may have buffered towards the peer beyond its window: one second of audio. More would hide
/// backpressure from the session's own bounded queue.
const SEND_BUFFER: usize = 64 << 10;

/// The peer has not told its limit yet. No peer can tell this value: a SETTINGS value has 32 bits.
const NOT_TOLD: usize = usize::MAX - 1;

const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// How long the peer's kernel may leave bytes unacknowledged, or its window closed. Where pings run they are earlier;
/// this is for peers that want none.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Sender = http2::SendRequest<UplinkBody>;

/// The task body of a connection; resolves when the connection has ended, with the reason if it was not orderly.
pub(super) type Driver = Pin<Box<dyn Future<Output = Option<hyper::Error>> + Send>>;

/// A connection that is up.
pub(super) struct Dialed {
    pub(super) sender: Sender,
    pub(super) driver: Driver,
    pub(super) pulse: Arc<Pulse>,
}

/// How to reach one origin.
pub(super) struct Dialer {
    pub(super) origin: Uri,
    /// None: HTTP/2 by prior knowledge in clear text.
    pub(super) tls: Option<Arc<ClientTls>>,
    /// None: directly.
    pub(super) route: Option<Route>,
    pub(super) settings: PoolSettings,
    /// Set once the peer has answered `ENHANCE_YOUR_CALM`: no connection to it pings any more.
    pub(super) calm: Arc<AtomicBool>,
}

impl Dialer {
    /// Connects and sends the HTTP/2 preface. Does not wait for the peer's SETTINGS: `told` learns of them.
    pub(super) async fn dial(&self, told: ToldBy) -> Result<Dialed> {
        let bound = self.settings.connect_timeout;
        tokio::time::timeout(bound, self.connect(told)).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Connect,
                "connect_timeout",
                format!("No connection to {} within {} s.", self.place(), bound.as_secs_f32()),
            )
            .with_cure("Check the endpoint, the network and its firewalls."))
        })
    }

    async fn connect(&self, told: ToldBy) -> Result<Dialed> {
        let tcp = self.connect_tcp().await?;
        match &self.tls {
            None => self.handshake(tcp, told).await,
            Some(tls) => {
                let name = ClientTls::server_name(self.origin.host().unwrap_or_default())?;
                let connector = TlsConnector::from(tls.config());
                let stream =
                    connector.connect(name, tcp).await.map_err(|error| errors::from_tls(&error, &self.place()))?;
                if stream.get_ref().1.alpn_protocol() != Some(b"h2".as_slice()) {
                    return Err(errors::no_http2(&self.place()));
                }
                self.handshake(stream, told).await
            }
        }
    }

    async fn connect_tcp(&self) -> Result<TcpStream> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        // Nagle's algorithm against delayed ACKs costs 40 ms steps on small frames.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.settings.connect_timeout));
        connector.set_keepalive(Some(TCP_KEEPALIVE));
        #[cfg(target_os = "linux")]
        connector
            .set_tcp_user_timeout(Some(TCP_USER_TIMEOUT.max(self.settings.ping_interval + self.settings.ping_timeout)));
        let Some(route) = &self.route else {
            let connected = connector.call(self.origin.clone()).await;
            return connected.map(TokioIo::into_inner).map_err(|error| errors::from_connect(&error, &self.place()));
        };
        let connected = connector.call(route.proxy().clone()).await.map(TokioIo::into_inner);
        let mut tcp = connected.map_err(|error| {
            errors::from_connect(&error, &format!("the proxy {}", route.place())).with_cure(proxy::CURE)
        })?;
        route.tunnel(&mut tcp, &self.origin).await?;
        Ok(tcp)
    }

    async fn handshake<T>(&self, socket: T, told: ToldBy) -> Result<Dialed>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pulse = Arc::new(Pulse::new(Arc::clone(&self.calm)));
        let io = TokioIo::new(Metered::new(socket, Arc::clone(&pulse)));
        let executor = Stash::default();
        let mut builder = http2::Builder::new(executor.clone());
        // Window of the connection = one for each stream, and one more for data in flight to streams that were reset:
        // however many readers stop, the next one still has its whole stream window.
        let streams = u32::try_from(self.settings.streams_per_connection).unwrap_or(u32::MAX);
        let window = streams.saturating_add(1).saturating_mul(STREAM_WINDOW).min((1 << 31) - 1);
        builder
            .timer(PingTimer { pulse: Arc::clone(&pulse), bounds: self.settings.pings() })
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(window)
            .max_send_buf_size(SEND_BUFFER)
            .initial_max_send_streams(NOT_TOLD)
            .keep_alive_interval(self.settings.ping_interval)
            .keep_alive_timeout(pings::ANSWER)
            .keep_alive_while_idle(false);
        let (sender, requests) =
            builder.handshake(io).await.map_err(|error| errors::from_handshake(&error, &self.place()))?;
        let connection = Watched { io: executor.take(), requests: Some(requests), seen: NOT_TOLD, told, failure: None };
        Ok(Dialed { sender, driver: Box::pin(connection), pulse })
    }

    /// `host:port` for messages.
    pub(super) fn place(&self) -> String {
        self.origin.authority().map_or_else(|| self.origin.to_string(), ToString::to_string)
    }
}

/// Runs hyper's two halves of a connection as one task, so that the peer's stream limit is read each time anything
/// has arrived. hyper tells the limit on request only and wakes nobody when it changes.
struct Watched<T>
where
    T: Read + Write + Unpin + Send + 'static,
{
    io: Option<Task>,
    requests: Option<http2::Connection<T, UplinkBody, Stash>>,
    seen: usize,
    told: ToldBy,
    failure: Option<hyper::Error>,
}

impl<T> Future for Watched<T>
where
    T: Read + Write + Unpin + Send + 'static,
{
    type Output = Option<hyper::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(io) = &mut this.io
            && io.as_mut().poll(cx).is_ready()
        {
            // Its drop tells the other half that the connection is at its end.
            this.io = None;
        }
        if let Some(requests) = &mut this.requests {
            if let Poll::Ready(ended) = Pin::new(&mut *requests).poll(cx) {
                this.failure = ended.err();
                this.requests = None;
                this.told.closing();
            } else {
                let limit = requests.current_max_send_streams();
                if limit != this.seen {
                    this.seen = limit;
                    this.told.limit(limit);
                }
            }
        }
        // Streams that are open outlive the request half (GOAWAY): go on until the socket is done.
        if this.io.is_none() && this.requests.is_none() { Poll::Ready(this.failure.take()) } else { Poll::Pending }
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An executor that keeps the first future, hyper's socket task, for [`Watched`] and spawns the others.
#[derive(Clone, Default)]
struct Stash(Arc<Mutex<Slot>>);

#[derive(Default)]
enum Slot {
    #[default]
    Waiting,
    Filled(Task),
    Taken,
}

impl Stash {
    fn take(&self) -> Option<Task> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Filled(task) => Some(task),
            Slot::Waiting | Slot::Taken => None,
        }
    }
}

impl<F> Executor<F> for Stash
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*slot, Slot::Waiting) {
            *slot = Slot::Filled(Box::pin(future));
        } else {
            drop(slot);
            tokio::spawn(future);
        }
    }
}

#[cfg(test)]
mod tests;
