//! A request as it is signed: one spelling for all that mean the same.

use std::fmt::Write as _;

use http::{HeaderMap, request::Parts};

use super::mismatch;
use crate::emulator::request::{Refusal, percent_decode};

/// The query as it is signed, too, leaves this out.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// How the host was spelt that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    AsSent,
    /// AWS's SDK for browsers leaves the port out, whatever it is.
    WithoutPort,
}

pub(super) fn canonical_request(
    parts: &Parts,
    signed: &[&str],
    payload_hash: &str,
    host: Host,
) -> Result<String, Refusal> {
    let query = canonical_query(parts.uri.query().unwrap_or_default())?;
    let mut canonical = format!("{}\n{}\n{query}\n", parts.method, encode_path(parts.uri.path()));
    for &name in signed {
        let value = match name {
            // HTTP/2 has no host header; SDKs sign its name with :authority's value, or :authority itself.
            ":authority" => parts.uri.authority().map(ToString::to_string),
            "host" => header(&parts.headers, name)
                .or_else(|| parts.uri.authority().map(ToString::to_string))
                .map(|sent| if host == Host::AsSent { sent } else { without_port(&sent).to_owned() }),
            _ => header(&parts.headers, name),
        };
        let value = value.ok_or_else(|| mismatch(format!("The signed header '{name}' is not in the request.")))?;
        canonical.extend([name, ":", &value, "\n"]);
    }
    canonical.extend(["\n", &signed.join(";"), "\n", payload_hash]);
    Ok(canonical)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Names and values encoded in the one way that is signed, sorted by name and then by value.
fn canonical_query(query: &str) -> Result<String, Refusal> {
    let mut pairs = Vec::new();
    for (name, value) in parameters(query) {
        let encoded = |text: &str| percent_decode(text).map(|text| encode(&text, false));
        let (Some(name), Some(value)) = (encoded(name), encoded(value)) else {
            return Err(mismatch("The query is not valid percent-encoded UTF-8."));
        };
        if name != SIGNATURE_PARAMETER {
            pairs.push((name, value));
        }
    }
    pairs.sort_unstable();
    Ok(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
}

/// Name and value of each parameter, as they are on the wire.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Every service but S3 encodes the path once more than the wire has it: `%3A` is signed as `%253A`.
pub(super) fn encode_path(path: &str) -> String {
    encode(path, true)
}

fn encode(text: &str, slashes_stay: bool) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || (slashes_stay && byte == b'/') {
            encoded.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A header's values as they are signed: trimmed, inner runs of blanks folded, joined by commas.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if values.is_empty() { None } else { Some(values.join(",")) }
}
