//! AWS's default chain of credentials: environment, profile (keys, SSO, `credential_process`, roles), web identity,
//! container, instance.
//!
//! The order is the SDK's, its links are ours to join: so an error names the link that failed, one that failed is built
//! anew for the next try (the SDK's profile provider never recovers), and keys of the environment do not win over a
//! profile that the caller has named.

use std::time::Duration;

use aws_config::{
    ecs::EcsCredentialsProvider, environment::EnvironmentVariableCredentialsProvider, imds,
    imds::credentials::ImdsCredentialsProvider, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::{
    Credentials as AwsCredentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_smithy_async::future::timeout::TimedOutError;
use aws_smithy_runtime_api::client::{http::SharedHttpClient, result::ConnectorError};
use aws_types::{
    os_shim_internal::{Env, Fs},
    region::Region,
};
use tokio::sync::Mutex;

use super::{credentials::refuse_ended, endpoint};
use crate::error::{Error, ErrorKind, Result};

/// As the SDK's own cache: files and variables without an end are read again after this.
pub(super) const ENDLESS: Duration = Duration::from_mins(15);

/// One try of an instance metadata address: off AWS it often answers nothing at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

const CURE: &str = "Give credentials=..., set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in to a profile \
                    (`aws sso login`) and name it as profile=... or AWS_PROFILE.";

pub(super) struct Chain {
    conf: ProviderConfig,
    /// What the caller named.
    profile: Option<String>,
    /// None before the first use and after a failure.
    links: Mutex<Option<Vec<(Source, SharedCredentialsProvider)>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Environment,
    Profile,
    WebIdentity,
    Container,
    Instance,
}

impl Chain {
    /// Reads and asks nothing yet.
    pub(super) fn new(region: Region, profile: Option<String>, http: SharedHttpClient) -> Self {
        let conf = ProviderConfig::without_region()
            .with_behavior_version(Some(endpoint::behavior_version()))
            .with_http_client(http)
            .with_region(Some(region));
        Self { conf, profile, links: Mutex::default() }
    }

    /// The keys of the first link that has some. A link that is configured and fails ends the search.
    pub(super) async fn keys(&self) -> Result<AwsCredentials> {
        let mut held = self.links.lock().await;
        // Taken out while they are at work: only those are used again that gave keys with an end, and so know how to get
        // new ones. Keys without one come from files that may say something else the next time.
        let links = held.take().unwrap_or_else(|| self.links());
        for (source, link) in &links {
            match link.provide_credentials().await {
                Ok(keys) => {
                    refuse_ended(&keys, &format!("{} gave", self.name(*source)))
                        .map_err(|error| error.with_cure(self.cure(*source)))?;
                    if keys.expiry().is_some() {
                        *held = Some(links);
                    }
                    return Ok(keys);
                }
                Err(CredentialsError::CredentialsNotLoaded(_))
                    if *source == Source::Profile && self.is_typo().await =>
                {
                    return Err(self.undefined());
                }
                Err(error) if passes(*source, &error) => {
                    tracing::debug!(?source, reason = causes(&error), "no AWS credentials here");
                }
                Err(error) => return Err(self.failed(*source, &error)),
            }
        }
        let but = self.named_profile().map(|name| format!(" The profile {name:?} holds none.")).unwrap_or_default();
        let message = format!("No AWS credentials were found.{but}");
        Err(Error::new(ErrorKind::Credentials, "credentials_missing", message).with_cure(CURE))
    }

    fn links(&self) -> Vec<(Source, SharedCredentialsProvider)> {
        let conf = &self.conf;
        let mut profile = ProfileFileCredentialsProvider::builder().configure(conf);
        if let Some(name) = &self.profile {
            profile = profile.profile_name(name);
        }
        let metadata = imds::Client::builder()
            .configure(conf)
            .max_attempts(1)
            .connect_timeout(METADATA_TIMEOUT)
            .read_timeout(METADATA_TIMEOUT)
            .operation_attempt_timeout(METADATA_TIMEOUT)
            .operation_timeout(METADATA_TIMEOUT)
            .build();
        let environment = EnvironmentVariableCredentialsProvider::new();
        let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(conf).build();
        let container = EcsCredentialsProvider::builder().configure(conf).build();
        let instance = ImdsCredentialsProvider::builder().configure(conf).imds_client(metadata).build();
        let mut links = vec![
            (Source::Environment, SharedCredentialsProvider::new(environment)),
            (Source::Profile, SharedCredentialsProvider::new(profile.build())),
            (Source::WebIdentity, SharedCredentialsProvider::new(web_identity)),
            (Source::Container, SharedCredentialsProvider::new(container)),
            (Source::Instance, SharedCredentialsProvider::new(instance)),
        ];
        if self.profile.is_some() {
            // As in every AWS tool: whoever names a profile does not mean whatever the environment holds.
            links.retain(|(source, _)| !matches!(source, Source::Environment | Source::WebIdentity));
        }
        links
    }

    /// Whether a profile was named that no file defines: the conversation must not go on as somebody else.
    #[expect(clippy::default_trait_access, reason = "a type that the SDK does not re-export")]
    async fn is_typo(&self) -> bool {
        let Some(name) = self.named_profile().filter(|name| name != "default") else { return false };
        let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), None).await;
        profiles.is_ok_and(|profiles| profiles.get_profile(&name).is_none())
    }

    fn undefined(&self) -> Error {
        let message = format!("{} is not defined in the AWS configuration files.", self.name(Source::Profile));
        let error = Error::new(ErrorKind::Credentials, "profile_missing", sentence(&message));
        error.with_cure("Check profile=... or AWS_PROFILE against what `aws configure list-profiles` lists.")
    }

    fn named_profile(&self) -> Option<String> {
        self.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty()))
    }

    fn failed(&self, source: Source, error: &CredentialsError) -> Error {
        let mut reason = causes(error);
        // What a credential_process complains about may hold what it should have kept to itself.
        if let Some(at) = reason.find(" Stderr:") {
            reason.truncate(at);
        }
        let message =
            format!("{} failed to give AWS credentials: {}.", self.name(source), reason.trim_end_matches('.'));
        Error::new(ErrorKind::Credentials, "credentials_failed", sentence(&message))
            .with_cure(self.cure(source))
            // Not what the source said, but that it could not be heard.
            .retryable(causes_of(error).any(|cause| cause.is::<ConnectorError>() || cause.is::<TimedOutError>()))
    }

    fn name(&self, source: Source) -> String {
        match source {
            Source::Environment => "the environment".to_owned(),
            Source::Profile => {
                format!("the AWS profile {:?}", self.named_profile().unwrap_or_else(|| "default".to_owned()))
            }
            Source::WebIdentity => "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE)".to_owned(),
            Source::Container => "the container's credentials address".to_owned(),
            Source::Instance => "the instance's metadata address".to_owned(),
        }
    }

    fn cure(&self, source: Source) -> String {
        match source {
            Source::Environment => "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither.".to_owned(),
            Source::Profile => format!(
                "See what `aws sts get-caller-identity --profile {}` says; for SSO, `aws sso login` first.",
                self.named_profile().unwrap_or_else(|| "default".to_owned())
            ),
            Source::WebIdentity => "Check AWS_WEB_IDENTITY_TOKEN_FILE, and that the role in AWS_ROLE_ARN trusts this \
                                    token."
                .to_owned(),
            Source::Container => "Check AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI and the token beside it, \
                                  and the role of the task or pod."
                .to_owned(),
            Source::Instance => "Check the role of the instance, or set AWS_EC2_METADATA_DISABLED=true where there is \
                                 none."
                .to_owned(),
        }
    }
}

/// Whether the next link is asked.
fn passes(source: Source, error: &CredentialsError) -> bool {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => true,
        // Off AWS, where the address belongs to nobody, packets to it are often swallowed.
        _ => source == Source::Instance && causes_of(error).any(is_silence),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Nobody there answered in time.
fn is_silence(error: Cause<'_>) -> bool {
    matches!(error.downcast_ref(), Some(imds::client::error::ImdsError::FailedToLoadToken(_)))
        && causes_of(error).any(<dyn std::error::Error>::is::<TimedOutError>)
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn causes_of(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error), |error| error.source())
}

/// What each error of the chain says, outermost first. The SDK's own display adds its debug form, headers and all.
fn causes(error: &CredentialsError) -> String {
    let mut words: Vec<String> = Vec::new();
    // The first says only that an error occurred.
    for cause in causes_of(error).skip(1) {
        let said = cause.to_string();
        if !words.iter().any(|word| word.contains(&said)) {
            words.push(said);
        }
    }
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

#[cfg(test)]
mod tests;
