//! The emulator on the wire: what any client of the service would see.

use std::{sync::Arc, time::Duration};

use novasonic::emulator::{BrainChoice, Emulator, Settings, StreamReport};

use crate::raw_client::{Connection, Received, Signer};

pub(crate) fn echo() -> Settings {
    Settings { brain: BrainChoice::Echo, ..Settings::default() }
}

/// The only stream's report, once it has ended.
async fn ended(emulator: &Emulator) -> StreamReport {
    for _ in 0..1000 {
        if let [report] = emulator.streams().as_slice()
            && report.ended.is_some()
        {
            return report.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no single ended stream: {:?}", emulator.streams());
}

/// The next audioOutput's PCM length, whatever else is said around it.
async fn next_audio(stream: &mut crate::raw_client::Stream) -> usize {
    loop {
        match stream.next().await {
            Received::Event(event) => {
                if let Some(content) = event["event"]["audioOutput"]["content"].as_str() {
                    return content.len() / 4 * 3 - content.bytes().rev().take_while(|byte| *byte == b'=').count();
                }
            }
            other => panic!("expected audioOutput, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_signed_conversation_over_cleartext_ends_clean() {
    let emulator = Emulator::start(echo()).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let mut stream = connection.open(Some(Signer::new())).await;
    stream.begin();
    stream.audio(&[1; 1024]);
    assert_eq!(next_audio(&mut stream).await, 1024);
    stream.finish();
    while !matches!(stream.next().await, Received::End) {}
    let report = ended(&emulator).await;
    assert_eq!(report.ended.as_deref(), Some("clean"));
}
