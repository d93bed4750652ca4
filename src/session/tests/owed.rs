//! A model that does not answer, on a stream that lives.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{Host, audio_end, audio_output, audio_start, config, event_name, live, live_on, service, tool_use};
use crate::{
    conversation::{Continuation, EndReason},
    error::{ErrorKind, Recovery},
    session::{SessionConfig, Timeouts},
    transport::memory::{MemoryPeer, PeerInput},
};

const LATE: Duration = Duration::from_secs(1);

fn bounds() -> Timeouts {
    config().timeouts
}

/// The code of the end, which must come so long from now.
async fn ends_after(host: &mut Host, after: Duration) -> String {
    let began = Instant::now();
    let (reason, error) = host.ended().await;
    let error = error.unwrap();
    assert_eq!((reason, error.kind, error.recovery()), (EndReason::Error, ErrorKind::Timeout, Recovery::Restart));
    assert!(began.elapsed() >= after && began.elapsed() < after + LATE, "{:?}", began.elapsed());
    assert_eq!(error.request_id.as_deref(), Some("memory-request"));
    error.code
}

/// Whether the session lives so much longer.
async fn lives(host: &mut Host, time: Duration) -> bool {
    tokio::time::timeout(time, host.session.closed()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_says_anything_is_given_up_once_it_should() {
    let (mut host, mut peer) = live(config()).await;
    assert!(lives(&mut host, Duration::from_mins(2)).await, "nobody has said anything");
    host.session.send_text("Are you there?".into()).unwrap();
    asked(&mut peer, "Are you there?").await;
    assert_eq!(ends_after(&mut host, bounds().answer.first_event).await, "no_first_event");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stops_half_way_is_not_waited_for_for_ever() {
    let (mut host, mut peer) = live(config()).await;
    host.session.send_text("Tell me a story.".into()).unwrap();
    asked(&mut peer, "Tell me a story.").await;
    peer.send(&audio_start("a")).await;
    for _ in 0..10 {
        peer.send(&audio_output("a", &[0; 960])).await;
        assert!(lives(&mut host, bounds().answer.turn.saturating_sub(LATE)).await, "each piece gives it time again");
    }
    assert_eq!(ends_after(&mut host, LATE).await, "no_answer");
}

#[tokio::test(start_paused = true)]
async fn an_answered_turn_and_a_tool_at_work_take_their_time() {
    let (mut host, mut peer) = live(config()).await;
    host.session.send_text("Look.".into()).unwrap();
    asked(&mut peer, "Look.").await;
    peer.send(&tool_use("t")).await;
    assert!(lives(&mut host, Duration::from_mins(5)).await);
    host.session.send_tool_result("t".into(), "{}".into(), true).unwrap();
    while event_name(&peer.next().await) != "toolResult" {}
    for event in [audio_start("a"), audio_output("a", &[0; 960]), audio_end("a", "END_TURN")] {
        peer.send(&event).await;
    }
    assert!(lives(&mut host, Duration::from_mins(5)).await);
}

/// What was typed is asked again on the next stream, which has its own time to answer.
#[tokio::test(start_paused = true)]
async fn a_conversation_asks_the_next_stream() {
    let (transport, mut service) = service();
    let continuing = SessionConfig { continuation: Some(Continuation::default()), ..config() };
    let (mut host, mut peer) = live_on(&transport, &mut service, continuing).await;
    host.session.send_text("Are you there?".into()).unwrap();
    asked(&mut peer, "Are you there?").await;
    let began = Instant::now();
    let mut next = service.accept().await.unwrap();
    assert!(began.elapsed() >= bounds().answer.first_event && began.elapsed() < bounds().answer.first_event + LATE);
    while event_name(&next.next().await) != "contentStart AUDIO" {}
    // Headers take their time, which is not the answer's.
    assert!(lives(&mut host, Duration::from_secs(5)).await);
    next.send_headers();
    asked(&mut next, "Are you there?").await;
    assert!(lives(&mut host, bounds().answer.first_event.saturating_sub(LATE)).await);
    for event in [audio_start("a"), audio_output("a", &[0; 960]), audio_end("a", "END_TURN")] {
        next.send(&event).await;
    }
    assert!(lives(&mut host, Duration::from_mins(2)).await);
}

async fn asked(peer: &mut MemoryPeer, text: &str) {
    loop {
        let input = peer.next().await;
        if let PeerInput::Event(json) = &input
            && json["event"]["textInput"]["content"] == json!(text)
        {
            return;
        }
        // The text's own start and the audio that primes it.
        assert!(event_name(&input).contains("audio") || event_name(&input).contains("content"), "{input:?}");
    }
}
