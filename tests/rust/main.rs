//! Integration tests over real sockets, one module a subject.

mod emulator_wire;
mod raw_client;
