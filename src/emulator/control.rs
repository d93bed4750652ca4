//! The control interface: faults set and cleared, streams and recordings read, from another process of this machine.
//!
//! HTTP/1.1 with JSON, so that `curl` and every standard library will do. It listens on loopback whatever the emulator
//! does, wants a token that only whoever started the emulator was told, and answers no name but loopback's: a page in a
//! browser that rebinds its own name to 127.0.0.1 comes with that name.

mod routes;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::registry::Registry;

const TOKEN_BYTES: usize = 32;
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// For one request and its answer.
const LIMIT: Duration = Duration::from_secs(30);
const MAX_CONNECTIONS: usize = 32;

/// The listener and the token.
pub(super) fn open() -> io::Result<(TcpListener, String)> {
    let listener = super::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)?;
    let mut token = [0; TOKEN_BYTES];
    SystemRandom::new().fill(&mut token).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok((listener, super::signature::hex(&token)))
}

/// Serves until the runtime is shut down.
pub(super) fn serve(listener: TcpListener, token: &str, registry: &Arc<Registry>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let door = Arc::new(Door::new(token));
    let registry = Arc::clone(registry);
    tokio::spawn(async move {
        let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((socket, _)) => {
                    let (door, registry) = (Arc::clone(&door), Arc::clone(&registry));
                    tokio::spawn(async move {
                        let _ = timeout(LIMIT, attend(socket, &door, &registry)).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely; the next attempt would fail at once.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(())
}

/// One request, one connection.
async fn attend(socket: TcpStream, door: &Door, registry: &Registry) -> hyper::Result<()> {
    let answer =
        service_fn(|request| async { Ok::<_, std::convert::Infallible>(door.answer(request, registry).await) });
    http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(socket), answer).await
}

/// What an answer is made of.
enum Answer {
    Json(StatusCode, Value),
    Bytes(Vec<u8>),
}

impl Answer {
    fn wrong(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Json(status, json!({ "error": message.into() }))
    }
}

struct Door {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Door {
    fn new(token: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let tag = hmac::sign(&key, token.as_bytes());
        Self { key, tag }
    }

    async fn answer(&self, request: Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
        let answer = if let Some(refusal) = self.refuses(&request) {
            refusal
        } else {
            let (parts, body) = request.into_parts();
            match Limited::new(body, MAX_BODY_BYTES).collect().await {
                Ok(body) => routes::answer(&parts.method, parts.uri.path(), &body.to_bytes(), registry),
                Err(_) => Answer::wrong(StatusCode::PAYLOAD_TOO_LARGE, "the body is cut short or over 1 MiB"),
            }
        };
        let (status, kind, body) = match answer {
            Answer::Json(status, value) => (status, "application/json", Bytes::from(value.to_string())),
            Answer::Bytes(bytes) => (StatusCode::OK, "application/octet-stream", bytes.into()),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn refuses<B>(&self, request: &Request<B>) -> Option<Answer> {
        if !names_loopback(request.headers()) {
            let message = "the Host header names something other than this machine's loopback";
            return Some(Answer::wrong(StatusCode::MISDIRECTED_REQUEST, message));
        }
        if !self.opens_to(request.headers()) {
            let message = "give the token: Authorization: Bearer <control_token>";
            return Some(Answer::wrong(StatusCode::UNAUTHORIZED, message));
        }
        None
    }

    /// In constant time: both sides are hashed under a key that the other side does not know.
    fn opens_to(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else { return false };
        given
            .as_bytes()
            .split_first_chunk::<7>()
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .is_some_and(|(_, token)| hmac::verify(&self.key, token, self.tag.as_ref()).is_ok())
    }
}

/// Whether there is one Host header, of `localhost` or a loopback address.
fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<http::uri::Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
