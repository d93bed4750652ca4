use std::time::Duration;

use tokio::time::Instant;

use super::{CLOSE, Host, OPEN, config, live, names, service, settle};
use crate::{
    conversation::EndReason,
    error::{Error, ErrorKind},
    protocol::{Message, Role},
    session::{Answer, RequestKind},
    transport::{Credentials, memory::PeerInput},
};

#[tokio::test(start_paused = true)]
async fn the_opening_flows_before_headers() {
    let (transport, mut service) = service();
    let mut with_history = config();
    with_history.history = vec![Message { role: Role::User, text: "Once".into() }];
    let host = Host::spawn(&transport, with_history);
    let mut peer = service.accept().await.unwrap();
    assert_eq!(peer.model_id, "amazon.nova-2-sonic-v1:0");
    // A peer that answers only after it has read: whoever waits for headers first would wait for ever.
    let text = ["contentStart TEXT", "textInput", "contentEnd"];
    let expected = [&["sessionStart", "promptStart"][..], &text, &text, &["contentStart AUDIO"]].concat();
    assert_eq!(names(&mut peer, expected.len()).await, expected);
    assert!(tokio::time::timeout(Duration::from_secs(1), host.session.opened()).await.is_err(), "no headers yet");
    assert_eq!(host.session.stats().streams_opened, 0);
    peer.send_headers();
    let (first, second) = tokio::join!(host.session.opened(), host.session.opened());
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(host.session.stats().streams_opened, 1);
}

#[tokio::test(start_paused = true)]
async fn headers_have_a_bound() {
    let (transport, mut service) = service();
    let start = Instant::now();
    let mut host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    let error = host.session.opened().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Timeout, "open_timeout"));
    assert!(start.elapsed() >= OPEN && start.elapsed() < OPEN * 2);
    assert_eq!(host.ended().await, (EndReason::Error, Some(error)));
    while peer.next().await != PeerInput::Reset {}
}

#[tokio::test(start_paused = true)]
async fn the_bound_is_off_once_headers_have_come() {
    let (mut host, peer) = live(config()).await;
    tokio::time::sleep(OPEN * 3).await;
    host.drain();
    assert!(host.events.is_empty() && !peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_openings_error_and_the_sessions() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let refusal = Error::new(ErrorKind::AccessDenied, "AccessDeniedException", "Not you.");
    service.accept().await.unwrap().refuse(refusal.clone());
    assert_eq!(host.session.opened().await, Err(refusal.clone()));
    assert_eq!(host.ended().await, (EndReason::Error, Some(refusal.clone())));
    assert_eq!(host.session.opened().await, Err(refusal), "also for whoever asks later");
}

#[tokio::test(start_paused = true)]
async fn no_service_is_a_connect_error() {
    let (transport, service) = service();
    drop(service);
    let mut host = Host::spawn(&transport, config());
    assert_eq!(host.session.opened().await.unwrap_err().kind, ErrorKind::Connect);
    assert_eq!(host.ended().await.0, EndReason::Error);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_be_opened_says_so() {
    let (transport, _service) = service();
    let mut wrong = config();
    wrong.stream.temperature = Some(2.0);
    let mut host = Host::spawn(&transport, wrong);
    let error = host.session.opened().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("temperature"), "{error}");
    assert_eq!(host.ended().await.1, Some(error));
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_for_on_the_lane() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    let asked = tokio::spawn(peer.ask.take().unwrap().ask());
    host.until(|host| !host.requests.is_empty()).await;
    let request = host.requests.remove(0);
    assert_eq!(request.kind, RequestKind::Credentials);
    let credentials = Credentials {
        access_key_id: "AKIAEXAMPLE".into(),
        secret_access_key: "secret".into(),
        session_token: None,
        expires_at: None,
    };
    host.session.answer(request.id, Answer::Credentials(credentials));
    assert_eq!(asked.await.unwrap().unwrap().access_key_id, "AKIAEXAMPLE");
    peer.send_headers();
    host.session.opened().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_runs_into_the_opening_bound() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    let asked = tokio::spawn(peer.ask.take().unwrap().ask());
    assert_eq!(host.session.opened().await.unwrap_err().kind, ErrorKind::Timeout);
    let let_go = tokio::time::timeout(Duration::from_secs(1), asked).await.expect("the asker is let go");
    assert_eq!(let_go.unwrap().err().unwrap().kind, ErrorKind::Closed);
    host.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_for_the_opening_changes_nothing() {
    let (transport, mut service) = service();
    let host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(1), host.session.opened()).await.is_err());
    peer.send_headers();
    host.session.opened().await.unwrap();
    assert!(!peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn closing_while_it_opens_is_bounded_and_silent() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let peer = service.accept().await.unwrap();
    host.session.close();
    let start = Instant::now();
    assert_eq!(host.session.opened().await.unwrap_err().kind, ErrorKind::Closed);
    assert!(start.elapsed() >= CLOSE && start.elapsed() < OPEN);
    assert_eq!(host.ended().await, (EndReason::Closed, None));
    assert!(peer.is_reset());
}

#[tokio::test(start_paused = true)]
async fn a_close_during_the_opening_lets_the_opening_hear_its_error() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    host.session.close();
    settle().await;
    peer.refuse(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down."));
    assert_eq!(host.session.opened().await.unwrap_err().kind, ErrorKind::Throttled);
    assert_eq!(host.ended().await, (EndReason::Closed, None));
}

#[tokio::test(start_paused = true)]
async fn headers_that_come_during_a_close_do_not_lift_its_bound() {
    let (transport, mut service) = service();
    let mut host = Host::spawn(&transport, config());
    let mut peer = service.accept().await.unwrap();
    host.session.close();
    settle().await;
    peer.send_headers();
    host.session.opened().await.unwrap();
    let start = Instant::now();
    assert_eq!(host.ended().await, (EndReason::Closed, None));
    assert!(start.elapsed() <= CLOSE);
}

#[tokio::test(start_paused = true)]
async fn a_bound_may_be_endless() {
    let (transport, mut service) = service();
    let mut patient = config();
    patient.timeouts.open = Duration::MAX;
    let host = Host::spawn(&transport, patient);
    let mut peer = service.accept().await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    peer.send_headers();
    host.session.opened().await.unwrap();
}
