//! One HTTP/2 connection to the service, from the TCP handshake to its last stream.
//!
//! It exists beside the SDK's own client because that one keeps a single connection for each origin, lets further
//! streams wait for ever behind the peer's limit, sends no pings, and shares 5 MiB of window among all streams.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::Uri;
use hyper::{
    client::conn::http2,
    rt::{Executor, Read, Sleep, Timer, Write},
};
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioIo, TokioTimer},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{
    body::UplinkBody,
    errors,
    pool::{PoolSettings, ToldBy},
    proxy::{self, Route},
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

pub(super) type Sender = http2::SendRequest<UplinkBody>;

/// The task body of a connection; resolves when the connection has ended, with the reason if it was not orderly.
pub(super) type Driver = Pin<Box<dyn Future<Output = Option<hyper::Error>> + Send>>;

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
    pub(super) async fn dial(&self, told: ToldBy) -> Result<(Sender, Driver)> {
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

    async fn connect(&self, told: ToldBy) -> Result<(Sender, Driver)> {
        let tcp = self.connect_tcp().await?;
        match &self.tls {
            None => self.handshake(TokioIo::new(tcp), told).await,
            Some(tls) => {
                let name = ClientTls::server_name(self.origin.host().unwrap_or_default())?;
                let connector = TlsConnector::from(tls.config());
                let stream =
                    connector.connect(name, tcp).await.map_err(|error| errors::from_tls(&error, &self.place()))?;
                if stream.get_ref().1.alpn_protocol() != Some(b"h2".as_slice()) {
                    return Err(errors::no_http2(&self.place()));
                }
                self.handshake(TokioIo::new(stream), told).await
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

    async fn handshake<T>(&self, io: T, told: ToldBy) -> Result<(Sender, Driver)>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let executor = Stash::default();
        let mut builder = http2::Builder::new(executor.clone());
        // Window of the connection = one for each stream, and one more for data in flight to streams that were reset:
        // however many readers stop, the next one still has its whole stream window.
        let streams = u32::try_from(self.settings.streams_per_connection).unwrap_or(u32::MAX);
        let window = streams.saturating_add(1).saturating_mul(STREAM_WINDOW).min((1 << 31) - 1);
        builder
            .timer(CalmTimer { calm: Arc::clone(&self.calm) })
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(window)
            .max_send_buf_size(SEND_BUFFER)
            .initial_max_send_streams(NOT_TOLD)
            .keep_alive_interval(self.settings.ping_interval)
            .keep_alive_timeout(self.settings.ping_timeout)
            .keep_alive_while_idle(false);
        let (sender, requests) =
            builder.handshake(io).await.map_err(|error| errors::from_handshake(&error, &self.place()))?;
        let connection = Watched { io: executor.take(), requests: Some(requests), seen: NOT_TOLD, told, failure: None };
        Ok((sender, Box::pin(connection)))
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

/// Tokio's clock for hyper's pings, which stands still once the peer has asked for calm: hyper cannot take a
/// connection's pings back.
struct CalmTimer {
    calm: Arc<AtomicBool>,
}

impl CalmTimer {
    fn wrap(&self, inner: Pin<Box<dyn Sleep>>) -> Pin<Box<dyn Sleep>> {
        Box::pin(CalmSleep { inner, calm: Arc::clone(&self.calm) })
    }
}

impl Timer for CalmTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.wrap(TokioTimer::new().sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.wrap(TokioTimer::new().sleep_until(deadline))
    }
}

struct CalmSleep {
    inner: Pin<Box<dyn Sleep>>,
    calm: Arc<AtomicBool>,
}

impl Sleep for CalmSleep {}

impl Future for CalmSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.inner.as_mut().poll(cx).is_pending() || self.calm.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
