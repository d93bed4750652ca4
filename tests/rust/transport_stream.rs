//! One stream: both directions, its ends, and every way it can fail.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use novasonic::{
    error::{Error, ErrorKind, Recovery},
    transport::{Downlink, OpenRequest, Transport},
};
use serde_json::json;

use crate::{
    transport_client::{event, next, open, open_error, opened, request, stream_error, transport},
    transport_peer::{Peer, PeerOptions, PeerStream, chunk, exception, frame},
};

/// A peer and an open stream to it, both ends.
async fn connected() -> (Peer, PeerStream, tokio::sync::mpsc::Sender<Bytes>, Downlink) {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let transport = transport(&peer.url());
    let served = async {
        let mut stream = peer.accept().await;
        stream.headers();
        stream
    };
    let (stream, (uplink, downlink)) = tokio::join!(served, opened(&transport));
    (peer, stream, uplink, downlink)
}

#[tokio::test]
async fn events_flow_before_headers_and_then_both_ways() {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let opening = open(&transport(&peer.url()));
    let mut stream = peer.accept().await;
    assert_eq!(stream.request.uri.path(), "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream");

    opening.uplink.send(event("sessionStart")).await.unwrap();
    opening.uplink.send(event("promptStart")).await.unwrap();
    assert_eq!(stream.next().await, Ok(Some(json!({"event": {"sessionStart": {}}}))));
    assert_eq!(stream.next().await, Ok(Some(json!({"event": {"promptStart": {}}}))));
    stream.headers();
    let mut downlink = opening.headers.await.unwrap();
    assert_eq!(downlink.request_id(), Some("11111111-2222-3333-4444-555555555555"));

    stream.send(&json!({"event": {"completionStart": {}}}));
    assert_eq!(next(&mut downlink).await, Ok(Some(json!({"event": {"completionStart": {}}}))));
    opening.uplink.send(event("sessionEnd")).await.unwrap();
    drop(opening.uplink);
    assert_eq!(stream.next().await, Ok(Some(json!({"event": {"sessionEnd": {}}}))));
    assert_eq!(stream.next().await, Ok(None), "a proper end");
    stream.end();
    assert_eq!(next(&mut downlink).await, Ok(None));
    assert_eq!(next(&mut downlink).await, Ok(None));
}

#[tokio::test]
async fn empty_chunks_and_unknown_frames_are_skipped() {
    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.send_raw(chunk("{}"));
    stream.send_raw(frame(
        &[(":message-type", "event"), (":event-type", "weather"), (":content-type", "application/json")],
        "{}",
    ));
    stream.send(&json!({"event": {"usageEvent": {}}}));
    assert_eq!(next(&mut downlink).await, Ok(Some(json!({"event": {"usageEvent": {}}}))));
}

#[tokio::test]
async fn dropping_both_ends_resets_the_stream() {
    let (_peer, mut stream, uplink, downlink) = connected().await;
    drop((uplink, downlink));
    loop {
        match stream.next().await {
            Err(reason) => break assert_eq!(reason, Reason::CANCEL),
            // The SDK may get its end of input out before the reset.
            Ok(None) => break,
            Ok(Some(_)) => {}
        }
    }
}

#[tokio::test]
async fn giving_up_while_opening_resets_the_stream() {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let opening = open(&transport(&peer.url()));
    let mut stream = peer.accept().await;
    drop(opening.headers);
    assert_eq!(stream.next().await, Err(Reason::CANCEL));
    assert!(opening.uplink.send(event("sessionStart")).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn headers_that_never_come_are_a_timeout() {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let transport = transport(&peer.url());
    // The first stream reads the configuration, which takes its time on a busy machine.
    let first = open(&transport);
    peer.accept().await.headers();
    assert!(first.headers.await.is_ok());
    let bound = Duration::from_millis(200);
    let opening = transport.open(OpenRequest { open_timeout: bound, ..request() });
    let _stream = peer.accept().await;
    let error = opening.headers.await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str(), error.retryable), (ErrorKind::Timeout, "open_timeout", true));
    assert!(error.message.contains("response headers"), "{error}");
}

#[tokio::test]
async fn resets_are_errors_that_come_once_and_name_the_code() {
    for (reason, name) in [
        (Reason::INTERNAL_ERROR, "INTERNAL_ERROR"),
        (Reason::REFUSED_STREAM, "REFUSED_STREAM"),
        (Reason::CANCEL, "CANCEL"),
        (Reason::ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
    ] {
        let (_peer, mut stream, _uplink, mut downlink) = connected().await;
        stream.send(&json!({"event": {"completionStart": {}}}));
        assert!(next(&mut downlink).await.unwrap().is_some());
        stream.reset(reason);
        let error = stream_error(&mut downlink).await;
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::StreamLost, "stream_reset"), "{error:?}");
        assert!(error.retryable && error.message.contains(name), "{error:?}");
        assert_eq!(error.request_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    }
}

/// The session knows whether it closed first, and makes an error of this end if it did not.
#[tokio::test]
async fn a_reset_without_error_is_told_as_the_peers_end() {
    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.reset(Reason::NO_ERROR);
    assert_eq!(next(&mut downlink).await, Ok(None));
}

#[tokio::test]
async fn an_end_between_events_is_told_and_one_inside_an_event_is_an_error() {
    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.send(&json!({"event": {"completionStart": {}}}));
    stream.end();
    assert!(next(&mut downlink).await.unwrap().is_some());
    assert_eq!(next(&mut downlink).await, Ok(None));

    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.send_raw(chunk("{}").slice(..20));
    stream.end();
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::StreamLost, "bad_frame"), "{error:?}");
}

#[tokio::test]
async fn a_lost_connection_is_an_error() {
    for cut in [Peer::fin, Peer::rst] {
        let (peer, _stream, _uplink, mut downlink) = connected().await;
        cut(&peer);
        let error = stream_error(&mut downlink).await;
        assert_eq!((error.kind, error.retryable), (ErrorKind::StreamLost, true), "{error:?}");
    }
}

#[tokio::test]
async fn exceptions_in_the_stream_keep_name_text_and_class() {
    for (wire, code, kind, retryable) in [
        ("internalServerException", "InternalServerException", ErrorKind::Service, true),
        ("modelStreamErrorException", "ModelStreamErrorException", ErrorKind::Service, true),
        ("modelTimeoutException", "ModelTimeoutException", ErrorKind::Service, true),
        ("serviceUnavailableException", "ServiceUnavailableException", ErrorKind::Service, true),
        ("throttlingException", "ThrottlingException", ErrorKind::Throttled, true),
        ("validationException", "ValidationException", ErrorKind::Validation, false),
        ("somethingNewException", "somethingNewException", ErrorKind::Service, true),
    ] {
        let (_peer, mut stream, _uplink, mut downlink) = connected().await;
        stream.send_raw(exception(wire, "RequestId=abc-123 : the reason"));
        let error = stream_error(&mut downlink).await;
        assert_eq!((error.kind, error.code.as_str(), error.retryable), (kind, code, retryable), "{error:?}");
        assert_eq!(error.message, format!("{code}: the reason"));
    }
}

#[tokio::test]
async fn texts_in_the_stream_say_more_than_names() {
    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    let said = "RequestId=abc-123 : InternalErrorCode=532::Timed out waiting for audio bytes or interactive content: gaps \
                must be less than 55 seconds";
    stream.send_raw(exception("validationException", said));
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.kind, error.code.as_str(), error.retryable), (ErrorKind::StreamLost, "idle", true), "{error:?}");
    assert!(error.message.starts_with("ValidationException: InternalErrorCode=532::Timed out"), "{error}");
    assert_eq!(error.idle_limit(), Some(Duration::from_secs(55)));

    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.send_raw(exception("modelTimeoutException", "Model has timed out in processing the request."));
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::StreamLost, "stream_limit"), "{error:?}");
    assert!(error.is_planned_end());

    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.send_raw(exception("validationException", "Invalid input request, please fix your input and try again."));
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.code.as_str(), error.recovery()), ("invalid_input", Recovery::RestartOnce), "{error:?}");
}

#[tokio::test]
async fn an_unmodelled_error_message_keeps_its_code() {
    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    let headers = [(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "gone wrong")];
    stream.send_raw(frame(&headers, ""));
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Service, "InternalFailure"), "{error:?}");
    assert!(error.message.contains("gone wrong"));

    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    let said = "Error(s):\nError 1 : System instability detected. Please retry your request.";
    let headers = [(":message-type", "error"), (":error-code", "Internal\nFailure"), (":error-message", said)];
    stream.send_raw(frame(&headers, ""));
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.code.as_str(), error.recovery()), ("instability", Recovery::Restart), "{error:?}");
    assert_eq!(error.message, "InternalFailure: System instability detected. Please retry your request.");

    let (_peer, mut stream, _uplink, mut downlink) = connected().await;
    stream.send_raw(frame(&[(":message-type", "error")], ""));
    let error = stream_error(&mut downlink).await;
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Service, "UnknownError"), "{error:?}");
}

#[tokio::test]
async fn garbage_in_the_stream_is_an_error() {
    let mut bad_sum = chunk("{}").to_vec();
    *bad_sum.last_mut().unwrap() ^= 1;
    for garbage in [Bytes::from(bad_sum), chunk("not json"), chunk("{\"bytes\": \"***\"}")] {
        let (_peer, mut stream, _uplink, mut downlink) = connected().await;
        stream.send_raw(garbage);
        let error = stream_error(&mut downlink).await;
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::StreamLost, "bad_frame"), "{error:?}");
    }
}

async fn refused(status: u16, kind: String, said: &str) -> Error {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let transport = transport(&peer.url());
    let served = async {
        let mut stream = peer.accept().await;
        stream.refuse(status, &kind, said);
        stream
    };
    let (_stream, error) = tokio::join!(served, open_error(&transport));
    error
}

#[tokio::test]
async fn refusals_before_headers_are_sorted_by_what_can_be_done() {
    for (status, name, kind, retryable) in [
        (403, "AccessDeniedException", ErrorKind::AccessDenied, false),
        (403, "UnrecognizedClientException", ErrorKind::AccessDenied, false),
        (403, "InvalidSignatureException", ErrorKind::AccessDenied, false),
        (403, "ExpiredTokenException", ErrorKind::AccessDenied, false),
        (400, "ServiceQuotaExceededException", ErrorKind::Throttled, true),
        (429, "ThrottlingException", ErrorKind::Throttled, true),
        (429, "ModelNotReadyException", ErrorKind::Service, true),
        (400, "ValidationException", ErrorKind::Validation, false),
        (404, "ResourceNotFoundException", ErrorKind::Validation, false),
        (424, "ModelErrorException", ErrorKind::Service, true),
        (424, "ModelStreamErrorException", ErrorKind::Service, true),
        (408, "ModelTimeoutException", ErrorKind::Service, true),
        (500, "InternalServerException", ErrorKind::Service, true),
        (503, "ServiceUnavailableException", ErrorKind::Service, true),
        (403, "SomethingNewException", ErrorKind::AccessDenied, false),
        (502, "SomethingElseException", ErrorKind::Service, true),
    ] {
        for suffix in ["", ":http://internal.amazon.com/coral/com.amazon.bedrock/"] {
            let error = refused(status, format!("{name}{suffix}"), "the reason").await;
            assert_eq!((error.kind, error.code.as_str(), error.retryable), (kind, name, retryable), "{error:?}");
            assert_eq!(error.message, format!("{name}: the reason"));
            assert_eq!(error.request_id.as_deref(), Some("req-1"));
        }
    }
}

#[tokio::test]
async fn what_a_refusal_says_counts_too() {
    let said = "Chat history is over max limit. Trim chat history and try again.";
    let error = refused(400, "ValidationException".to_owned(), said).await;
    assert_eq!((error.code.as_str(), error.recovery()), ("history_too_long", Recovery::TrimHistory));
    let said = "Invalid input request, please fix your input and try again.";
    let error = refused(400, "ValidationException".to_owned(), said).await;
    assert_eq!((error.code.as_str(), error.recovery()), ("ValidationException", Recovery::Never));
}

#[tokio::test]
async fn a_refusal_is_not_retried_below_the_session() {
    let mut peer = Peer::start(PeerOptions::default()).await;
    let transport = transport(&peer.url());
    let served = async {
        peer.accept().await.refuse(429, "ThrottlingException:http://internal.amazon.com/", "slow down");
        tokio::time::timeout(Duration::from_millis(300), peer.accept()).await.is_err()
    };
    let (alone, error) = tokio::join!(served, open_error(&transport));
    assert!(alone, "a second attempt reached the peer");
    assert_eq!(error.code, "ThrottlingException");
}
