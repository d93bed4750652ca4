//! An input event as the JSON the service reads.

use super::InputEvent;

/// Encodes `event` as one chunk's payload: `{"event":{"<name>":{...}}}`.
pub fn encode(_event: &InputEvent) -> Vec<u8> {
    todo!()
}
