//! Peers that fall silent, and those that only seem to: who is noticed, how soon, and who is left alone.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use novasonic::{
    error::{Error, ErrorKind, PEER_SILENT, Recovery},
    transport::{Downlink, OpenRequest, Patience, Transport, sdk::SdkTransport},
};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    transport_client::{event, next, open, request, stream_error, transport},
    transport_peer::{Peer, PeerOptions, PeerStream},
    transport_pool::{Client, open_all},
};

/// What the documentation promises for a peer that stops while something is sent.
const PROMISED: Duration = Duration::from_millis(2_500);

/// Two steps of the clock, one for the ping and one for its answer.
const SOONEST: Duration = Duration::from_millis(900);

/// A second of patience with pings each 0.4 s: as the default, two and a half times as fast.
const HASTY: Patience = Patience { peer: Duration::from_secs(1), stall: Duration::from_secs(10) };
const LONG_SILENCE: Duration = Duration::from_secs(4);

/// Sends a piece each so often, until the stream takes no more.
fn talk(uplink: mpsc::Sender<Bytes>, each: Duration) -> JoinHandle<()> {
    let piece = Bytes::from(json!({"event": {"audioInput": {"content": "A".repeat(1_400)}}}).to_string());
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(each);
        while uplink.send(piece.clone()).await.is_ok() {
            ticks.tick().await;
        }
    })
}

/// Reads the uplink, as the service does.
fn listen(mut stream: PeerStream) -> JoinHandle<()> {
    tokio::spawn(async move { while let Ok(Some(_)) = stream.next().await {} })
}

async fn patient(transport: &SdkTransport, peer: &mut Peer, patience: Patience) -> (PeerStream, Client) {
    let opening = transport.open(OpenRequest { patience, ..request() });
    let mut stream = peer.accept().await;
    stream.headers();
    let downlink = opening.headers.await.unwrap();
    (stream, (opening.uplink, downlink))
}

fn is_peer_silent(error: &Error) -> bool {
    (error.kind, error.code.as_str(), error.recovery()) == (ErrorKind::StreamLost, PEER_SILENT, Recovery::Restart)
        && error.retryable
        && error.request_id.is_some()
}

/// Three streams of one connection, two of which send; `stop` ends the peer's answers.
#[expect(clippy::print_stdout, reason = "the figure")]
async fn stop_while_sending(each: Duration, stop: fn(&Peer)) {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (streams, clients) = open_all(&mut peer, &transport, 3).await;
    assert_eq!(peer.connections(), 1);
    let _listening: Vec<_> = streams.into_iter().map(listen).collect();
    let (mut uplinks, mut downlinks): (Vec<_>, Vec<_>) = clients.into_iter().unzip();
    // The third is silent itself, and loses its connection all the same.
    let _silent = uplinks.pop();
    let _talking: Vec<_> = uplinks.into_iter().map(|uplink| talk(uplink, each)).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;

    stop(&peer);
    let began = Instant::now();
    let errors = join_all(downlinks.iter_mut().map(stream_error)).await;
    let after = began.elapsed();
    println!("a piece each {each:?}: noticed after {after:?}");
    assert!(errors.iter().all(is_peer_silent), "{errors:?}");
    assert!(after < PROMISED && after > SOONEST, "{after:?}");
}

#[tokio::test]
async fn a_peer_that_stops_while_we_send_is_noticed_by_each_of_its_streams() {
    let (speech, silence) = (Duration::from_millis(32), Duration::from_millis(100));
    tokio::join!(
        stop_while_sending(speech, Peer::stop),
        stop_while_sending(silence, Peer::stop),
        stop_while_sending(silence, Peer::freeze),
    );
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_first_words_is_noticed() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (_streams, mut clients) = open_all(&mut peer, &transport, 1).await;
    // Idle for longer than the interval: then the answer alone is waited for.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    peer.stop();
    let began = Instant::now();
    let (uplink, downlink) = &mut clients[0];
    uplink.send(event("textInput")).await.unwrap();
    let error = stream_error(downlink).await;
    assert!(is_peer_silent(&error), "{error:?}");
    assert!(began.elapsed() < Duration::from_millis(1_800), "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_new_stream_goes_onto_a_connection_in_doubt() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (mut streams, mut clients) = open_all(&mut peer, &transport, 2).await;
    let _listening = listen(streams.remove(0));
    let (uplink, mut downlink) = clients.remove(0);
    let _talking = talk(uplink, Duration::from_millis(100));
    peer.stop();
    // Asked after a second, lost after two.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let opening = open(&transport);
    let mut fresh = peer.accept().await;
    assert_eq!(fresh.connection, 2);
    fresh.headers();
    let mut fresh_downlink = opening.headers.await.unwrap();
    assert!(is_peer_silent(&stream_error(&mut downlink).await));
    // The end of the old connection does not concern the new one.
    fresh.send(&json!({"event": {}}));
    assert!(next(&mut fresh_downlink).await.unwrap().is_some());
}

#[tokio::test]
async fn how_soon_is_each_streams_choice() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (usual_stream, (usual_uplink, mut usual)) = patient(&transport, &mut peer, Patience::default()).await;
    let (hasty_stream, (hasty_uplink, mut hasty)) = patient(&transport, &mut peer, HASTY).await;
    assert_ne!(usual_stream.connection, hasty_stream.connection, "a connection has one bound");
    let _listening = [listen(usual_stream), listen(hasty_stream)];
    let each = Duration::from_millis(50);
    let _talking = [talk(usual_uplink, each), talk(hasty_uplink, each)];
    tokio::time::sleep(Duration::from_millis(200)).await;
    peer.stop();
    let began = Instant::now();
    assert!(is_peer_silent(&stream_error(&mut hasty).await));
    assert!(began.elapsed() < HASTY.peer, "{:?}", began.elapsed());
    assert!(is_peer_silent(&stream_error(&mut usual).await));
    assert!(began.elapsed() > HASTY.peer && began.elapsed() < PROMISED, "{:?}", began.elapsed());
}

/// Fails if the stream says or loses anything meanwhile.
async fn stays_open(downlink: &mut Downlink, stream: &mut PeerStream, silence: Duration) {
    let heard = tokio::time::timeout(silence, downlink.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    stream.send(&json!({"event": {}}));
    assert_eq!(next(downlink).await, Ok(Some(json!({"event": {}}))));
}

#[tokio::test]
async fn a_peer_that_only_answers_pings_is_left_alone() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (mut talked_to, (uplink, mut downlink)) = patient(&transport, &mut peer, HASTY).await;
    let (mut idle, (_uplink, mut idle_downlink)) = patient(&transport, &mut peer, HASTY).await;
    let _talking = talk(uplink, Duration::from_millis(100));
    tokio::join!(
        stays_open(&mut downlink, &mut talked_to, LONG_SILENCE),
        stays_open(&mut idle_downlink, &mut idle, LONG_SILENCE)
    );
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_slow_way_is_left_alone() {
    let latency = Duration::from_millis(600);
    let mut peer = Peer::start(PeerOptions { latency, ..PeerOptions::default() }).await;
    let transport = transport(&peer.url());
    let (mut stream, (uplink, mut downlink)) = patient(&transport, &mut peer, Patience::default()).await;
    let _talking = talk(uplink, Duration::from_millis(32));
    stays_open(&mut downlink, &mut stream, LONG_SILENCE).await;
    assert_eq!(peer.connections(), 1);
}

/// A suspended laptop, a starved container: not the peer was silent but we were.
#[test]
fn a_stop_of_our_own_is_not_the_peers() {
    let (tell, told) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async move {
            let latency = Duration::from_millis(200);
            let mut peer = Peer::start(PeerOptions { latency, ..PeerOptions::default() }).await;
            tell.send(peer.url()).unwrap();
            let mut stream = peer.accept().await;
            stream.headers();
            let _listening = listen(stream);
            let _ = stopped.await;
        });
    });
    let url = told.recv().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let transport = transport(&url);
        let opening = transport.open(OpenRequest { patience: HASTY, ..request() });
        let mut downlink = opening.headers.await.unwrap();
        let _talking = talk(opening.uplink, Duration::from_millis(32));
        // A ping goes out 0.4 s after what was heard last, and its answer is under way for 0.2 s.
        for _ in 0..4 {
            let heard = tokio::time::timeout(Duration::from_millis(500), downlink.recv()).await;
            assert!(heard.is_err(), "{heard:?}");
            std::thread::sleep(Duration::from_millis(1_500));
        }
        let heard = tokio::time::timeout(Duration::from_secs(2), downlink.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    });
    drop(stop);
    service.join().unwrap();
}

#[tokio::test]
async fn a_stream_whose_input_is_not_taken_is_lost_and_others_are_not() {
    let stall = Duration::from_secs(1);
    let patience = Patience { stall, ..Patience::default() };
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    // Its window is never opened again.
    let (_unread, (uplink, mut stuck)) = patient(&transport, &mut peer, patience).await;
    let (read, (other_uplink, mut other)) = patient(&transport, &mut peer, patience).await;
    // This one has nothing to say: that is no stall.
    let (mut idle, (_idle_uplink, mut idle_downlink)) = patient(&transport, &mut peer, patience).await;
    let _listening = listen(read);
    let began = Instant::now();
    let _talking = [talk(uplink, Duration::from_micros(100)), talk(other_uplink, Duration::from_millis(20))];
    let error = stream_error(&mut stuck).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::StreamLost, "uplink_stalled"), "{error:?}");
    assert_eq!((error.recovery(), error.request_id.is_some()), (Recovery::Restart, true));
    assert!(began.elapsed() > stall && began.elapsed() < stall * 4, "{:?}", began.elapsed());
    let heard = tokio::time::timeout(stall, other.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    stays_open(&mut idle_downlink, &mut idle, stall).await;
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_pause_in_taking_input_is_left_alone() {
    let patience = Patience { stall: Duration::from_millis(1_500), ..Patience::default() };
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (stream, (uplink, mut downlink)) = patient(&transport, &mut peer, patience).await;
    let _talking = talk(uplink, Duration::from_micros(100));
    let heard = tokio::time::timeout(Duration::from_secs(1), downlink.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    let _listening = listen(stream);
    let heard = tokio::time::timeout(Duration::from_secs(2), downlink.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
}
