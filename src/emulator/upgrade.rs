//! HTTP/1.1 connections: the WebSocket form of the operation, and a word to whoever came this way for anything else.
//!
//! One request, one connection: every answer but the upgrade ends it. Nobody is asked for an `Origin`: the signature says
//! who it is, as with the service.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use super::{
    admission,
    faults::Line,
    registry::Registry,
    request::{self, Form},
    server::HANDSHAKE_LIMIT,
    stream,
    wire::{Answer, Handshake, WebSocket, Wire},
};

/// Above every request's head: a presigned address with a session token is a few thousand bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

pub(super) async fn serve<S>(socket: S, line: Line, registry: &Arc<Registry>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection_id = registry.next_connection_id();
    let line = Mutex::new(Some(line));
    let answer = service_fn(|request| answer(request, &line, connection_id, registry));
    let served = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_LIMIT)
        .serve_connection(TokioIo::new(socket), answer)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        registry.log(&format!("connection {connection_id} failed: {error}"));
    }
}

/// Answers a request, for a WebSocket as its stream sees fit. Fails where the stream breaks its connection instead.
async fn answer(
    mut request: Request<Incoming>,
    line: &Mutex<Option<Line>>,
    connection_id: u64,
    registry: &Arc<Registry>,
) -> io::Result<Answer> {
    let upgrade = hyper::upgrade::on(&mut request);
    let request = request.map(drop);
    if !request::is_websocket_path(request.uri().path()) {
        return Ok(turn_away());
    }
    let accepted = create_response(&request);
    let (parts, ()) = request.into_parts();
    if let Err(error) = &accepted
        && parts.method == Method::GET
    {
        return Ok(not_an_upgrade(&error.to_string()));
    }
    let admitted = match admission::admit(&parts, Form::WebSocket, connection_id, registry) {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(refusal.answer()),
    };
    let mut accepted = accepted.map_err(io::Error::other)?.map(|()| Full::default());
    request::insert_request_id(accepted.headers_mut());
    // One request: the line has not been taken.
    let line = line.lock().unwrap_or_else(PoisonError::into_inner).take();
    let line = line.ok_or_else(|| io::Error::other("a second request came on a connection for one"))?;
    let (respond, answered) = oneshot::channel();
    let websocket = WebSocket::new(Handshake { respond, accepted, upgrade }, line);
    tokio::spawn(stream::serve(Arc::clone(registry), Wire::WebSocket(Box::new(websocket)), admitted));
    answered.await.map_err(|_| io::Error::other("its stream was broken before it was answered"))
}

/// For browsers and for clients that fall back to HTTP/1.1.
fn turn_away() -> Answer {
    const BODY: &str = "EMULATOR, not AWS: this port speaks HTTP/2 (without TLS with prior knowledge), and WebSockets at \
                        /model/{modelId}/invoke-with-bidirectional-stream-websocket.\n";
    text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, BODY.into())
}

fn not_an_upgrade(why: &str) -> Answer {
    let mut answer = text(
        StatusCode::UPGRADE_REQUIRED,
        format!("EMULATOR, not AWS: this address is for WebSockets (RFC 6455, version 13): {why}\n"),
    );
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close, Upgrade"));
    answer
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
