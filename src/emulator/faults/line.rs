//! What can be done to a TCP connection past HTTP/2 and TLS, which would say goodbye in their own way.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use futures_util::FutureExt as _;
use h2::Reason;
use tokio::{
    io::{AsyncReadExt as _, Interest, Ready},
    net::TcpStream,
    time::{sleep, timeout},
};

/// A fault that a stream asks of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulator) enum ConnectionFault {
    Fin,
    TcpReset,
    GoAway { reason: Reason, hard: bool },
    Stall { reading: bool },
}

/// After a FIN the client's own is awaited for so long.
const LINGER: Duration = Duration::from_secs(5);
/// How often a connection that nobody reads is asked whether its client is still there.
const LOOK: Duration = Duration::from_millis(100);

/// A second descriptor of a connection's socket. One for each connection, since a fault may be asked of any at any time.
pub(in crate::emulator) struct Line(OwnedFd);

impl Line {
    pub(in crate::emulator) fn of(socket: &TcpStream) -> io::Result<Self> {
        Ok(Self(socket.as_fd().try_clone_to_owned()?))
    }

    /// Sends the FIN, and lets `connection` go. What the client still sends is thrown away until it closes too: closing
    /// at once would send RST after the FIN.
    pub(in crate::emulator) async fn fin<C>(self, connection: C) -> io::Result<()> {
        let socket = std::net::TcpStream::from(self.0);
        socket.shutdown(Shutdown::Write)?;
        drop(connection);
        let _ = timeout(LINGER, drain(TcpStream::from_std(socket)?)).await;
        Ok(())
    }

    /// Lets `connection` go with RST.
    pub(in crate::emulator) fn reset<C>(self, connection: C) -> io::Result<()> {
        let socket = TcpStream::from_std(self.0.into())?;
        socket.set_zero_linger()?;
        drop(connection);
        // The last descriptor closes here.
        drop(socket);
        Ok(())
    }

    /// Holds `connection` in silence until the client has left it, or for `limit`.
    pub(in crate::emulator) async fn stall<C>(self, connection: C, reading: bool, limit: Duration) -> io::Result<()> {
        let socket = TcpStream::from_std(self.0.into())?;
        let _ = if reading { timeout(limit, drain(socket)).await } else { timeout(limit, left(socket)).await };
        drop(connection);
        Ok(())
    }
}

/// Reads and throws away until the client closes.
async fn drain(mut socket: TcpStream) {
    let mut sink = vec![0; 16 * 1024];
    while socket.read(&mut sink).await.is_ok_and(|len| len > 0) {}
}

/// Waits until the client closes, without reading what it has sent before.
async fn left(socket: TcpStream) {
    loop {
        let ready = socket.ready(Interest::READABLE).now_or_never();
        if ready.is_some_and(|ready| ready.map_or(true, Ready::is_read_closed)) {
            return;
        }
        sleep(LOOK).await;
    }
}
