//! Listeners and connections: TLS and cleartext, HTTP/2 (HTTP/1.1 is `upgrade`'s).
//!
//! On the `h2` crate rather than hyper's server: faults need resets, GOAWAYs and half-closed streams exactly as asked,
//! and a stream's task can hand frames to the connection without a body in between.

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::Request;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{error::Elapsed, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    admission,
    faults::{ConnectionFault, Line},
    registry::{Registry, Stamp},
    request::{self, Form},
    stream,
    tls::HTTP2_ALPN,
    upgrade,
    wire::{Http2, Wire},
};

pub(super) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// What every HTTP/2 client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LOOK_BYTES: usize = PREFACE.len();
/// A refused client may still be sending its opening events.
const REFUSED_LINGER: Duration = Duration::from_secs(5);
/// For the answer to a ping ahead of a TCP reset.
const HEARD_LIMIT: Duration = Duration::from_millis(250);
/// What one stream may send ahead of being read: seconds of audio, or the longest event there is.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// Handed to h2 ahead of the socket; the client's own windows are the real bound.
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// Accepts until the runtime is shut down.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, registry: Arc<Registry>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(greet(socket, tls.clone(), Arc::clone(&registry)));
            }
            Err(error) => {
                registry.log(&format!("cannot accept a connection: {error}"));
                // Out of descriptors, most likely; the next attempt would fail at once.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn greet(socket: TcpStream, tls: Option<TlsAcceptor>, registry: Arc<Registry>) {
    if let Err(error) = try_greet(socket, tls, &registry).await {
        registry.log(&format!("a connection failed: {error}"));
    }
}

async fn try_greet(socket: TcpStream, tls: Option<TlsAcceptor>, registry: &Arc<Registry>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let line = Line::of(&socket)?;
    match registry.faults.at_accept() {
        None => {}
        Some(false) => return line.reset(socket),
        Some(true) => return line.stall(socket, true, registry.longest_stream()).await,
    }
    if let Some(acceptor) = tls {
        let socket = timeout(HANDSHAKE_LIMIT, acceptor.accept(socket)).await.map_err(timed_out)??;
        let alpn = socket.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        serve_either(socket, alpn.as_deref(), line, registry).await
    } else {
        serve_either(socket, None, line, registry).await
    }
}

/// Serves what the client speaks: HTTP/2, or HTTP/1.1 as every browser does that opens a WebSocket.
async fn serve_either<S>(socket: S, alpn: Option<&[u8]>, line: Line, registry: &Arc<Registry>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // As small as it may be: once that is read the socket is read past it.
    let mut socket = BufReader::with_capacity(LOOK_BYTES, socket);
    let http2 = match alpn {
        Some(protocol) => protocol == HTTP2_ALPN,
        None => timeout(HANDSHAKE_LIMIT, begins_http2(&mut socket)).await.map_err(timed_out)??,
    };
    if http2 {
        serve(socket, line, registry).await;
    } else {
        upgrade::serve(socket, line, registry).await;
    }
    Ok(())
}

/// Looks at the first bytes without taking them.
async fn begins_http2<S: AsyncRead + Unpin>(socket: &mut BufReader<S>) -> io::Result<bool> {
    let start = socket.fill_buf().await?;
    Ok(!start.is_empty() && start.starts_with(PREFACE.get(..start.len().min(PREFACE.len())).unwrap_or_default()))
}

fn timed_out(_: Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no handshake within 10 s")
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(socket: S, line: Line, registry: &Arc<Registry>) {
    let connection_id = registry.next_connection_id();
    let max_streams = registry.settings.max_streams_per_connection;
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(max_streams)
        .initial_window_size(STREAM_WINDOW_BYTES)
        // The sum of the streams' windows: one that is not read never closes the window of its neighbours.
        .initial_connection_window_size(STREAM_WINDOW_BYTES.saturating_mul(max_streams.max(1)).min(MAX_WINDOW_BYTES))
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        // By default h2 ends a whole connection over many small unread DATA frames, which closing envelopes are.
        .data_frame_budget(usize::MAX);
    let mut connection = match timeout(HANDSHAKE_LIMIT, builder.handshake::<_, Bytes>(socket)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return registry.log(&format!("connection {connection_id} failed: {error}")),
        Err(_) => return registry.log(&format!("connection {connection_id} failed: no HTTP/2 preface within 10 s")),
    };
    let (faults_in, mut faults) = mpsc::channel(8);
    let open = |(request, respond)| open_stream(request, respond, connection_id, &faults_in, registry);
    let told = loop {
        tokio::select! {
            // Accepting also writes what the streams have said, so that a fault comes after it.
            biased;
            accepted = connection.accept() => match accepted {
                Some(Ok(request)) => open(request),
                Some(Err(error)) => break Err(error.to_string()),
                None => break Ok(()),
            },
            Some((fault, stamp)) = faults.recv() => {
                if fault == ConnectionFault::TcpReset {
                    until_heard(&mut connection, open).await;
                }
                stamp.now();
                let broken = match fault {
                    ConnectionFault::GoAway { hard: false, .. } => {
                        connection.graceful_shutdown();
                        continue;
                    }
                    ConnectionFault::GoAway { reason, hard: true } => {
                        connection.abrupt_shutdown(reason);
                        continue;
                    }
                    ConnectionFault::Fin => line.fin(connection).await,
                    ConnectionFault::TcpReset => line.reset(connection),
                    ConnectionFault::Stall { reading } => {
                        line.stall(connection, reading, registry.longest_stream()).await
                    }
                };
                break broken.map_err(|error| error.to_string());
            }
        }
    };
    if let Err(error) = told {
        registry.log(&format!("connection {connection_id} ended: {error}"));
    }
}

/// Waits until the client's HTTP/2 has taken what was sent, or for a moment. A client that writes to a connection that was
/// reset loses what it has not read: on a busy machine that was all of it, wherever the reset had been asked for.
async fn until_heard<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut h2::server::Connection<S, Bytes>,
    open: impl Fn((Request<RecvStream>, SendResponse<Bytes>)),
) {
    let Some(mut pings) = connection.ping_pong() else { return };
    let mut heard = pin!(timeout(HEARD_LIMIT, pings.ping(h2::Ping::opaque())));
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                Some(Ok(request)) => open(request),
                Some(Err(_)) | None => return,
            },
            _ = &mut heard => return,
        }
    }
}

fn open_stream(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection_id: u64,
    connection: &mpsc::Sender<(ConnectionFault, Stamp)>,
    registry: &Arc<Registry>,
) {
    let (parts, body) = request.into_parts();
    match admission::admit(&parts, Form::Http2, connection_id, registry) {
        Ok(admitted) => {
            let wire = Wire::Http2(Http2::new(body, respond, connection.clone()));
            tokio::spawn(stream::serve(Arc::clone(registry), wire, admitted));
        }
        Err(refusal) => {
            if let Ok(stream) = request::refuse(&mut respond, &refusal) {
                tokio::spawn(async move {
                    let _ = timeout(REFUSED_LINGER, drain(body)).await;
                    drop(stream);
                });
            }
        }
    }
}

async fn drain(mut body: RecvStream) {
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
}
