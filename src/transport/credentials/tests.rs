use std::time::{Duration, SystemTime};

use super::{Credentials, ErrorKind, ask, given};
use crate::{
    error::Result,
    transport::{AskCredentials, BoxFuture},
};

fn keys(expires_at: Option<SystemTime>) -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "the-secret".to_owned(),
        session_token: None,
        expires_at,
    }
}

struct Says(Credentials);

impl AskCredentials for Says {
    fn ask(&self) -> BoxFuture<Result<Credentials>> {
        let answer = self.0.clone();
        Box::pin(async { Ok(answer) })
    }
}

#[tokio::test]
async fn keys_that_have_ended_are_told_with_their_source_and_their_end() {
    let ended = keys(Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500)));
    for (error, source) in [
        (given(&ended).unwrap_err(), "the client was given"),
        (ask(&Says(ended.clone())).await.unwrap_err(), "the credentials callable returned"),
    ] {
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "credentials_expired"));
        assert_eq!(error.message, format!("The keys that {source} ended at 2023-11-14T22:13:20Z."));
        assert!(error.cure.is_some() && !error.to_string().contains("the-secret"));
    }
}

#[tokio::test]
async fn keys_that_live_or_have_no_end_pass() {
    let end = SystemTime::now() + Duration::from_secs(5);
    assert_eq!(given(&keys(Some(end))).unwrap().expiry(), Some(end));
    assert_eq!(ask(&Says(keys(None))).await.unwrap().expiry(), None);
}
