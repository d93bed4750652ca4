//! What the service may send: any bytes give an event or an error, never a panic, and whole samples where there is audio.
#![no_main]

use libfuzzer_sys::fuzz_target;
use novasonic_fuzz::protocol::{OutputEvent, SAMPLE_BYTES, decode};

fuzz_target!(|data: &[u8]| {
    match decode(data) {
        Ok(OutputEvent::AudioOutput { pcm, .. }) => assert!(pcm.len().is_multiple_of(SAMPLE_BYTES)),
        Ok(_) => {}
        // An error is for logs, and what it names is not content: it stays short whatever came.
        Err(error) => assert!(error.to_string().len() < 200, "{error}"),
    }
});
