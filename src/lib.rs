//! Live voice conversations with Amazon Nova Sonic.
//!
//! The map of the crate. An arrow is "may import":
//!
//! ```text
//! bindings   -> session, emulator     the only place that knows Python
//! session    -> conversation, transport, protocol, audio
//! conversation -> protocol            sans I/O: turns, barge-in, usage; time is an argument
//! transport  -> protocol              the AWS SDK stream, connections, credentials, an in-memory twin
//! protocol                            sans I/O: the Nova Sonic language and its order
//! emulator   -> audio                 the service side; shares no rule book with the client
//! audio                               PCM16 arithmetic
//! error                               what went wrong, by what the caller can do about it
//! ```

pub mod audio;
pub mod conversation;
pub mod emulator;
pub mod error;
pub mod protocol;
pub mod session;
pub mod transport;

#[cfg(feature = "bindings")]
mod bindings;
