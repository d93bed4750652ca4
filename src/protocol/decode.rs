//! The service's JSON as an output event, every documented variant accepted.

use super::OutputEvent;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Decodes one chunk's payload.
pub fn decode(_payload: &[u8]) -> Result<OutputEvent, DecodeError> {
    todo!()
}
