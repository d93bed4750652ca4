use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Lane, LaneCredentials, Question};
use crate::{
    error::ErrorKind,
    session::{Answer, RequestKind, signal::Signal},
    transport::{AskCredentials, Credentials},
};

fn lane() -> (Arc<Lane>, Arc<AtomicUsize>) {
    let rings = Arc::new(AtomicUsize::new(0));
    let counted = rings.clone();
    let signal = Signal::new(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    (Arc::new(Lane::new(Arc::new(signal))), rings)
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "AKIAEXAMPLE".into(),
        secret_access_key: "secret".into(),
        session_token: None,
        expires_at: None,
    }
}

fn requested(lane: &Lane) -> Vec<u64> {
    let mut requests = Vec::new();
    lane.drain(&mut requests);
    assert!(requests.iter().all(|request| request.kind == RequestKind::Credentials));
    requests.iter().map(|request| request.id).collect()
}

#[tokio::test]
async fn each_asker_gets_its_own_answer() {
    let (lane, rings) = lane();
    let ask = LaneCredentials(lane.clone());
    let (first, second) = (tokio::spawn(ask.ask()), tokio::spawn(ask.ask()));
    tokio::task::yield_now().await;
    assert_eq!(rings.load(Ordering::SeqCst), 2, "a request is told even where one waits");
    let ids = requested(&lane);
    assert_eq!(ids.len(), 2);
    assert_eq!(requested(&lane), [0; 0], "a request is handed over once");

    assert!(!lane.answer(999, Answer::Failed("nobody asked".into())));
    assert!(lane.answer(ids[1], Answer::Failed("KeyError: 'profile'".into())));
    assert!(lane.answer(ids[0], Answer::Credentials(credentials())));
    assert!(!lane.answer(ids[0], Answer::Failed("twice".into())));
    assert_eq!(first.await.unwrap().unwrap().access_key_id, "AKIAEXAMPLE");
    let error = second.await.unwrap().err().unwrap();
    assert_eq!(error.kind, ErrorKind::Credentials);
    assert!(error.message.contains("KeyError: 'profile'"), "{error}");
}

#[tokio::test]
async fn an_asker_that_gives_up_takes_its_request_back() {
    let (lane, _) = lane();
    let asker = tokio::spawn(LaneCredentials(lane.clone()).ask());
    tokio::task::yield_now().await;
    asker.abort();
    assert!(asker.await.is_err());
    assert_eq!(requested(&lane), [0; 0]);
    assert!(lane.lock().waiting.is_empty());
}

#[tokio::test]
async fn the_end_fails_whoever_waits_or_comes_later() {
    let (lane, rings) = lane();
    let asker = tokio::spawn(LaneCredentials(lane.clone()).ask());
    tokio::task::yield_now().await;
    lane.end();
    assert_eq!(asker.await.unwrap().err().unwrap().kind, ErrorKind::Closed);
    assert_eq!(LaneCredentials(lane.clone()).ask().await.err().unwrap().kind, ErrorKind::Closed);
    assert_eq!((requested(&lane).len(), rings.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn a_flood_of_requests_is_given_out_in_portions_and_told_of_each_time() {
    let (lane, rings) = lane();
    for token in 0..600 {
        lane.tell(RequestKind::Prompted { token, turn: 1 });
    }
    let told = rings.load(Ordering::SeqCst);
    let portions: Vec<_> = (0..3)
        .map(|_| {
            let mut requests = Vec::new();
            lane.drain(&mut requests);
            (requests.len(), rings.load(Ordering::SeqCst) - told)
        })
        .collect();
    assert_eq!(portions, [(256, 1), (512 - 256, 2), (88, 2)]);
}

#[test]
fn an_answer_is_taken_or_refused_and_never_lost() {
    let (lane, _) = lane();
    let asked = || {
        let question = Question::new(&lane, RequestKind::MayOverlap).unwrap();
        let mut requests = Vec::new();
        lane.drain(&mut requests);
        (question, requests.pop().unwrap().id)
    };
    let yes = || Answer::MayOverlap(true);

    let (mut question, id) = asked();
    assert!(question.answer().is_none());
    assert!(lane.answer(id, yes()));
    assert!(matches!(question.answer(), Some(Answer::MayOverlap(true))));

    let (question, id) = asked();
    assert!(lane.answer(id, yes()), "it waited");
    assert!(matches!(question.withdraw(), Some(Answer::MayOverlap(true))), "so it was heard");

    let (question, id) = asked();
    assert!(question.withdraw().is_none());
    assert!(!lane.answer(id, yes()), "too late");

    lane.end();
    assert!(Question::new(&lane, RequestKind::MayOverlap).is_none());
}
