//! A raw stream against a service played by hand, in virtual time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify as Bell, mpsc},
    time::Instant,
};

use super::{RawBuffers, RawConfig, RawStream};
use crate::{
    error::{Error, ErrorKind},
    session::{Answer, Notify, Request, RequestKind, Timeouts, TokioClock},
    transport::{
        Credentials, OpenRequest, Opening, Transport,
        memory::{MemoryOptions, MemoryPeer, MemoryService, MemoryTransport, PeerInput, pair},
    },
};

const OPEN: Duration = Duration::from_secs(10);
const CLOSE: Duration = Duration::from_secs(5);

fn config() -> RawConfig {
    RawConfig {
        model_id: "amazon.nova-2-sonic-v1:0".into(),
        regions: vec!["us-east-1".into()],
        buffers: RawBuffers::default(),
        timeouts: Timeouts { open: OPEN, close: CLOSE, ..Timeouts::default() },
        clock: Arc::new(TokioClock::default()),
    }
}

fn buffers(input_bytes: usize, output_bytes: usize) -> RawConfig {
    RawConfig { buffers: RawBuffers { input_bytes, output_bytes }, ..config() }
}

/// A host that looks only when it is told to, so a wake-up that is lost shows as a test that times out.
struct Host {
    stream: RawStream,
    bell: Arc<Bell>,
    events: Vec<Bytes>,
    requests: Vec<Request>,
}

impl Host {
    fn spawn(transport: Arc<dyn Transport>, config: RawConfig) -> Self {
        let bell = Arc::new(Bell::new());
        let rung = bell.clone();
        let notify: Notify = Arc::new(move || rung.notify_one());
        let stream = RawStream::spawn(&tokio::runtime::Handle::current(), transport, config, notify);
        Self { stream, bell, events: Vec::new(), requests: Vec::new() }
    }

    fn drain(&mut self) {
        while self.stream.drain(256, &mut self.events, &mut self.requests) {}
    }

    async fn told(&self) {
        let told = tokio::time::timeout(Duration::from_mins(10), self.bell.notified()).await;
        assert!(told.is_ok(), "the host was never told; it has {} events", self.events.len());
    }

    async fn until(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        loop {
            self.drain();
            if enough(self) {
                return;
            }
            self.told().await;
        }
    }

    async fn until_events(&mut self, count: usize) {
        self.until(|host| host.events.len() >= count).await;
    }

    async fn until_sent(&mut self, events: u64) {
        for _ in 0..1_000 {
            if self.stream.stats().sent_events == events {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{:?}", self.stream.stats());
    }

    /// Waits for the end and checks what holds for every end.
    async fn ended(&mut self) -> Option<Error> {
        self.until(|host| host.stream.is_over()).await;
        self.stream.closed().await;
        self.drain();
        let error = self.stream.error();
        let after = self.stream.try_send(b"{}").unwrap_err();
        assert_eq!(after.kind, error.as_ref().map_or(ErrorKind::Closed, |error| error.kind));
        assert_eq!(self.stream.has_room(2).unwrap_err(), after);
        error
    }
}

fn service() -> (Arc<MemoryTransport>, MemoryService) {
    pair(MemoryOptions::default())
}

/// A stream whose headers have come.
async fn live(config: RawConfig) -> (Host, MemoryPeer) {
    let (transport, mut service) = service();
    let host = Host::spawn(transport, config);
    let mut peer = service.accept().await.unwrap();
    peer.send_headers();
    host.stream.opened().await.unwrap();
    (host, peer)
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn event(number: usize) -> Value {
    json!({"event": {"novelty": {"number": number}}})
}

fn send(host: &Host, event: &Value) {
    assert_eq!(host.stream.try_send(event.to_string().as_bytes()), Ok(true));
}

fn throttled() -> Error {
    Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")
}

async fn read_out(peer: &mut MemoryPeer) -> (usize, PeerInput) {
    let mut events = 0;
    loop {
        match peer.next().await {
            PeerInput::Event(_) => events += 1,
            end => return (events, end),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_flow_before_headers_and_go_both_ways_as_they_are() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(transport, config());
    let mut peer = service.accept().await.unwrap();
    assert_eq!(peer.model_id, "amazon.nova-2-sonic-v1:0");
    // Neither legal nor JSON: that is the host's affair.
    for text in ["{\"event\":{\"sessionEnd\":{}}}", "{ \"event\" : 1 }", "no json \u{1f600}"] {
        assert_eq!(host.stream.try_send(text.as_bytes()), Ok(true));
    }
    assert_eq!(peer.next().await, PeerInput::Event(json!({"event": {"sessionEnd": {}}})));
    assert_eq!(peer.next().await, PeerInput::Event(json!({"event": 1})));
    assert_eq!(peer.next().await, PeerInput::Malformed(Bytes::from("no json \u{1f600}")));
    assert!(tokio::time::timeout(Duration::from_secs(1), host.stream.opened()).await.is_err(), "no headers yet");
    peer.send_headers();
    assert_eq!(host.stream.request_id(), None);
    host.stream.opened().await.unwrap();
    assert_eq!(host.stream.request_id(), Some("memory-request"));
    for text in ["{ \"event\" : {} }", "no json either"] {
        assert!(peer.send_bytes(Bytes::from_static(text.as_bytes())).await);
    }
    host.until_events(2).await;
    assert_eq!(host.events, ["{ \"event\" : {} }", "no json either"]);
    let stats = host.stream.stats();
    assert_eq!((stats.sent_events, stats.sent_bytes, stats.queued_input_bytes), (3, 27 + 15 + 12, 0));
    assert_eq!((stats.received_events, stats.received_bytes, stats.queued_output_bytes), (2, 16 + 14, 0));
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_under_pressure_from_both_sides() {
    let (mut host, mut peer) = live(buffers(500, 500)).await;
    let echo = tokio::spawn(async move {
        while let PeerInput::Event(json) = peer.next().await {
            assert!(peer.send(&json).await);
        }
        peer.end();
    });
    for number in 0..2_000 {
        let json = event(number).to_string();
        while !host.stream.has_room(json.len()).unwrap() {
            host.stream.want_room(json.len());
            host.told().await;
            host.drain();
        }
        assert_eq!(host.stream.try_send(json.as_bytes()), Ok(true));
    }
    host.stream.end_input();
    assert_eq!(host.ended().await, None);
    echo.await.unwrap();
    let expected: Vec<_> = (0..2_000).map(|number| Bytes::from(event(number).to_string())).collect();
    assert!(host.events == expected, "{} events", host.events.len());
    assert_eq!(host.stream.stats().refused_events, 0);
}

#[tokio::test(start_paused = true)]
async fn headers_have_a_bound_that_they_lift() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(transport.clone(), config());
    let mut peer = service.accept().await.unwrap();
    let start = Instant::now();
    let error = host.stream.opened().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Timeout, "open_timeout"));
    assert!(start.elapsed() >= OPEN && start.elapsed() < OPEN * 2);
    assert_eq!(host.ended().await, Some(error));
    assert_eq!(peer.next().await, PeerInput::Reset);

    let (host, peer) = live(config()).await;
    tokio::time::sleep(OPEN * 3).await;
    assert!(!host.stream.is_over() && !peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_openings_error_and_the_streams() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(transport, config());
    send(&host, &event(1));
    service.accept().await.unwrap().refuse(throttled());
    assert_eq!(host.stream.opened().await, Err(throttled()));
    assert_eq!(host.ended().await, Some(throttled()));
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_for_on_the_lane() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(transport, config());
    let mut peer = service.accept().await.unwrap();
    let asked = tokio::spawn(peer.ask.take().unwrap().ask());
    host.until(|host| !host.requests.is_empty()).await;
    let request = host.requests.remove(0);
    assert_eq!(request.kind, RequestKind::Credentials);
    let keys = Credentials {
        access_key_id: "AKIAEXAMPLE".into(),
        secret_access_key: "secret".into(),
        session_token: None,
        expires_at: None,
    };
    host.stream.answer(request.id, Answer::Credentials(keys));
    assert_eq!(asked.await.unwrap().unwrap().access_key_id, "AKIAEXAMPLE");
}

#[tokio::test(start_paused = true)]
async fn the_input_ends_behind_what_is_queued_and_the_answer_still_comes() {
    let (mut host, mut peer) = live(config()).await;
    for number in 0..20 {
        send(&host, &event(number));
    }
    host.stream.end_input();
    host.stream.end_input();
    let error = host.stream.try_send(b"{}").unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Closed, "input_ended"));
    assert_eq!(read_out(&mut peer).await, (20, PeerInput::Ended));
    for number in 0..20 {
        assert!(peer.send(&event(number)).await);
        tokio::time::sleep(CLOSE).await;
    }
    host.drain();
    assert!(!host.stream.is_over(), "no bound on listening");
    peer.end();
    assert_eq!(host.ended().await, None);
    assert_eq!(host.events.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_last_event_asked_for_is_ours() {
    for (last, clean) in [(r#"{"event": {"sessionEnd": {}}}"#, true), (r#"{"event":{"promptEnd":{}}}"#, false)] {
        let (mut host, mut peer) = live(config()).await;
        host.stream.try_send(last.as_bytes()).unwrap();
        peer.next().await;
        peer.end();
        assert_eq!(host.ended().await.is_none(), clean, "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_not_ours_is_an_error() {
    // (our input was ended, all of it was taken, how the peer ends, whether that is well)
    for (input_ended, all_taken, failure, well) in [
        (false, true, None, false),
        (false, true, Some(throttled()), false),
        (true, false, None, false),
        (true, true, Some(throttled()), false),
        (true, true, None, true),
    ] {
        let (mut host, mut peer) = live(config()).await;
        let sent = if all_taken { 1 } else { 20 };
        for number in 0..sent {
            send(&host, &event(number));
        }
        if input_ended {
            host.stream.end_input();
        }
        settle().await;
        assert!(peer.send(&event(1)).await);
        match failure.clone() {
            None => peer.end(),
            Some(failure) => peer.fail(failure).await,
        }
        let error = host.ended().await;
        assert_eq!(host.events.len(), 1, "what came, comes first");
        let kind = failure.map_or(ErrorKind::StreamLost, |failure| failure.kind);
        assert_eq!(error.as_ref().map(|error| error.kind), (!well).then_some(kind), "{input_ended} {all_taken}");
        if let Some(error) = error {
            assert_eq!(error.request_id.as_deref(), Some("memory-request"), "support asks for it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_takes_nothing_and_tells_of_room_once() {
    let (transport, mut service) = pair(MemoryOptions { uplink_events: 1, downlink_events: 1 });
    let mut host = Host::spawn(transport, buffers(1_000, 1_000));
    let mut peer = service.accept().await.unwrap();
    peer.send_headers();
    host.stream.opened().await.unwrap();
    let chunk = json!("x".repeat(134)).to_string(); // 200 with what holds it
    assert_eq!(host.stream.try_send(chunk.as_bytes()), Ok(true));
    host.until_sent(1).await;
    for _ in 0..5 {
        assert_eq!(host.stream.try_send(chunk.as_bytes()), Ok(true));
    }
    assert_eq!(host.stream.try_send(b"{}"), Ok(false));
    assert_eq!(host.stream.has_room(2), Ok(false));
    let stats = host.stream.stats();
    assert_eq!((stats.refused_events, stats.queued_input_bytes), (1, 5 * 136));

    host.drain();
    let wakeups = host.stream.stats().wakeups;
    host.stream.want_room(2);
    host.stream.want_room(chunk.len());
    for _ in 0..3 {
        peer.next().await;
        settle().await;
    }
    assert_eq!(host.stream.stats().wakeups, wakeups, "two are left, which is above a quarter");
    peer.next().await;
    settle().await;
    assert_eq!(host.stream.stats().wakeups, wakeups + 1);
    host.stream.want_room(2);
    assert_eq!(host.stream.stats().wakeups, wakeups + 2, "there is room already");

    for _ in 0..4 {
        assert_eq!(host.stream.try_send(chunk.as_bytes()), Ok(true));
    }
    host.stream.want_room(2);
    host.stream.end_input();
    assert_eq!(host.stream.stats().wakeups, wakeups + 3, "there will never be room: told as well");
}

#[tokio::test(start_paused = true)]
async fn an_event_must_be_something_and_fit() {
    let (host, _peer) = live(buffers(1_000, 1_000)).await;
    let code = |event: &[u8]| {
        let error = host.stream.try_send(event).unwrap_err();
        assert_eq!(host.stream.has_room(event.len()).unwrap_err(), error);
        assert_eq!(error.kind, ErrorKind::Validation);
        error.code
    };
    assert_eq!(code(b""), "empty_event");
    assert_eq!(code(&[b' '; 1_001]), "event_too_large");
    assert_eq!(host.stream.try_send(&[b' '; 1_000]), Ok(true), "alone it may fill the queue");
    let (host, _peer) = live(config()).await;
    assert_eq!(host.stream.try_send(&vec![b' '; 1_000_001]).unwrap_err().code, "event_too_large");
    assert_eq!(host.stream.try_send(&vec![b' '; 1_000_000]), Ok(true));
    assert_eq!(host.stream.stats().refused_events, 0, "that is no lack of room");
}

/// Sends 1,000 bytes at a time until the stream takes no more; the number taken.
async fn flood(peer: &MemoryPeer, limit: usize) -> usize {
    let mut sent = 0;
    loop {
        settle().await;
        if sent == limit || !peer.try_send(&json!("x".repeat(998))) {
            return sent;
        }
        sent += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_stops_reading_until_it_is_drained() {
    let (mut host, peer) = live(buffers(1_000, 10_000)).await;
    // Ten fill the queue, four more the window.
    assert_eq!(flood(&peer, 100).await, 10 + 4);
    assert_eq!(host.stream.stats().queued_output_bytes, 10_000);
    host.drain();
    host.until_events(14).await;
    assert_eq!(flood(&peer, 100).await, 10 + 4);
    host.until_events(28).await;
    let stats = host.stream.stats();
    assert_eq!((stats.received_events, stats.dropped_events, stats.queued_output_bytes), (28, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn many_small_events_are_bounded_too() {
    let (host, peer) = live(buffers(1_000, 1_000)).await;
    let mut sent = 0;
    loop {
        settle().await;
        if sent == 1_000 || !peer.try_send(&json!({})) {
            break;
        }
        sent += 1;
    }
    assert!(sent < 25, "{sent}");
    assert!(host.stream.stats().queued_output_bytes <= 32);
}

#[tokio::test(start_paused = true)]
async fn one_drain_is_bounded_and_one_wake_up_tells_of_a_batch() {
    let (mut host, peer) = live(config()).await;
    let wakeups = host.stream.stats().wakeups;
    for _ in 0..3 {
        assert!(peer.send(&json!("x".repeat(200_000))).await);
    }
    settle().await;
    assert_eq!(host.stream.stats().wakeups, wakeups + 1);
    for more in [true, true, false] {
        assert_eq!(host.stream.drain(256, &mut host.events, &mut host.requests), more);
    }
    assert_eq!(host.events.len(), 3);
    for number in 0..10 {
        assert!(peer.send(&event(number)).await);
    }
    settle().await;
    assert!(host.stream.drain(4, &mut host.events, &mut host.requests));
    assert!(host.stream.drain(0, &mut host.events, &mut host.requests));
    assert_eq!(host.events.len(), 3 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_close_flushes_and_waits_for_the_peers_end() {
    let (mut host, mut peer) = live(config()).await;
    for number in 0..20 {
        send(&host, &event(number));
    }
    host.stream.close();
    host.stream.close();
    assert_eq!(read_out(&mut peer).await, (20, PeerInput::Ended));
    assert!(peer.send(&event(1)).await);
    peer.end();
    assert_eq!(host.ended().await, None);
    assert_eq!(host.events.len(), 1);
    assert!(!peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn a_close_needs_no_reader() {
    let (mut host, mut peer) = live(buffers(1_000, 3_000)).await;
    flood(&peer, 100).await;
    host.stream.close();
    let start = Instant::now();
    assert_eq!(read_out(&mut peer).await.1, PeerInput::Ended);
    for _ in 0..10 {
        assert!(peer.send(&json!("x".repeat(998))).await);
    }
    peer.end();
    host.stream.closed().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(host.ended().await, None);
    assert_eq!(host.events.len(), 3, "what was received before is still there");
    assert_eq!(host.stream.stats().dropped_events, 4 + 10);
}

#[tokio::test(start_paused = true)]
async fn a_close_is_bounded_and_silent_whatever_the_peer_does() {
    for rude in [false, true] {
        let (mut host, mut peer) = live(config()).await;
        host.stream.close();
        let start = Instant::now();
        if rude {
            peer.fail(throttled()).await;
        }
        assert_eq!(host.ended().await, None);
        assert!(start.elapsed() < CLOSE * 2);
        assert_eq!(peer.is_reset(), !rude);
    }
    let (transport, mut service) = service();
    let mut host = Host::spawn(transport, config());
    let peer = service.accept().await.unwrap();
    host.stream.close();
    assert_eq!(host.stream.opened().await.unwrap_err().kind, ErrorKind::Closed, "while it opens, too");
    assert_eq!(host.ended().await, None);
    assert!(peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn an_abort_and_the_last_handles_drop_reset_at_once() {
    let (mut host, mut peer) = live(config()).await;
    host.stream.end_input();
    host.stream.abort();
    let start = Instant::now();
    assert_eq!(host.ended().await, None);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(read_out(&mut peer).await.1, PeerInput::Reset);

    let (host, mut peer) = live(config()).await;
    let clone = host.stream.clone();
    drop(host);
    settle().await;
    assert!(!peer.is_reset(), "a clone is alive");
    drop(clone);
    assert_eq!(read_out(&mut peer).await.1, PeerInput::Reset);
}

#[tokio::test(start_paused = true)]
async fn an_uplink_that_dies_is_explained_by_the_downlink_or_bounded() {
    for explained in [true, false] {
        let (mut host, mut peer) = live(config()).await;
        peer.refuse_input();
        send(&host, &event(1));
        settle().await;
        assert!(peer.send(&event(1)).await, "reading goes on");
        if explained {
            peer.fail(throttled()).await;
        }
        let kind = if explained { ErrorKind::Throttled } else { ErrorKind::StreamLost };
        let start = Instant::now();
        assert_eq!(host.ended().await.unwrap().kind, kind);
        assert!(start.elapsed() < CLOSE * 2);
    }
}

/// Panics where a defect of ours would: inside the stream's task.
struct Broken;

impl Transport for Broken {
    fn open(&self, _: OpenRequest) -> Opening {
        let (uplink, _) = mpsc::channel(1);
        Opening { uplink, headers: Box::pin(async { panic!("a test's panic") }) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_stream_only() {
    let (mut neighbour, peer) = live(config()).await;
    let mut host = Host::spawn(Arc::new(Broken), config());
    let error = host.stream.opened().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Internal, "panic"));
    assert!(!error.to_string().contains("a test's panic"), "a panic's text may hold anything: {error}");
    assert_eq!(host.ended().await, Some(error));
    assert!(peer.send(&event(1)).await);
    neighbour.until_events(1).await;
}

#[test]
fn a_runtime_that_is_shut_down_ends_its_streams() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (host, peer) = runtime.block_on(live(config()));
    runtime.shutdown_timeout(Duration::from_secs(5));
    assert_eq!(host.stream.error().unwrap().code, "runtime_shut_down");
    assert!(peer.is_reset());
}
