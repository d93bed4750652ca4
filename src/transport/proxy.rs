//! The HTTP proxy between us and the service, as `HTTPS_PROXY` and `NO_PROXY` name it.
//!
//! Only what goes over TLS goes through it, by CONNECT: so a proxy never sees keys or speech, and the metadata addresses
//! of machines and containers, which speak plain HTTP, are always asked directly.

use aws_smithy_http_client::proxy::ProxyConfig;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::errors;
use crate::error::{Error, ErrorKind, Result};

/// A proxy that answers CONNECT with more headers than this is none.
const MAX_ANSWER: usize = 8 << 10;

pub(super) const CURE: &str = "Check HTTPS_PROXY, and whether NO_PROXY should name the endpoint.";

/// The proxy of one process, if it has one.
pub(super) struct Proxy {
    url: String,
    exceptions: String,
    matcher: Matcher,
}

/// How to reach one origin by way of the proxy.
pub(super) struct Route {
    proxy: Uri,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Small letters win over capitals, as in curl, Python and AWS's tools. None: everything is reached directly.
    pub(super) fn from_environment() -> Result<Option<Self>> {
        let read = |names: [&str; 2]| names.into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
        Self::new(&read(["https_proxy", "HTTPS_PROXY"]), &read(["no_proxy", "NO_PROXY"]))
    }

    fn new(url: &str, no_proxy: &str) -> Result<Option<Self>> {
        let url = url.trim();
        let rules: Vec<_> = no_proxy.split(',').map(str::trim).collect();
        // The matcher knows this rule for names only, not for addresses.
        if url.is_empty() || rules.contains(&"*") {
            return Ok(None);
        }
        // `*.internal` for `.internal` is not in the rules, but in many an environment.
        let no_proxy = rules.iter().map(|rule| rule.strip_prefix('*').unwrap_or(rule)).collect::<Vec<_>>().join(",");
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let matcher = Matcher::builder().https(url.as_str()).no(no_proxy.as_str()).build();
        let usable = url.starts_with("http://")
            && url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        // What is wrong may be the password: the URL is not shown.
        if !usable {
            let message = "HTTPS_PROXY is not the http:// URL of a proxy.";
            return Err(Error::new(ErrorKind::Config, "bad_proxy", message)
                .with_cure("Set it as http://host:port or http://user:password@host:port, or not at all."));
        }
        Ok(Some(Self { url, exceptions: no_proxy, matcher }))
    }

    /// None: directly.
    pub(super) fn route(&self, origin: &Uri) -> Option<Route> {
        let intercept = self.matcher.intercept(origin)?;
        Some(Route { proxy: intercept.uri().clone(), authorization: intercept.basic_auth().cloned() })
    }

    /// The same for the SDK's own client.
    pub(super) fn for_sdk(&self) -> Result<ProxyConfig> {
        let config = ProxyConfig::https(self.url.as_str());
        let config = config.map_err(|_| errors::internal("The SDK does not take a proxy that we take."))?;
        Ok(config.no_proxy(&self.exceptions))
    }
}

impl Route {
    /// Where to connect.
    pub(super) fn proxy(&self) -> &Uri {
        &self.proxy
    }

    /// Asks the proxy for a way to the origin; then the connection is the origin's.
    pub(super) async fn tunnel(&self, tcp: &mut TcpStream, origin: &Uri) -> Result<()> {
        let place = format!("{}:{}", origin.host().unwrap_or_default(), origin.port_u16().unwrap_or(443));
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let answer = async {
            tcp.write_all(&request).await?;
            read_head(tcp).await
        };
        let answer = answer.await.map_err(|error| self.refused("proxy_failed", &format!("failed: {error}")))?;
        match status(&answer) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(self
                .refused("proxy_authentication", "wants a user name and a password, or others than it was given")
                .with_cure(
                    "Set HTTPS_PROXY as http://user:password@host:port, with %-escapes where they hold any of /@:%.",
                )
                .retryable(false)),
            Some(status) => Err(self.refused("proxy_refused", &format!("gives no way to {place}: HTTP {status}"))),
            None => Err(self.refused("proxy_failed", "does not answer in HTTP")),
        }
    }

    fn refused(&self, code: &str, what: &str) -> Error {
        Error::new(ErrorKind::Connect, code, format!("The proxy {} {what}.", self.place())).with_cure(CURE)
    }

    /// `host:port` for messages.
    pub(super) fn place(&self) -> String {
        self.proxy.authority().map(ToString::to_string).unwrap_or_default()
    }
}

/// Up to the empty line and not a byte further: what follows is the origin's.
async fn read_head(tcp: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_ANSWER {
        head.push(tcp.read_u8().await?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    if !version.starts_with("HTTP/1.") || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
