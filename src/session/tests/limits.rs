//! A limit ends a conversation politely: what is being said is said, then an orderly close with its own reason.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{MS, audio_end, audio_output, audio_start, config, event_name, live};
use crate::{
    conversation::{EndReason, Limits},
    session::SessionConfig,
    transport::memory::{MemoryPeer, PeerInput},
};

fn limited(limits: Limits) -> SessionConfig {
    SessionConfig { limits, ..config() }
}

async fn closes(peer: &mut MemoryPeer) {
    while event_name(&peer.next().await) != "sessionEnd" {}
    assert_eq!(peer.next().await, PeerInput::Ended);
    peer.end();
}

#[tokio::test(start_paused = true)]
async fn the_clock_ends_a_conversation() {
    for limits in [
        Limits { length: Some(Duration::from_mins(1)), ..Limits::default() },
        Limits { idle: Some(Duration::from_mins(1)), ..Limits::default() },
    ] {
        let (mut host, mut peer) = live(limited(limits)).await;
        let begin = Instant::now();
        host.session.try_send_audio(&[1; 32 * MS]).unwrap();
        closes(&mut peer).await;
        assert_eq!(begin.elapsed().as_secs(), 60);
        host.until(|host| host.events.iter().any(super::is_end)).await;
        assert_eq!(host.session.try_send_audio(&[1; 32]).unwrap_err().code, "closed");
        assert!(matches!(
            host.events.last().map(|event| &event.kind),
            Some(crate::conversation::EventKind::SessionEnded { reason: EndReason::Limit, error: None })
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_end_it_after_the_reply_that_runs() {
    let (mut host, mut peer) = live(limited(Limits { tokens: Some(10), ..Limits::default() })).await;
    peer.send(&audio_start("a")).await;
    peer.send(&audio_output("a", &[1; 960])).await;
    peer.send(&json!({"event": {"usageEvent": {"details": {"delta": {"output": {"speechTokens": 10}}}}}})).await;
    host.until_events(3).await;
    // The turn runs, so the session goes on for now.
    host.session.try_send_audio(&[1; 32 * MS]).unwrap();
    assert_eq!(event_name(&peer.next().await), "audioInput");
    peer.send(&audio_output("a", &[1; 960])).await;
    peer.send(&audio_end("a", "END_TURN")).await;
    closes(&mut peer).await;
    host.until(|host| host.events.iter().any(super::is_end)).await;
    assert_eq!(host.kinds(), ["turn started", "audio", "usage", "audio", "turn ended", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_without_end_is_waited_for_ten_seconds() {
    let (mut host, mut peer) = live(limited(Limits { usd: Some(0.0), ..Limits::default() })).await;
    let begin = Instant::now();
    closes(&mut peer).await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "no turn ran");
    host.until(|host| host.events.iter().any(super::is_end)).await;

    let limits = Limits { length: Some(Duration::from_secs(5)), ..Limits::default() };
    let (mut host, mut peer) = live(limited(limits)).await;
    let begin = Instant::now();
    peer.send(&audio_output("a", &[1; 960])).await;
    host.until_events(2).await;
    closes(&mut peer).await;
    assert_eq!(begin.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn who_closes_in_the_grace_of_a_limit_has_closed() {
    for (after_secs, reason) in [(4, EndReason::Closed), (9, EndReason::Closed), (16, EndReason::Limit)] {
        let limits = Limits { length: Some(Duration::from_secs(5)), ..Limits::default() };
        let (mut host, mut peer) = live(limited(limits)).await;
        // A reply without end: the grace lasts from 5 s to 15 s.
        peer.send(&audio_output("a", &[1; 960])).await;
        tokio::time::sleep(Duration::from_secs(after_secs)).await;
        host.session.close();
        closes(&mut peer).await;
        assert_eq!(host.ended().await, (reason, None), "closed after {after_secs} s");
    }
}
