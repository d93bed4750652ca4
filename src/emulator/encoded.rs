//! Base64 that is handed on as it came: is it well formed, and how much does it hold?
//!
//! Decoding costs an echo more than all else that the dialogue does for it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

const GROUP: usize = 4;

/// The length decoded; None where the standard decoder would refuse it.
pub(super) fn len(text: &str) -> Option<usize> {
    let Some((body, tail)) = text.as_bytes().split_last_chunk::<GROUP>() else { return text.is_empty().then_some(0) };
    // No early way out, so that the compiler looks at many bytes at once.
    let strange = body.iter().fold(false, |strange, byte| strange | !is_digit(*byte));
    if strange || !body.len().is_multiple_of(GROUP) {
        return None;
    }
    // Padding and the bits that must be zero are the last group's alone.
    let mut last = [0; 3];
    let rest = STANDARD.decode_slice(tail, &mut last).ok()?;
    Some(body.len() / GROUP * last.len() + rest)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_the_decoder_says(text in "[A-Za-z0-9+/]{0,9}[A-Da-d0-3+/=]{0,4}[-= A]{0,1}") {
            prop_assert_eq!(len(&text), STANDARD.decode(&text).ok().map(|bytes| bytes.len()));
        }

        #[test]
        fn what_was_encoded_has_its_length(bytes: Vec<u8>) {
            prop_assert_eq!(len(&STANDARD.encode(&bytes)), Some(bytes.len()));
        }

        #[test]
        fn one_strange_byte_is_enough(at in 0..40_usize, byte: char) {
            let text: String = STANDARD.encode([7; 30]).chars().enumerate().map(|(n, c)| if n == at { byte } else { c }).collect();
            prop_assert_eq!(len(&text), STANDARD.decode(&text).ok().map(|bytes| bytes.len()));
        }
    }
}
