use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{
    CLOSE, Host, MS, OUT_MS, audio_output, audio_start, bell, config, is_end, live, live_on, names,
    peer::{Heard, Judge},
    service, settle, unknown,
};
use crate::{
    conversation::{EndReason, EventKind},
    error::{Error, ErrorKind},
    session::Session,
    transport::{
        OpenRequest, Opening, Transport,
        memory::{MemoryPeer, PeerInput},
    },
};

fn throttled() -> Error {
    Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")
}

fn reset() -> Error {
    Error::new(ErrorKind::StreamLost, "stream_lost", "The stream was reset.")
}

/// Reads to the client's end of input.
async fn read_out(peer: &mut MemoryPeer) -> PeerInput {
    let read = async {
        loop {
            match peer.next().await {
                PeerInput::Event(_) => {}
                other => return other,
            }
        }
    };
    tokio::time::timeout(CLOSE * 2, read).await.expect("the client lets go")
}

#[tokio::test(start_paused = true)]
async fn an_end_before_our_close_is_an_error() {
    for failure in [None, Some(throttled()), Some(reset())] {
        let (mut host, mut peer) = live(config()).await;
        assert!(peer.send(&unknown(1)).await);
        assert!(peer.send(&audio_start("a")).await);
        assert!(peer.send(&audio_output("a", &[1; 80 * OUT_MS])).await);
        match failure.clone() {
            None => peer.end(),
            Some(failure) => peer.fail(failure).await,
        }
        let (reason, error) = host.ended().await;
        let error = error.unwrap();
        assert_eq!(reason, EndReason::Error);
        assert_eq!(error.kind, failure.map_or(ErrorKind::StreamLost, |failure| failure.kind));
        assert_eq!(error.request_id.as_deref(), Some("memory-request"), "support asks for it");
        assert_eq!(host.kinds(), ["unknown", "turn started", "audio", "turn ended", "ended"], "what came, comes first");
        assert_eq!(read_out(&mut peer).await, PeerInput::Ended, "the stream is let go");
    }
}

#[tokio::test(start_paused = true)]
async fn an_errors_own_request_id_stays() {
    let (mut host, mut peer) = live(config()).await;
    peer.fail(throttled().with_request_id(Some("theirs".into()))).await;
    assert_eq!(host.ended().await.1.unwrap().request_id.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn a_close_says_goodbye_and_hears_the_rest() {
    let (mut host, mut peer) = live(config()).await;
    host.session.close();
    host.session.close();
    assert_eq!(host.session.try_send_audio(&[0; 64]).unwrap_err().kind, ErrorKind::Closed);
    let goodbye = ["audioInput", "contentEnd", "promptEnd", "sessionEnd", "Ended"];
    assert_eq!(names(&mut peer, goodbye.len()).await, goodbye, "an audio block that was never fed is fed");
    for number in 0..20 {
        assert!(peer.send(&unknown(number)).await, "the answer's rest is still read");
    }
    peer.end();
    assert_eq!(host.ended().await, (EndReason::Closed, None));
    assert_eq!(host.events.len(), 21);
    assert!(!peer.is_reset());
    host.session.close();
    host.session.abort();
    settle().await;
    host.drain();
    assert_eq!(host.events.iter().filter(|event| is_end(event)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_is_sent_before_the_goodbye() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    peer.send_headers();
    for number in 1..=100 {
        assert_eq!(host.session.try_send_audio(&[number; 250 * MS]), Ok(true));
    }
    host.session.send_text("Last words.".into()).unwrap();
    host.session.close();
    let mut judge = Judge::default();
    while !judge.is_over() {
        judge.hear(&peer.next().await);
    }
    peer.end();
    assert_eq!(host.ended().await, (EndReason::Closed, None));
    assert_eq!(judge.heard.pop(), Some(Heard::Text("Last words.".into())));
    let heard: Vec<u8> =
        judge.heard.into_iter().flat_map(|heard| if let Heard::Audio(pcm) = heard { pcm } else { vec![] }).collect();
    let said: Vec<u8> = (1..=100).flat_map(|number| [number; 250 * MS]).collect();
    assert!(heard == said, "{} of {} bytes", heard.len(), said.len());
    assert_eq!(host.session.stats().sent_audio_ms, 25_000);
}

#[tokio::test(start_paused = true)]
async fn a_close_is_bounded_whatever_the_peer_does() {
    // (what the peer does after the close, whether it must be given up)
    type Behaviour = fn(MemoryPeer) -> tokio::task::JoinHandle<MemoryPeer>;
    let takes_nothing: Behaviour = |peer| tokio::spawn(async { peer });
    let never_ends: Behaviour = |mut peer| {
        tokio::spawn(async {
            read_out(&mut peer).await;
            peer
        })
    };
    let talks_for_ever: Behaviour = |mut peer| {
        tokio::spawn(async {
            read_out(&mut peer).await;
            let mut number = 0;
            while peer.send(&unknown(number)).await {
                number += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            peer
        })
    };
    for behaviour in [takes_nothing, never_ends, talks_for_ever] {
        let (mut host, peer) = live(config()).await;
        for _ in 0..20 {
            host.session.try_send_audio(&[1; 100 * MS]).unwrap();
        }
        let peer = behaviour(peer);
        let start = Instant::now();
        host.session.close();
        assert_eq!(host.ended().await, (EndReason::Closed, None));
        assert!(start.elapsed() >= CLOSE && start.elapsed() < CLOSE * 2, "{:?}", start.elapsed());
        assert!(peer.await.unwrap().is_reset(), "given up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stopped_does_not_hold_a_close() {
    let mut small = config();
    small.buffers.output_ms = 80;
    let (mut host, peer) = live(small).await;
    peer.send(&audio_start("a")).await;
    let flood = tokio::spawn(async move {
        while peer.send(&audio_output("a", &[1; 80 * OUT_MS])).await {}
        peer
    });
    settle().await;
    host.session.close();
    host.session.closed().await;
    assert_eq!(host.ended().await, (EndReason::Closed, None));
    assert!(flood.await.unwrap().is_reset());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_the_peer_answers_rudely_is_still_a_close() {
    for failure in [throttled(), reset()] {
        let (mut host, mut peer) = live(config()).await;
        host.session.close();
        assert_eq!(read_out(&mut peer).await, PeerInput::Ended);
        peer.fail(failure).await;
        assert_eq!(host.ended().await, (EndReason::Closed, None));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_can_read_is_an_error_but_not_of_a_close() {
    for closing in [false, true] {
        let (mut host, peer) = live(config()).await;
        if closing {
            host.session.close();
            settle().await;
        }
        peer.send_bytes("no event".into()).await;
        let (reason, error) = host.ended().await;
        assert_eq!(reason, if closing { EndReason::Closed } else { EndReason::Error });
        assert_eq!(error.map(|error| error.code), (!closing).then(|| "bad_event".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_comes_with_a_close_is_a_close() {
    // Neither is seen before the loop's next turn, and which it looks at first is a coin's toss.
    for round in 0..32 {
        let (mut host, mut peer) = live(config()).await;
        settle().await;
        match round % 4 {
            0 | 1 => peer.fail(reset()).await,
            _ => peer.end(),
        }
        if round % 2 == 0 {
            host.session.close();
        } else {
            host.session.abort();
        }
        assert_eq!(host.ended().await, (EndReason::Closed, None), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_resets_at_once() {
    let (mut host, mut peer) = live(config()).await;
    for _ in 0..20 {
        host.session.try_send_audio(&[1; 100 * MS]).unwrap();
    }
    let start = Instant::now();
    host.session.abort();
    host.session.abort();
    assert_eq!(host.ended().await, (EndReason::Closed, None));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(read_out(&mut peer).await, PeerInput::Reset);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_takes_the_stream_with_it() {
    let (host, mut peer) = live(config()).await;
    let clone = host.session.clone();
    drop(host);
    settle().await;
    assert!(!peer.is_reset(), "a clone is alive");
    assert_eq!(clone.try_send_audio(&[1; 64]), Ok(true));
    drop(clone);
    assert_eq!(read_out(&mut peer).await, PeerInput::Reset);
}

#[tokio::test(start_paused = true)]
async fn an_uplink_that_dies_is_explained_by_the_downlink_or_bounded() {
    let (mut host, mut peer) = live(config()).await;
    peer.refuse_input();
    host.session.try_send_audio(&[1; 100 * MS]).unwrap();
    settle().await;
    assert!(peer.send(&unknown(1)).await, "reading goes on");
    peer.fail(throttled()).await;
    assert_eq!(host.ended().await.1.unwrap().kind, ErrorKind::Throttled, "the first error is the one that helps");

    let (mut host, mut peer) = live(config()).await;
    peer.refuse_input();
    host.session.try_send_audio(&[1; 100 * MS]).unwrap();
    let start = Instant::now();
    let (reason, error) = host.ended().await;
    assert_eq!((reason, error.unwrap().kind), (EndReason::Error, ErrorKind::StreamLost));
    assert!(start.elapsed() < CLOSE * 2);
}

/// Panics where a defect of ours would: inside the session's task.
struct Broken;

impl Transport for Broken {
    fn open(&self, _: OpenRequest) -> Opening {
        let (uplink, _) = mpsc::channel(1);
        Opening { uplink, headers: Box::pin(async { panic!("a test's panic") }) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_session_only() {
    let (transport, mut service) = service();
    let (mut neighbour, mut peer) = live_on(&transport, &mut service, config()).await;
    let (notify, bell) = bell();
    let session = Session::spawn(&tokio::runtime::Handle::current(), Arc::new(Broken), config(), notify);
    let mut host = Host { session, bell, events: Vec::new(), requests: Vec::new() };
    let error = host.session.opened().await.unwrap_err();
    assert_eq!((error.kind, error.retryable), (ErrorKind::Internal, false));
    assert!(!error.to_string().contains("a test's panic"), "a panic's text may hold anything: {error}");
    assert_eq!(host.ended().await, (EndReason::Error, Some(error)));

    assert!(peer.send(&unknown(1)).await);
    neighbour.until_events(1).await;
    neighbour.session.close();
    assert_eq!(read_out(&mut peer).await, PeerInput::Ended);
    peer.end();
    assert_eq!(neighbour.ended().await, (EndReason::Closed, None));
}

#[test]
fn a_runtime_that_is_shut_down_ends_its_sessions() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (host, peer) = runtime.block_on(live(config()));
    runtime.shutdown_timeout(Duration::from_secs(5));
    let (mut events, mut requests) = (Vec::new(), Vec::new());
    host.session.drain(10, &mut events, &mut requests);
    assert_eq!(events.len(), 1);
    let EventKind::SessionEnded { reason, error } = &events[0].kind else { panic!("{events:?}") };
    assert_eq!((*reason, error.as_ref().unwrap().code.as_str()), (EndReason::Error, "runtime_shut_down"));
    assert!(peer.is_reset());
}
