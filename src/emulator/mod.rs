//! The service itself, on this machine: real HTTP/2 and TLS, `WebSocket`s, signatures, rules, voices and faults.
//!
//! Written from the reference and apart from the client: it imports `audio` and nothing else of this crate, so
//! that client and judge never share a mistake. Two halves: the wire (`server`, `tls`, `upgrade`, `admission`, `request`,
//! `signature`, `frames`, `stream` on its `wire` with its `incoming` and `outgoing` sides, `faults`, `registry`, `recording`,
//! `control`), and the dialogue
//! (`dialogue`, `rules`, `hearing`, `speech`, `brains` and their helpers), which is sans I/O.

mod admission;
mod brains;
mod build;
#[cfg(test)]
mod client_events;
mod control;
mod dialogue;
mod encoded;
mod faults;
mod frames;
mod hearing;
mod incoming;
mod input;
mod outgoing;
mod output;
mod pace;
mod recording;
mod registry;
mod request;
mod rules;
mod server;
mod settings;
mod signature;
mod sound;
mod speech;
mod stream;
mod tls;
mod upgrade;
mod wire;

pub use faults::{Counting, Fault, FaultKind, Junk, Place, Scope};
pub use recording::Recording;
pub use settings::{
    BrainAction, BrainChoice, BrainHost, BrainNotice, HeadersAt, LogHook, Settings, StreamReport, ToolChoice,
    TurnRequest,
};

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use registry::Registry;
use tls::Tls;

/// A running emulator. Dropping it stops it.
pub struct Emulator {
    /// Of the TLS and the cleartext listener.
    addresses: (SocketAddr, SocketAddr),
    control: (SocketAddr, String),
    ca_pem: String,
    registry: Arc<Registry>,
    /// Dropped or sent to: the worker ends.
    stop: Option<oneshot::Sender<()>>,
    worker: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Binds, makes the certificate authority and serves on a runtime of its own (one worker thread).
    pub fn start(settings: Settings) -> io::Result<Self> {
        check(&settings)?;
        let tls_listener = bind(settings.host, settings.port)?;
        let cleartext_listener = bind(settings.host, settings.http_port)?;
        let addresses = (tls_listener.local_addr()?, cleartext_listener.local_addr()?);
        let (control_listener, token) = control::open()?;
        let control = (control_listener.local_addr()?, token.clone());
        let Tls { acceptor, ca_pem } = Tls::new(settings.host, &settings.sans)?;
        let registry = Arc::new(Registry::new(settings)?);

        // One thread does all: streams and their connection wake each other without crossing cores.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&registry);
        let worker = std::thread::Builder::new().name("novasonic-emulator".into()).spawn(move || {
            runtime.block_on(async move {
                let listening = serve(tls_listener, cleartext_listener, acceptor, &serving)
                    .and_then(|()| control::serve(control_listener, &token, &serving));
                if let Err(error) = listening {
                    return serving.log(&format!("cannot serve: {error}"));
                }
                let _ = stopped.await;
            });
            // Dropping the runtime drops every stream, and each closes its report.
        })?;
        Ok(Self { addresses, control, ca_pem, registry, stop: Some(stop), worker: Some(worker) })
    }

    pub fn https_addr(&self) -> SocketAddr {
        self.addresses.0
    }

    /// Cleartext HTTP/2 with prior knowledge.
    pub fn http_addr(&self) -> SocketAddr {
        self.addresses.1
    }

    /// Of the control interface, which listens on loopback always.
    pub fn control_addr(&self) -> SocketAddr {
        self.control.0
    }

    /// What every request to it must bear.
    pub fn control_token(&self) -> &str {
        &self.control.1
    }

    /// The CA's certificate as PEM; its key never leaves memory.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Every stream so far, live and ended (the last 10,000 of them).
    pub fn streams(&self) -> Vec<StreamReport> {
        self.registry.reports()
    }

    /// What one of those streams sent, where [`Settings::record`] asked for it.
    pub fn recording(&self, stream_id: u64) -> Option<Recording> {
        self.registry.recording(stream_id)
    }

    /// For streams that are opened from now on.
    pub fn add_faults(&self, faults: Vec<Fault>) -> Result<(), String> {
        self.registry.add_faults(faults)
    }

    /// Streams that are open keep theirs.
    pub fn clear_faults(&self) {
        self.registry.faults.clear();
    }

    /// At once, on the live streams of the fault's account; how many those are.
    pub fn commit(&self, fault: Fault) -> Result<usize, String> {
        self.registry.commit(fault)
    }

    /// What a Python brain did in the turn `turn_id` (see [`BrainHost`]). False where the turn is over, or where its
    /// client has stopped reading and too much waits already: nothing was taken.
    pub fn act(&self, turn_id: u64, action: BrainAction) -> bool {
        self.registry.act(turn_id, action)
    }

    /// Stops accepting, ends all streams, joins the worker. A brain host that needs a lock for its notices (an
    /// interpreter's) must not hold it here.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(tls: TcpListener, cleartext: TcpListener, acceptor: TlsAcceptor, registry: &Arc<Registry>) -> io::Result<()> {
    for (listener, acceptor) in [(tls, Some(acceptor)), (cleartext, None)] {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(server::accept(listener, acceptor, Arc::clone(registry)));
    }
    Ok(())
}

fn check(settings: &Settings) -> io::Result<()> {
    let refuse = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    if !settings.host.is_loopback() && !settings.allow_remote {
        return refuse(format!(
            "the emulator does not bind {}: only this machine may reach it, unless remote access is allowed (allow_remote, --allow-remote)",
            settings.host
        ));
    }
    if !settings.speed.is_finite() || settings.speed <= 0.0 {
        return refuse(format!("the emulator's speed must be a positive number, not {}", settings.speed));
    }
    Ok(())
}

fn bind(host: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(host, port);
    let listener = TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("the emulator cannot bind {address}: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
