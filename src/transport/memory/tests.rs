use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::json;

use super::{MemoryOptions, MemoryPeer, PeerInput, pair};
use crate::{
    error::{Error, ErrorKind},
    transport::{Downlink, OpenRequest, Opening, Transport},
};

async fn open() -> (Opening, MemoryPeer) {
    let (transport, mut service) = pair(MemoryOptions { uplink_events: 1, downlink_events: 1 });
    let opening = transport.open(OpenRequest {
        model_id: "model".into(),
        regions: Vec::new(),
        ask: None,
        open_timeout: Duration::from_secs(1),
        patience: crate::transport::Patience::default(),
    });
    (opening, service.accept().await.unwrap())
}

async fn open_with_headers() -> (tokio::sync::mpsc::Sender<Bytes>, Downlink, MemoryPeer) {
    let (opening, mut peer) = open().await;
    peer.send_headers();
    (opening.uplink, opening.headers.await.unwrap_or_else(|e| panic!("{e}")), peer)
}

#[tokio::test]
async fn events_travel_both_ways_before_and_after_headers() {
    let (opening, mut peer) = open().await;
    opening.uplink.send(Bytes::from_static(b"{\"a\":1}")).await.unwrap();
    assert_eq!(peer.next().await, PeerInput::Event(json!({"a": 1})));
    assert!(peer.try_send(&json!({"b": 2})));
    assert!(!peer.try_send(&json!({"c": 3})), "the window is one event");
    peer.send_headers();
    let mut downlink = opening.headers.await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(downlink.recv().await.unwrap().unwrap(), "{\"b\":2}");
    assert_eq!(downlink.request_id(), Some("memory-request"));
}

#[tokio::test]
async fn an_end_of_input_and_a_reset_differ() {
    let (uplink, downlink, mut peer) = open_with_headers().await;
    drop(uplink);
    assert_eq!(peer.next().await, PeerInput::Ended);
    drop(downlink);
    assert_eq!(peer.next().await, PeerInput::Reset);

    let (opening, mut peer) = open().await;
    drop(opening);
    assert_eq!(peer.next().await, PeerInput::Reset, "given up before headers");
}

#[tokio::test]
async fn an_error_comes_once_and_then_nothing() {
    let (_uplink, mut downlink, mut peer) = open_with_headers().await;
    peer.fail(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")).await;
    assert_eq!(downlink.recv().await.unwrap_err().kind, ErrorKind::Throttled);
    assert_eq!(downlink.recv().await.unwrap(), None);
    assert_eq!(downlink.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_refusal_and_a_vanished_peer_fail_the_headers() {
    let (opening, mut peer) = open().await;
    peer.refuse(Error::new(ErrorKind::AccessDenied, "AccessDeniedException", "No."));
    assert_eq!(opening.headers.await.err().unwrap().kind, ErrorKind::AccessDenied);

    let (opening, peer) = open().await;
    drop(peer);
    assert_eq!(opening.headers.await.err().unwrap().kind, ErrorKind::StreamLost);
}

#[tokio::test]
async fn a_peer_says_when_the_keys_of_its_stream_end() {
    let end = SystemTime::now() + Duration::from_mins(9);
    let (opening, mut peer) = open().await;
    peer.credentials_expire_at = Some(end);
    peer.send_headers();
    let downlink = opening.headers.await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(downlink.credentials_expire_at(), Some(end));
}
