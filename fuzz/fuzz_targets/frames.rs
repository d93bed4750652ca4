//! What a client may send the emulator: frames in pieces of any size, and what is written is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use novasonic_fuzz::emulator::{Judge, framed, read};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, data) = input;
    let whole = read(data, data.len());
    assert_eq!(read(data, cut.into()), whole, "how the bytes were cut changed what they say");
    let mut judge = Judge::default();
    for event in &whole.0 {
        if judge.refusal(event).is_some() {
            break;
        }
    }
    // A checksum is nothing that a fuzzer finds: beneath the frame it gets any event there is.
    assert_eq!(read(&framed(data), cut.into()), (vec![data.to_vec()], true));
    let _ = Judge::default().refusal(data);
});
