//! Where to connect: region, endpoint URL and CA bundle, resolved as every AWS tool resolves them.
//!
//! The order is our own configuration, then the environment, then the profile; an instance metadata address is never
//! asked for a region.

use std::{ffi::OsString, net::IpAddr, path::PathBuf};

use aws_config::{
    BehaviorVersion, environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
};
use aws_types::{SdkConfig, region::Region, service_config::ServiceConfigKey};
use http::Uri;

use super::TransportConfig;
use crate::error::{Error, ErrorKind, Result};

/// Pinned: a newer version of the SDK must not change timeouts or retries under us.
pub(super) fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The answers, read once, at the first stream.
#[derive(Debug, PartialEq)]
pub(super) struct Endpoint {
    pub(super) region: Region,
    /// None: the service's own address in that region.
    pub(super) url: Option<String>,
    pub(super) ca_bundle: Option<PathBuf>,
}

impl Endpoint {
    pub(super) async fn resolve(config: &TransportConfig) -> Result<Self> {
        let mut profile = ProfileFileRegionProvider::builder();
        let mut loader = aws_config::defaults(behavior_version()).no_credentials();
        if let Some(name) = &config.profile {
            profile = profile.profile_name(name);
            loader = loader.profile_name(name);
        }
        let region = RegionProviderChain::first_try(config.region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(profile.build());
        let region = region.region().await.ok_or_else(|| {
            Error::new(ErrorKind::Config, "region_missing", "No AWS region is configured.")
                .with_cure("Give region=\"us-east-1\", or set AWS_REGION, or a region in the AWS profile.")
        })?;
        // Without a region of ours the loader would go on to ask the instance metadata address for one.
        let shared = loader.region(region.clone()).load().await;
        let url = config.endpoint_url.clone().or_else(|| configured_url(&shared));
        if let Some(url) = &url {
            check_url(url, config.allow_insecure)?;
        }
        let ca_bundle = config.ca_bundle.clone().or_else(|| ca_bundle_from(std::env::var_os("AWS_CA_BUNDLE")));
        Ok(Self { region, url, ca_bundle })
    }

    /// Refuses a model that is not offered in this region; what the service says of it takes a round trip and names
    /// neither. `regions` empty: nobody knows. Behind a URL of the caller's own, the region is only a signature's.
    pub(super) fn check_model(&self, model_id: &str, regions: &[String]) -> Result<()> {
        let region = self.region.as_ref();
        if self.url.is_some() || regions.is_empty() || regions.iter().any(|offered| offered == region) {
            return Ok(());
        }
        let offered = regions.join(", ");
        Err(Error::new(
            ErrorKind::Config,
            "model_region",
            format!("{model_id} is not offered in {region}, but in {offered}."),
        )
        .with_cure(
            "Choose one of these as region, or in AWS_REGION or the AWS profile. Where AWS has added yours since this \
             release, give its address as endpoint_url.",
        ))
    }
}

/// `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`, `AWS_ENDPOINT_URL` and their twins in the profile.
fn configured_url(shared: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        // Not "Bedrock Runtime": the SDK looks for that under `bedrock-runtime` in a profile, where AWS's settings guide
        // and every other tool have `bedrock_runtime`.
        .service_id("bedrock_runtime")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let service = shared.service_config().and_then(|config| config.load_config(key));
    service.or_else(|| shared.endpoint_url().map(str::to_owned)).filter(|url| !url.is_empty())
}

fn ca_bundle_from(variable: Option<OsString>) -> Option<PathBuf> {
    variable.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Refuses what is not an http(s) URL of a host, and clear text to anything but this machine.
pub(super) fn check_url(url: &str, allow_insecure: bool) -> Result<()> {
    let bad = |reason: &str| {
        Error::new(ErrorKind::Config, "bad_endpoint", format!("The endpoint URL {url:?} {reason}."))
            .with_cure("Give endpoint_url as https://host or https://host:port.")
    };
    let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("names no host"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Error::new(ErrorKind::Config, "bad_endpoint", "The endpoint URL carries a user name or password."));
    }
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if allow_insecure || is_loopback(host) => Ok(()),
        Some("http") => Err(Error::new(
            ErrorKind::Config,
            "insecure_endpoint",
            format!("{url:?} would send speech in clear text to another machine."),
        )
        .with_cure("Use https://, or set allow_insecure=True if the network between is yours.")),
        _ => Err(bad("is neither https:// nor http://")),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
