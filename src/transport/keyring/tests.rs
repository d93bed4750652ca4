use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials as AwsCredentials;
use tokio::sync::Semaphore;

use super::{Keyring, STREAM_LIFE};
use crate::error::{Error, ErrorKind, Result};

fn keys(id: &str, life: Option<Duration>) -> AwsCredentials {
    AwsCredentials::new(id, "secret", None, life.map(|life| SystemTime::now() + life), "test")
}

const HOUR: Option<Duration> = Some(Duration::from_hours(1));
const ENDING: Option<Duration> = Some(Duration::from_mins(5));

async fn id_of(ring: &Keyring, fetched: Result<AwsCredentials>) -> Result<String> {
    ring.keys(ready(fetched)).await.map(|keys| keys.access_key_id().to_owned())
}

fn failed(kind: ErrorKind) -> Result<AwsCredentials> {
    Err(Error::new(kind, "failed", "No."))
}

#[tokio::test]
async fn keys_are_fetched_again_only_near_their_end() {
    let ring = Keyring::new(Duration::ZERO);
    assert_eq!(id_of(&ring, Ok(keys("long", HOUR))).await.unwrap(), "long");
    assert_eq!(id_of(&ring, Ok(keys("new", HOUR))).await.unwrap(), "long");

    let ring = Keyring::new(Duration::ZERO);
    id_of(&ring, Ok(keys("short", Some(STREAM_LIFE.checked_sub(Duration::from_secs(1)).unwrap())))).await.unwrap();
    assert_eq!(id_of(&ring, Ok(keys("new", HOUR))).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn keys_without_an_end_are_good_as_long_as_was_said() {
    let ring = Keyring::new(Duration::ZERO);
    id_of(&ring, Ok(keys("first", None))).await.unwrap();
    assert_eq!(id_of(&ring, Ok(keys("second", None))).await.unwrap(), "second");

    let ring = Keyring::new(Duration::from_mins(15));
    id_of(&ring, Ok(keys("first", None))).await.unwrap();
    assert_eq!(id_of(&ring, Ok(keys("second", None))).await.unwrap(), "first");
    tokio::time::advance(Duration::from_mins(15)).await;
    assert_eq!(id_of(&ring, Ok(keys("second", None))).await.unwrap(), "second");
}

/// `count` streams at once, the first fetch of which is held until all wait. Gives what they got and who fetched.
async fn together(count: usize, outcome: Result<AwsCredentials>) -> (Vec<Result<AwsCredentials>>, usize) {
    let ring = Arc::new(Keyring::new(Duration::ZERO));
    let fetches = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let streams: Vec<_> = (0..count)
        .map(|_| {
            let (ring, fetches, gate, outcome) = (ring.clone(), fetches.clone(), gate.clone(), outcome.clone());
            tokio::spawn(async move {
                ring.keys(async {
                    fetches.fetch_add(1, Ordering::Relaxed);
                    gate.acquire().await.unwrap().forget();
                    outcome
                })
                .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.add_permits(count);
    let mut got = Vec::new();
    for stream in streams {
        got.push(stream.await.unwrap());
    }
    (got, fetches.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn of_those_who_wait_together_one_fetches_for_all() {
    for life in [HOUR, ENDING, None] {
        let (got, fetches) = together(200, Ok(keys("shared", life))).await;
        assert!(got.iter().all(|got| got.as_ref().unwrap().access_key_id() == "shared"));
        assert_eq!(fetches, 1, "{life:?}");
    }
    let (got, fetches) = together(200, failed(ErrorKind::Credentials)).await;
    assert!(got.iter().all(Result::is_err));
    assert_eq!(fetches, 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_ended_with_its_session_is_nobody_elses() {
    let (got, fetches) = together(5, failed(ErrorKind::Closed)).await;
    assert!(got.iter().all(Result::is_err));
    assert_eq!(fetches, 5);
}

#[tokio::test]
async fn a_fetch_that_is_given_up_is_begun_again_by_the_next() {
    let ring = Arc::new(Keyring::new(Duration::ZERO));
    let first = tokio::spawn({
        let ring = ring.clone();
        async move { ring.keys(pending()).await }
    });
    tokio::task::yield_now().await;
    let second = tokio::spawn(async move { id_of(&ring, Ok(keys("second", HOUR))).await });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(second.await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn keys_that_live_stand_in_where_new_ones_cannot_be_had() {
    let ring = Keyring::new(Duration::ZERO);
    id_of(&ring, Ok(keys("living", ENDING))).await.unwrap();
    assert_eq!(id_of(&ring, failed(ErrorKind::Credentials)).await.unwrap(), "living");
    assert_eq!(id_of(&ring, Ok(keys("new", HOUR))).await.unwrap(), "new");

    for life in [Some(Duration::from_secs(30)), None] {
        let ring = Keyring::new(Duration::ZERO);
        id_of(&ring, Ok(keys("ending", life))).await.unwrap();
        assert!(id_of(&ring, failed(ErrorKind::Credentials)).await.is_err());
        assert_eq!(id_of(&ring, Ok(keys("new", HOUR))).await.unwrap(), "new", "a failure is not kept");
    }
}

#[tokio::test]
async fn keys_that_were_refused_are_fetched_anew() {
    let ring = Keyring::new(Duration::ZERO);
    let refused = ring.keys(ready(Ok(keys("refused", HOUR)))).await.unwrap();
    ring.refused(&refused);
    assert!(id_of(&ring, failed(ErrorKind::Credentials)).await.is_err(), "they stand in for nothing");
    assert_eq!(id_of(&ring, Ok(keys("new", HOUR))).await.unwrap(), "new");
    ring.refused(&refused);
    assert_eq!(id_of(&ring, Ok(keys("newer", HOUR))).await.unwrap(), "new", "others are kept");
}
