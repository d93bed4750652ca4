//! One duplex stream to the service: bytes of event JSON up, bytes of event JSON down.
//!
//! [`Transport`] is the AWS SDK over our own HTTP/2 connections, or its in-memory twin for tests of the session.

mod body;
mod chain;
mod connection;
mod connector;
mod credentials;
mod endpoint;
mod errors;
mod keyring;
pub mod memory;
mod pings;
pub mod pool;
mod proxy;
mod pulse;
pub mod sdk;
mod texts;
mod tidy;
mod tls;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::Result;

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// AWS keys. Debug shows four characters of the id and nothing else.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
    pub expires_at: Option<SystemTime>,
}

/// Asks whoever opened the stream for credentials (Python's callable, through the request lane).
pub trait AskCredentials: Send + Sync {
    fn ask(&self) -> BoxFuture<Result<Credentials>>;
}

#[derive(Clone)]
pub struct OpenRequest {
    pub model_id: String,
    /// Where the model is offered; empty: not known, and not checked. A custom endpoint is not checked either.
    pub regions: Vec<String>,
    /// Used when the client was configured with `CredentialSource::Ask`.
    pub ask: Option<Arc<dyn AskCredentials>>,
    /// Bound on the time to response headers.
    pub open_timeout: Duration,
    pub patience: Patience,
}

/// How long signs of life may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How late a peer is noticed that answers nothing any more, while something goes up to it.
    pub peer: Duration,
    /// How long the service may take nothing of an open stream's input, though it answers otherwise.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { peer: Duration::from_millis(2_500), stall: Duration::from_secs(10) }
    }
}

/// A stream being opened: events may be sent at once, the service may send headers only after the first.
pub struct Opening {
    /// Each item is one event's JSON. Dropping the sender ends the input properly
    /// (signed empty message, END_STREAM); dropping it together with the downlink early resets the stream (our cancel).
    pub uplink: mpsc::Sender<Bytes>,
    /// Resolves at the response headers.
    pub headers: BoxFuture<Result<Downlink>>,
}

pub enum Downlink {
    Sdk(Box<sdk::SdkDownlink>),
    Memory(memory::MemoryDownlink),
}

impl Downlink {
    /// The next event's JSON. `Ok(None)`: the peer ended the stream (clean only if we closed first; the caller knows).
    /// An error comes once; after it, `Ok(None)` for ever. Cancel-safe.
    pub async fn recv(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Sdk(downlink) => downlink.recv().await,
            Self::Memory(downlink) => downlink.recv().await,
        }
    }

    /// The service's request id, for errors and support.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Sdk(downlink) => downlink.request_id(),
            Self::Memory(downlink) => downlink.request_id(),
        }
    }

    /// When the keys end that every event of this stream is signed with; None where nobody said so. No newer keys reach
    /// a stream that is open.
    pub fn credentials_expire_at(&self) -> Option<SystemTime> {
        match self {
            Self::Sdk(downlink) => downlink.credentials_expire_at(),
            Self::Memory(downlink) => downlink.credentials_expire_at(),
        }
    }
}

pub trait Transport: Send + Sync + 'static {
    /// Begins a stream on the current Tokio runtime; never blocks.
    fn open(&self, request: OpenRequest) -> Opening;
}

/// How [`sdk::SdkTransport`] finds its way to the service.
pub struct TransportConfig {
    pub region: Option<String>,
    pub profile: Option<String>,
    pub credentials: CredentialSource,
    pub endpoint_url: Option<String>,
    /// PEM file.
    pub ca_bundle: Option<std::path::PathBuf>,
    /// http:// to other hosts than loopback.
    pub allow_insecure: bool,
}

pub enum CredentialSource {
    DefaultChain,
    Static(Credentials),
    Ask,
}
