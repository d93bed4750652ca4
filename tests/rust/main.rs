//! Integration tests over real sockets, one module a subject.

// clippy.toml lets tests panic, but knows only the functions marked as tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod emulator_faults;
mod emulator_tools;
mod emulator_websocket;
mod emulator_wire;
mod raw_client;
mod scenarios;
mod session_emulator;
mod transport_client;
mod transport_connect;
mod transport_emulator;
mod transport_environment;
mod transport_peer;
mod transport_pool;
mod transport_silence;
mod transport_stream;
mod websocket_client;
