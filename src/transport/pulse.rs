//! Signs of life of one connection, as its socket shows them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// An answer this late makes us doubt: no new stream goes onto such a connection.
const DOUBT: Duration = Duration::from_millis(300);

/// Of one connection. Times are kept as microseconds since it began, so that reading one takes no lock.
pub(super) struct Pulse {
    began: Instant,
    read: AtomicU64,
    sent: AtomicU64,
    asked: AtomicU64,
    /// The peer has asked for no more pings.
    calm: Arc<AtomicBool>,
}

impl Pulse {
    pub(super) fn new(calm: Arc<AtomicBool>) -> Self {
        let never = AtomicU64::default;
        Self { began: Instant::now(), read: never(), sent: never(), asked: never(), calm }
    }

    fn note(&self, what: &AtomicU64) {
        let since = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Zero is never: what happens in the first microsecond happened in the second.
        what.fetch_max(since.max(1), Ordering::Relaxed);
    }

    fn time(&self, what: &AtomicU64) -> Instant {
        self.began + Duration::from_micros(what.load(Ordering::Relaxed))
    }

    /// Something of a stream has gone to the connection.
    pub(super) fn note_sent(&self) {
        self.note(&self.sent);
    }

    /// A ping has gone to the connection.
    pub(super) fn note_asked(&self) {
        self.note(&self.asked);
    }

    /// Something has come from the peer, whatever it is.
    pub(super) fn note_read(&self) {
        self.note(&self.read);
    }

    /// When anything came from the peer last, or the connection began.
    pub(super) fn read_at(&self) -> Instant {
        self.time(&self.read)
    }

    /// Something was sent since the peer was heard last.
    pub(super) fn is_talking(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > self.read.load(Ordering::Relaxed)
    }

    pub(super) fn wants_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// A ping waits for its answer longer than it should.
    pub(super) fn is_doubtful(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        asked > self.read.load(Ordering::Relaxed) && !self.wants_calm() && self.time(&self.asked).elapsed() > DOUBT
    }
}

/// A socket that notes what it reads.
pub(super) struct Metered<T> {
    socket: T,
    pulse: Arc<Pulse>,
}

impl<T> Metered<T> {
    pub(super) fn new(socket: T, pulse: Arc<Pulse>) -> Self {
        Self { socket, pulse }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.note_read();
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
