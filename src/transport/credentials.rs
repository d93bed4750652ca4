//! Who we are: keys as they are given, asked for and handed to the SDK.

use std::{fmt, time::SystemTime};

use aws_credential_types::Credentials as AwsCredentials;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{AskCredentials, Credentials};
use crate::error::{Error, ErrorKind, Result};

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.access_key_id.chars().take(4).collect();
        f.debug_struct("Credentials").field("access_key_id", &format_args!("{shown}...")).finish_non_exhaustive()
    }
}

/// Keys as the SDK takes them.
pub(super) fn to_aws(credentials: &Credentials) -> AwsCredentials {
    AwsCredentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        credentials.expires_at,
        "novasonic",
    )
}

/// Keys that the client was given, if they still live.
pub(super) fn given(credentials: &Credentials) -> Result<AwsCredentials> {
    let keys = to_aws(credentials);
    let cure = "Make a client with new ones, or give a callable that fetches them.";
    refuse_ended(&keys, "the client was given").map_err(|error| error.with_cure(cure))?;
    Ok(keys)
}

/// Asks for keys. Whatever the asked one raises is the stream's error.
pub(super) async fn ask(asked: &dyn AskCredentials) -> Result<AwsCredentials> {
    let credentials = asked.ask().await?;
    if credentials.access_key_id.is_empty() || credentials.secret_access_key.is_empty() {
        return Err(Error::new(
            ErrorKind::Credentials,
            "credentials_empty",
            "The credentials callable returned an empty access key id or secret.",
        ));
    }
    let keys = to_aws(&credentials);
    let cure = "Let the callable given as `credentials` fetch new ones, and tell their end in UTC as expires_at.";
    refuse_ended(&keys, "the credentials callable returned").map_err(|error| error.with_cure(cure))?;
    Ok(keys)
}

/// The service would say no more of them than that the request is not allowed. `source` ends "The keys that ...".
pub(super) fn refuse_ended(keys: &AwsCredentials, source: &str) -> Result<()> {
    match keys.expiry() {
        Some(end) if end <= SystemTime::now() => {
            let end = OffsetDateTime::from(end).replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let end = end.format(&Rfc3339).unwrap_or_default();
            let message = format!("The keys that {source} ended at {end}.");
            Err(Error::new(ErrorKind::Credentials, "credentials_expired", message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
