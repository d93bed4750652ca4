//! Who we are: keys given, keys asked for, or AWS's default chain, bounded so that missing ones fail soon.

use std::{fmt, time::Duration};

use aws_config::{default_provider::credentials::DefaultCredentialsChain, imds, provider_config::ProviderConfig};
use aws_credential_types::{
    Credentials as AwsCredentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_types::region::Region;

use super::{AskCredentials, Credentials, endpoint};
use crate::error::{Error, ErrorKind, Result};

/// Keys with less life are fetched anew before a stream opens, since an 8-minute stream signs every event with the keys
/// it began with. The SDK shortens this by up to half at random, so nine minutes are certain.
const REFRESH_BEFORE_EXPIRY: Duration = Duration::from_mins(18);

/// One try of an instance metadata address: off AWS it often answers nothing at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// The bound on opening a stream is the real one; the SDK's own would cut a slow `credential_process` short.
const LOAD_TIMEOUT: Duration = Duration::from_mins(10);

const CURE: &str = "Give credentials=..., set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in to a profile \
                    (`aws sso login`) and name it as profile=... or AWS_PROFILE.";

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.access_key_id.chars().take(4).collect();
        f.debug_struct("Credentials").field("access_key_id", &format_args!("{shown}...")).finish_non_exhaustive()
    }
}

/// The SDK's cache of keys, one for each transport.
pub(super) fn cache() -> SharedIdentityCache {
    aws_sdk_bedrockruntime::config::IdentityCache::lazy()
        .buffer_time(REFRESH_BEFORE_EXPIRY)
        .load_timeout(LOAD_TIMEOUT)
        .build()
}

/// Keys as the SDK takes them.
pub(super) fn fixed(credentials: &Credentials) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(to_aws(credentials))
}

fn to_aws(credentials: &Credentials) -> AwsCredentials {
    AwsCredentials::new(
        &credentials.access_key_id,
        &credentials.secret_access_key,
        credentials.session_token.clone(),
        credentials.expires_at,
        "novasonic",
    )
}

/// Asks for keys. Whatever the asked one raises is the stream's error.
pub(super) async fn ask(asked: &dyn AskCredentials) -> Result<Credentials> {
    let credentials = asked.ask().await?;
    if credentials.access_key_id.is_empty() || credentials.secret_access_key.is_empty() {
        return Err(Error::new(
            ErrorKind::Credentials,
            "credentials_empty",
            "The credentials callable returned an empty access key id or secret.",
        ));
    }
    Ok(credentials)
}

/// Environment, profile (static keys, SSO, `credential_process`, assumed roles), web identity, container, instance.
///
/// Nothing is read or asked until the first use.
pub(super) async fn default_chain(
    region: &Region,
    profile: Option<&str>,
    ca_bundle: Option<&[u8]>,
) -> Result<SharedCredentialsProvider> {
    // STS, SSO and the metadata addresses speak HTTP/1.1 too: the SDK's own client suits them.
    let trust = ca_bundle.map_or_else(TrustStore::default, |pem| TrustStore::default().with_pem_certificate(pem));
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| super::errors::internal(&format!("TLS could not be set up: {error}.")))?;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    let conf = ProviderConfig::without_region()
        .with_behavior_version(Some(endpoint::behavior_version()))
        .with_http_client(http)
        .with_region(Some(region.clone()));
    let metadata = imds::Client::builder()
        .configure(&conf)
        .max_attempts(1)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .operation_attempt_timeout(METADATA_TIMEOUT)
        .operation_timeout(METADATA_TIMEOUT)
        .build();
    let mut chain = DefaultCredentialsChain::builder().configure(conf).region(region.clone()).imds_client(metadata);
    if let Some(profile) = profile {
        chain = chain.profile_name(profile);
    }
    Ok(SharedCredentialsProvider::new(Named(chain.build().await)))
}

/// Turns the chain's failures into ours, which survive as the source of whatever the SDK wraps around them.
#[derive(Debug)]
struct Named(DefaultCredentialsChain);

impl ProvideCredentials for Named {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.0.provide_credentials().await.map_err(|error| CredentialsError::provider_error(from_chain(&error)))
        })
    }

    fn fallback_on_interrupt(&self) -> Option<AwsCredentials> {
        self.0.fallback_on_interrupt()
    }
}

fn from_chain(error: &CredentialsError) -> Error {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            Error::new(ErrorKind::Credentials, "credentials_missing", "No AWS credentials were found.")
        }
        other => Error::new(
            ErrorKind::Credentials,
            "credentials_failed",
            format!("AWS credentials could not be loaded: {}.", causes(other)),
        ),
    }
    .with_cure(CURE)
}

/// What each error of the chain says, outermost first. The SDK's own display adds its debug form, headers and all.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if words.last() != Some(&said) {
            words.push(said);
        }
        next = cause.source();
    }
    words.join(": ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_chain_is_told_in_words_alone() {
        let process = CredentialsError::provider_error("external process exited with 1.");
        let told = from_chain(&CredentialsError::provider_error(process)).to_string();
        let expected = "AWS credentials could not be loaded: an error occurred while loading credentials: \
                        external process exited with 1. Give ";
        assert!(told.contains(expected), "{told}");
    }
}
