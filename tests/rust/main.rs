//! Integration tests over real sockets, one module a subject.

mod emulator_faults;
mod emulator_wire;
mod raw_client;
mod session_emulator;
mod transport_client;
mod transport_connect;
mod transport_emulator;
mod transport_environment;
mod transport_peer;
mod transport_pool;
mod transport_stream;
