//! Connections: who goes where, what others notice, how they end.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::Reason;
use novasonic::{
    error::ErrorKind,
    transport::{Downlink, Transport, pool::PoolSettings, sdk::SdkTransport},
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    transport_client::{LONG, event, next, open, opened, pooled, request, stream_error, transport},
    transport_peer::{Peer, PeerOptions, PeerStream, chunk},
};

pub(crate) type Client = (mpsc::Sender<Bytes>, Downlink);

/// Opens so many streams together and waits until all are open.
pub(crate) async fn open_all(
    peer: &mut Peer,
    transport: &SdkTransport,
    count: usize,
) -> (Vec<PeerStream>, Vec<Client>) {
    let accepting = async {
        let mut streams = Vec::new();
        for _ in 0..count {
            let mut stream = peer.accept().await;
            stream.headers();
            streams.push(stream);
        }
        streams
    };
    tokio::join!(accepting, join_all((0..count).map(|_| opened(transport))))
}

#[tokio::test]
async fn no_session_waits_behind_a_stream_limit() {
    for (limit, connections, fullest) in [(1, 20, 1), (2, 10, 2), (100, 2, 16)] {
        let mut peer = Peer::limited(limit).await;
        let transport = transport(&peer.url());
        let (_streams, _clients) = open_all(&mut peer, &transport, 20).await;
        // The first dials were made before any limit was known, for fewer streams than came: one spare is allowed.
        assert!((connections..=connections + 1).contains(&peer.connections()), "{limit}: {}", peer.connections());
        assert_eq!(peer.most_streams(), fullest, "limit {limit}");
    }
}

#[tokio::test]
async fn a_limit_told_late_is_kept() {
    let late = Duration::from_millis(150);
    let mut peer = Peer::start(PeerOptions { max_streams: Some(2), late, ..PeerOptions::default() }).await;
    let transport = transport(&peer.url());
    let (_streams, _clients) = open_all(&mut peer, &transport, 8).await;
    assert_eq!(peer.most_streams(), 2);
    assert!((4..=5).contains(&peer.connections()), "{}", peer.connections());
}

#[tokio::test]
async fn who_cannot_hear_the_limit_dials_for_himself() {
    let late = Duration::from_millis(600);
    let mut peer = Peer::start(PeerOptions { late, ..PeerOptions::default() }).await;
    let settings = PoolSettings { settings_grace: Duration::from_millis(50), ..PoolSettings::default() };
    let transport = pooled(&peer.url(), settings);
    let began = Instant::now();
    let openings: Vec<_> = (0..4).map(|_| open(&transport)).collect();
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(peer.accept().await);
    }
    assert!(began.elapsed() < late, "all requests were sent before any SETTINGS came");
    assert_eq!((peer.connections(), peer.most_streams()), (4, 1));
    drop(openings);
}

#[tokio::test]
async fn a_connection_carries_no_more_than_our_own_cap() {
    let mut peer = Peer::limited(100).await;
    let transport = pooled(&peer.url(), PoolSettings { streams_per_connection: 3, ..PoolSettings::default() });
    let (_streams, _clients) = open_all(&mut peer, &transport, 9).await;
    assert_eq!((peer.connections(), peer.most_streams()), (3, 3));
}

#[tokio::test]
async fn a_place_is_free_again_when_both_directions_are_done() {
    let mut peer = Peer::limited(1).await;
    let transport = transport(&peer.url());
    for _ in 0..5 {
        let (mut streams, mut clients) = open_all(&mut peer, &transport, 1).await;
        let (uplink, mut downlink) = clients.remove(0);
        drop(uplink);
        assert_eq!(streams[0].next().await, Ok(None));
        streams[0].end();
        assert_eq!(next(&mut downlink).await, Ok(None));
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn cancelled_openings_leave_their_places_to_others() {
    let late = Duration::from_millis(100);
    let mut peer = Peer::start(PeerOptions { max_streams: Some(1), late, ..PeerOptions::default() }).await;
    let transport = transport(&peer.url());
    let mut openings: Vec<_> = (0..10).map(|_| open(&transport)).collect();
    let wanted = openings.pop().unwrap();
    let _first = peer.accept().await;
    drop(openings);
    let answering = async {
        loop {
            peer.accept().await.headers();
        }
    };
    tokio::select! {
        never = answering => never,
        opened = tokio::time::timeout(LONG, wanted.headers) => drop(opened.expect("in time").unwrap()),
    }
    assert!(peer.connections() <= 2, "{} dials for one stream", peer.connections());
}

#[tokio::test]
async fn a_limit_that_changes_is_kept() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (mut streams, mut clients) = open_all(&mut peer, &transport, 4).await;
    peer.set_limit(1, 4).await;
    // What comes after the news in the stream has come after it on the connection.
    streams[0].send(&json!({"event": {}}));
    assert!(next(&mut clients[0].1).await.unwrap().is_some());
    let (more, _more_clients) = open_all(&mut peer, &transport, 4).await;
    assert!(more.iter().all(|stream| stream.connection == 2), "the first connection is full");
}

#[tokio::test]
async fn a_limit_of_none_sends_new_streams_elsewhere() {
    let mut peer = Peer::limited(100).await;
    let transport = pooled(&peer.url(), PoolSettings { streams_per_connection: 1, ..PoolSettings::default() });
    let (mut streams, mut clients) = open_all(&mut peer, &transport, 1).await;
    peer.set_limit(1, 0).await;
    streams[0].send(&json!({"event": {}}));
    assert!(next(&mut clients[0].1).await.unwrap().is_some());
    drop((streams, clients));
    // A new connection may tell better; this peer's does.
    let (more, _clients) = open_all(&mut peer, &transport, 1).await;
    assert_eq!(more[0].connection, 2);
}

#[tokio::test]
async fn after_goaway_old_streams_go_on_and_new_ones_go_elsewhere() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (mut old, mut old_clients) = open_all(&mut peer, &transport, 1).await;
    peer.go_away(1).await;
    let (new, _new_clients) = open_all(&mut peer, &transport, 1).await;
    // GOAWAY may still be under way at the first; then the next one must go elsewhere.
    let (newer, _newer_clients) = open_all(&mut peer, &transport, 1).await;
    assert!(new[0].connection == 2 || newer[0].connection == 2);
    old[0].send(&json!({"event": {"completionStart": {}}}));
    assert!(next(&mut old_clients[0].1).await.unwrap().is_some());
    old_clients[0].0.send(event("sessionEnd")).await.unwrap();
    assert!(old[0].next().await.unwrap().is_some());
}

#[tokio::test]
async fn three_readers_that_stop_do_not_delay_a_fourth() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (mut streams, mut clients) = open_all(&mut peer, &transport, 4).await;
    assert!(streams.iter().all(|stream| stream.connection == 1));
    // Each of the three has more than its window waiting unread.
    let text = "A".repeat(1 << 20);
    let loud = chunk(json!({"bytes": STANDARD.encode(&text)}).to_string());
    for stream in &mut streams[..3] {
        stream.send_raw(loud.clone());
        stream.send_raw(loud.clone());
    }
    for number in 0..20 {
        streams[3].send(&json!({ "number": number }));
        assert_eq!(next(&mut clients[3].1).await, Ok(Some(json!({ "number": number }))));
    }
    // And the fourth can fill a window of its own.
    streams[3].send_raw(loud.clone());
    assert_eq!(clients[3].1.recv().await.unwrap().unwrap(), text);
    // The stopped ones lost nothing.
    for (_, downlink) in &mut clients[..3] {
        assert_eq!(downlink.recv().await.unwrap().unwrap(), text);
        assert_eq!(downlink.recv().await.unwrap().unwrap(), text);
    }
}

fn quick_pings() -> PoolSettings {
    let tenth = Duration::from_millis(100);
    PoolSettings { ping_interval: tenth, ping_timeout: tenth, idle_ping_interval: tenth, ..PoolSettings::default() }
}

/// Without pings a frozen peer stays unnoticed: that is how their absence shows.
#[tokio::test]
async fn a_peer_that_wants_calm_is_pinged_no_more() {
    let mut peer = Peer::limited(100).await;
    let transport = pooled(&peer.url(), quick_pings());
    let (_streams, mut clients) = open_all(&mut peer, &transport, 1).await;
    peer.throw_out(1, Reason::ENHANCE_YOUR_CALM).await;
    let error = stream_error(&mut clients[0].1).await;
    assert_eq!(error.kind, ErrorKind::StreamLost, "{error:?}");

    let (_streams, mut clients) = open_all(&mut peer, &transport, 1).await;
    assert_eq!(peer.connections(), 2);
    peer.freeze();
    assert!(tokio::time::timeout(Duration::from_secs(1), clients[0].1.recv()).await.is_err(), "a ping was missed");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut peer = Peer::limited(100).await;
    let settings = PoolSettings { idle_timeout: Duration::from_millis(100), ..PoolSettings::default() };
    let transport = pooled(&peer.url(), settings);
    let (streams, clients) = open_all(&mut peer, &transport, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(peer.open_connections(), 1, "a stream is open");
    drop((streams, clients));
    let closed = async {
        while peer.open_connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, closed).await.expect("closed when idle");
}

#[tokio::test]
async fn streams_that_come_together_share_their_dials() {
    let mut peer = Peer::limited(100).await;
    let transport = transport(&peer.url());
    let (_streams, _clients) = open_all(&mut peer, &transport, 100).await;
    assert!((7..=8).contains(&peer.connections()), "{}", peer.connections());
}

#[tokio::test]
async fn one_refused_dial_answers_all_who_wait() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let transport = transport(&url);
    let began = Instant::now();
    for headers in join_all((0..50).map(|_| transport.open(request()).headers)).await {
        let error = headers.err().unwrap();
        assert_eq!((error.kind, error.code.as_str(), error.retryable), (ErrorKind::Connect, "refused", true));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
