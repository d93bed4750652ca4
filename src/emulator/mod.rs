//! The service itself, on this machine: real HTTP/2 and TLS, signatures, rules, voices and faults.
//!
//! Written from the reference and apart from the client: it imports `audio` and nothing else of this crate, so
//! that client and judge never share a mistake. Two halves: the wire (`server`, `tls`, `request`, `signature`,
//! `frames`, `faults`) and the dialogue (`dialogue`, `rules`, `hearing`, `speech`, `brains`), which is sans I/O.

mod brains;
mod dialogue;
mod settings;

pub use settings::{
    BrainAction, BrainChoice, BrainHost, BrainNotice, Fault, FaultKind, HeadersAt, Settings, StreamReport, TurnRequest,
};

use std::net::SocketAddr;

/// A running emulator. Dropping it stops it.
pub struct Emulator {}

impl Emulator {
    /// Binds, makes the certificate authority and serves on a runtime of its own (one worker thread).
    pub fn start(_settings: Settings) -> std::io::Result<Self> {
        todo!()
    }

    pub fn https_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Cleartext HTTP/2 with prior knowledge.
    pub fn http_addr(&self) -> SocketAddr {
        todo!()
    }

    /// The CA's certificate as PEM; its key never leaves memory.
    pub fn ca_pem(&self) -> &str {
        todo!()
    }

    /// Every stream so far, live and ended.
    pub fn streams(&self) -> Vec<StreamReport> {
        todo!()
    }

    /// What a Python brain did in the turn `turn_id` (see [`BrainHost`]). False where the turn is over, or where its
    /// client has stopped reading and too much waits already: nothing was taken.
    pub fn act(&self, _turn_id: u64, _action: BrainAction) -> bool {
        todo!()
    }

    /// Stops accepting, ends all streams, joins the worker.
    pub fn stop(&mut self) {
        todo!()
    }
}
