//! The user's audio at the pace of speech, and silence where none comes.

use std::time::Duration;

use tokio::time::Instant;

use super::{MS, config, event_name, live, pcm, settle, text_block};
use crate::{session::SessionConfig, transport::memory::PeerInput};

fn realtime() -> SessionConfig {
    SessionConfig { realtime: true, ..config() }
}

#[tokio::test(start_paused = true)]
async fn a_recording_sent_whole_goes_up_as_it_would_be_spoken() {
    let (host, mut peer) = live(realtime()).await;
    let begin = Instant::now();
    host.session.try_send_audio(&vec![1; 5_000 * MS]).unwrap();
    for piece in 0..50 {
        assert_eq!(pcm(&mut peer).await, [1; 100 * MS]);
        let spoken = Duration::from_millis(piece * 100);
        assert!(spoken <= begin.elapsed() + Duration::from_secs(1), "piece {piece} at {:?}", begin.elapsed());
    }
    assert!((3_800..4_200).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    settle().await;
    assert_eq!(host.session.stats().sent_audio_ms, 5_000);
}

#[tokio::test(start_paused = true)]
async fn silence_stands_in_before_and_after_the_microphone() {
    let (host, mut peer) = live(realtime()).await;
    let begin = Instant::now();
    // The first gap is made up for, then silence goes at the pace of speech.
    for _ in 0..20 {
        assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    }
    assert!((1_800..2_000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    // A microphone of 32 ms a frame: nothing comes between.
    for _ in 0..30 {
        host.session.try_send_audio(&[3; 32 * MS]).unwrap();
        assert_eq!(pcm(&mut peer).await, [3; 32 * MS]);
        tokio::time::sleep(Duration::from_millis(32)).await;
    }
    let end = Instant::now();
    assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    assert!((400..700).contains(&end.elapsed().as_millis()), "{:?}", end.elapsed());
    settle().await;
    let stats = host.session.stats();
    assert_eq!(stats.sent_audio_ms, 960);
    assert!((2_100..=2_600).contains(&stats.filled_silence_ms), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn text_needs_no_silence_of_its_own_while_silence_runs() {
    let (host, mut peer) = live(realtime()).await;
    for _ in 0..6 {
        assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    }
    host.session.send_text("Hello.".into()).unwrap();
    assert_eq!(text_block(&mut peer).await, "Hello.");
}

#[tokio::test(start_paused = true)]
async fn text_keeps_its_place_behind_paced_audio() {
    let (host, mut peer) = live(realtime()).await;
    host.session.try_send_audio(&vec![1; 3_000 * MS]).unwrap();
    host.session.send_text("Hello.".into()).unwrap();
    for _ in 0..30 {
        pcm(&mut peer).await;
    }
    assert_eq!(text_block(&mut peer).await, "Hello.");
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_speech_to_be_spoken() {
    let (host, mut peer) = live(realtime()).await;
    host.session.try_send_audio(&vec![1; 20_000 * MS]).unwrap();
    settle().await;
    host.session.close();
    let begin = Instant::now();
    let mut pieces = 0;
    loop {
        match event_name(&peer.next().await).as_str() {
            "audioInput" => pieces += 1,
            "contentEnd" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(pieces, 200);
    assert!(begin.elapsed() < Duration::from_millis(100), "{:?}", begin.elapsed());
    for name in ["promptEnd", "sessionEnd"] {
        assert_eq!(event_name(&peer.next().await), name);
    }
    assert_eq!(peer.next().await, PeerInput::Ended);
}
