use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{OUT_MS, audio_end, audio_output, audio_start, config, live, live_on, service, settle, unknown};
use crate::{
    conversation::{EndReason, EventKind, InterruptSource},
    error::ErrorKind,
    session::{Clock, TokioClock},
    transport::{BoxFuture, memory::MemoryPeer},
};

/// Sends 80 ms pieces until the session takes no more; the number taken.
async fn flood(peer: &MemoryPeer, limit: usize) -> usize {
    let mut sent = 0;
    loop {
        settle().await;
        if sent == limit || !peer.try_send(&audio_output("a", &[1; 80 * OUT_MS])) {
            return sent;
        }
        sent += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_stops_reading_and_no_neighbour_notices() {
    let (transport, mut service) = service();
    let mut small = config();
    small.buffers.output_ms = 400;
    let (mut slow, peer) = live_on(&transport, &mut service, small).await;
    let (mut neighbour, neighbours_peer) = live_on(&transport, &mut service, config()).await;
    assert!(peer.send(&audio_start("a")).await);
    let taken = flood(&peer, 100).await;
    // Five pieces fill the queue, four more the window.
    assert_eq!(taken, 9);
    assert_eq!(slow.session.stats().queued_output_ms, 400);

    assert!(neighbours_peer.send(&audio_start("b")).await);
    for _ in 0..50 {
        assert!(neighbours_peer.send(&audio_output("b", &[2; 80 * OUT_MS])).await);
    }
    neighbour.until_events(51).await;

    slow.drain();
    assert_eq!(flood(&peer, 100).await, 5, "drained, it takes the window and fills up again");
    slow.until(|host| host.events.len() == 1 + 14).await;
    let stats = slow.session.stats();
    assert_eq!((stats.queued_output_ms, stats.received_audio_ms, stats.purged_audio_ms), (0, 14 * 80, 0));
}

#[tokio::test(start_paused = true)]
async fn events_without_audio_are_never_held_back() {
    let mut small = config();
    small.buffers.output_ms = 1;
    let (mut host, peer) = live(small).await;
    for number in 0..1_000 {
        assert!(peer.send(&unknown(number)).await);
    }
    host.until_events(1_000).await;
    assert_eq!(host.session.stats().unknown_events, 1_000);
}

#[tokio::test(start_paused = true)]
async fn one_wake_up_for_a_batch() {
    let (mut host, peer) = live(config()).await;
    for round in 1..=3 {
        for number in 0..10 {
            assert!(peer.send(&unknown(number)).await);
        }
        settle().await;
        assert_eq!(host.session.stats().wakeups, round);
        host.told().await;
        let mut first = Vec::new();
        assert!(host.session.drain(4, &mut first, &mut host.requests), "more waits");
        assert_eq!(first.len(), 4);
        host.drain();
        assert_eq!(host.events.len(), 6);
        host.events.clear();
    }
    assert_eq!(host.session.stats().events, 30);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_purges_what_waits_and_swallows_what_comes() {
    let mut small = config();
    small.buffers.output_ms = 400;
    let (mut host, peer) = live(small).await;
    host.session.interrupt();
    settle().await;
    host.drain();
    assert!(host.events.is_empty(), "no turn, nothing to interrupt");

    assert!(peer.send(&audio_start("a")).await);
    assert_eq!(flood(&peer, 100).await, 9);
    let told = host.session.stats().wakeups;
    host.session.interrupt();
    host.session.interrupt();
    settle().await;
    assert_eq!(host.session.stats().wakeups, told + 1, "told although events wait");
    assert_eq!(host.session.interrupted_turn(), Some(1));
    assert_eq!(flood(&peer, 10).await, 10, "reading goes on, and the turn's audio is swallowed");
    host.drain();
    assert_eq!(host.kinds(), ["turn started", "interrupted"]);
    assert_eq!(host.events[1].kind, EventKind::Interrupted { source: InterruptSource::Client });
    let stats = host.session.stats();
    assert_eq!((stats.purged_audio_ms, stats.queued_output_ms), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn a_turn_arrives_whole() {
    let (mut host, peer) = live(config()).await;
    assert!(peer.send(&audio_start("a")).await);
    for number in 1..=3 {
        assert!(peer.send(&audio_output("a", &[number; 80 * OUT_MS])).await);
    }
    assert!(peer.send(&audio_end("a", "END_TURN")).await);
    host.until_events(5).await;
    assert_eq!(host.kinds(), ["turn started", "audio", "audio", "audio", "turn ended"]);
    for (event, number) in host.events[1..4].iter().zip(1..) {
        assert_eq!(event.turn, Some(1));
        let EventKind::Audio { pcm, rate_hz } = &event.kind else { unreachable!() };
        assert_eq!((pcm.as_ref(), *rate_hz), (&[number; 80 * OUT_MS][..], 24_000));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_event_survives_and_an_unreadable_one_ends_the_session() {
    let (mut host, peer) = live(config()).await;
    assert!(peer.send(&unknown(7)).await);
    assert!(peer.send_bytes(Bytes::from_static(b"{\"event\":{\"textOutput\":{\"content\":\"a secret")).await);
    let (reason, error) = host.ended().await;
    let error = error.unwrap();
    assert_eq!((reason, error.kind, error.code.as_str()), (EndReason::Error, ErrorKind::Service, "bad_event"));
    assert_eq!(error.request_id.as_deref(), Some("memory-request"));
    assert!(!error.to_string().contains("secret"), "{error}");
    let EventKind::Unknown { name, raw } = &host.events[0].kind else { panic!("{:?}", host.kinds()) };
    assert_eq!((name.as_str(), raw.as_str()), ("novelty", r#"{"event":{"novelty":{"number":7}}}"#));
    assert!(peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn events_are_stamped_since_the_opening() {
    let (mut host, peer) = live(config()).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(peer.send(&unknown(0)).await);
    host.until_events(1).await;
    assert_eq!(host.events[0].at.as_millis(), 1_500);
}

/// A clock that runs a thousand times as fast as the world.
struct FastClock(TokioClock);

impl Clock for FastClock {
    fn now(&self) -> Duration {
        self.0.now() * 1_000
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<()> {
        self.0.sleep_until(deadline / 1_000)
    }
}

#[tokio::test(start_paused = true)]
async fn all_time_comes_from_the_given_clock() {
    let mut fast = config();
    fast.clock = Arc::new(FastClock(TokioClock::default()));
    let (mut host, peer) = live(fast).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(peer.send(&unknown(0)).await);
    host.until_events(1).await;
    assert_eq!(host.events[0].at.as_secs(), 2);
    let start = tokio::time::Instant::now();
    host.session.close();
    assert_eq!(host.ended().await.0, EndReason::Closed);
    assert!(start.elapsed() < Duration::from_millis(50), "the close bound is the clock's: {:?}", start.elapsed());
}
