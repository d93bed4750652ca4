//! The keys of one client, fetched anew when the last ones near their end. Of streams that need new keys at the same
//! time, one fetches, and all take what it got.

use std::{
    sync::{
        self, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials as AwsCredentials;
use tokio::{sync::Mutex, time::Instant};

use crate::error::{ErrorKind, Result};

/// Keys with less life are fetched anew before a stream opens: for its 8 minutes and what comes before and after them
/// it signs every event with the keys it began with.
const STREAM_LIFE: Duration = Duration::from_mins(9);

/// Keys that end sooner are no substitute for new ones that cannot be had.
const LEAST_LIFE: Duration = Duration::from_mins(1);

pub(super) struct Keyring {
    /// How long keys are good that came without an end.
    endless: Duration,
    /// Fetches that have ended. Read before waiting for `held`: more of them then means that somebody fetched meanwhile.
    fetches: AtomicU64,
    held: Mutex<Option<Held>>,
    /// What the service has refused last, whatever end was told of it.
    refused: sync::Mutex<Option<AwsCredentials>>,
}

struct Held {
    /// The outcome of the last fetch.
    last: Result<AwsCredentials>,
    since: Instant,
}

impl Keyring {
    pub(super) fn new(endless: Duration) -> Self {
        Self { endless, fetches: AtomicU64::new(0), held: Mutex::default(), refused: sync::Mutex::default() }
    }

    /// Keys that are good for a whole stream, or the newest there are. Cancel-safe: a fetch that is given up is begun
    /// again by the next who waits.
    pub(super) async fn keys(&self, fetch: impl Future<Output = Result<AwsCredentials>>) -> Result<AwsCredentials> {
        let before = self.fetches.load(Ordering::Acquire);
        let mut held = self.held.lock().await;
        if let Some(held) = &*held
            && (self.fetches.load(Ordering::Acquire) != before || self.is_good(held))
        {
            return held.last.clone();
        }
        let last = match fetch.await {
            // The session that asked is over, which says nothing about the keys.
            Err(error) if error.kind == ErrorKind::Closed => return Err(error),
            Err(error) => match held.take().and_then(|held| self.alive(held)) {
                Some(keys) => {
                    tracing::warn!(%error, "new AWS credentials could not be had; the last ones go on");
                    Ok(keys)
                }
                None => Err(error),
            },
            Ok(keys) => Ok(keys),
        };
        *held = Some(Held { last: last.clone(), since: Instant::now() });
        self.fetches.fetch_add(1, Ordering::Release);
        last
    }

    fn is_good(&self, held: &Held) -> bool {
        let last = held.last.as_ref().ok().filter(|keys| !self.is_refused(keys));
        last.is_some_and(|keys| match keys.expiry() {
            Some(end) => end >= SystemTime::now() + STREAM_LIFE,
            None => held.since.elapsed() < self.endless,
        })
    }

    /// The keys, if they are known to live a while yet.
    fn alive(&self, held: Held) -> Option<AwsCredentials> {
        let keys = held.last.ok().filter(|keys| !self.is_refused(keys))?;
        keys.expiry().is_some_and(|end| end >= SystemTime::now() + LEAST_LIFE).then_some(keys)
    }

    fn is_refused(&self, keys: &AwsCredentials) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(keys)
    }

    /// Tells that the service takes these keys no longer, so that the next stream has new ones. Never waits: who reads a
    /// stream tells it too.
    pub(super) fn refused(&self, keys: &AwsCredentials) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
    }
}

#[cfg(test)]
mod tests;
