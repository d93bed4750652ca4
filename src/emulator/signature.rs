//! Signature Version 4 as the service checks it: the request, then every event chained to it.
//!
//! Written from AWS's documents ("Signature Version 4 for API requests", "event stream signing") with nothing but
//! HMAC-SHA256, not with the SDK's signer: the client signs with that one. What each SDK really sends differs
//! (`signature/recorded.json`): `host` or `:authority`, a payload hash header or none, dates in seconds or
//! milliseconds. All those forms are accepted here because the service accepts them. A WebSocket is signed in its query.

mod canonical;
mod chain;
mod claim;

pub(super) use chain::EventChain;
pub(super) use claim::Claim;

use http::request::Parts;
use ring::{digest, hmac};
use time::{Duration, OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::request::{Form, Refusal};
use canonical::{Host, canonical_request, header};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const EVENT_ALGORITHM: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const SERVICE: &str = "bedrock";
const EVENTS_PAYLOAD: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const CLOCK_SKEW: Duration = Duration::minutes(5);
const TIMESTAMP: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your \
                        AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// The key pair the emulator knows.
pub(super) struct Keys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

impl Keys {
    /// The emulator's own id, and the accounts under it: the same with `_` and a name behind.
    fn open(&self, access_key_id: &str) -> bool {
        let rest = access_key_id.strip_prefix(&*self.access_key_id);
        rest.is_some_and(|rest| rest.is_empty() || (rest.len() > 1 && rest.starts_with('_')))
    }
}

/// Checks the request's signature. What it returns checks the events that follow.
pub(super) fn verify_request(
    keys: &Keys,
    parts: &Parts,
    form: Form,
    now: OffsetDateTime,
) -> Result<EventChain, Refusal> {
    let claim = Claim::of(parts, form)?;
    // Temporary key ids begin with ASIA and open nothing without their token.
    if !keys.open(&claim.access_key_id) || (claim.access_key_id.starts_with("ASIA") && !claim.token) {
        return Err(denied("UnrecognizedClientException", "The security token included in the request is invalid."));
    }
    if claim.service != SERVICE {
        return Err(mismatch(format!("Credential should be scoped to correct service: '{SERVICE}'. ")));
    }
    if region_of(&authority(parts)).is_some_and(|region| region != claim.region) {
        return Err(mismatch("Credential should be scoped to a valid region. "));
    }
    let signed: Vec<&str> = claim.signed_headers.split(';').collect();
    let is_signed = |name: &str| signed.contains(&name);
    if let Some(name) = claim.must_sign().find(|name| !is_signed(name)) {
        return Err(mismatch(format!("'{name}' must be a signed header.")));
    }
    if !is_signed("host") && !is_signed(":authority") {
        return Err(mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
    }
    let timestamp = claim.check_time(now)?;

    let payload_hash = header(&parts.headers, "x-amz-content-sha256").unwrap_or_else(|| EMPTY_SHA256.to_owned());
    if ![EVENTS_PAYLOAD, EMPTY_SHA256].contains(&payload_hash.as_str()) {
        return Err(mismatch(format!("x-amz-content-sha256 must be {EVENTS_PAYLOAD} or absent.")));
    }

    let key = SigningKey::derive(&keys.secret_access_key, &claim.day, &claim.region, &claim.service);
    let scope = format!("{}/{}/{}", claim.day, claim.region, claim.service);
    let signature = unhex(&claim.signature).ok_or_else(|| mismatch(MISMATCH))?;
    let hosts = match form {
        Form::Http2 => &[Host::AsSent] as &[Host],
        Form::WebSocket => &[Host::WithoutPort, Host::AsSent],
    };
    let mut genuine = false;
    for host in hosts {
        let canonical = canonical_request(parts, &signed, &payload_hash, *host)?;
        genuine |= key.signed(&string_to_sign(timestamp, &scope, &canonical), &signature);
    }
    if !genuine {
        return Err(mismatch(MISMATCH));
    }
    Ok(EventChain {
        secret_access_key: keys.secret_access_key.clone(),
        region: claim.region,
        prior: hex(&signature),
        day: claim.day,
        key,
    })
}

fn string_to_sign(timestamp: &str, scope: &str, canonical: &str) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}/aws4_request\n{}", hex(&sha256(canonical.as_bytes())))
}

struct SigningKey(hmac::Key);

impl SigningKey {
    fn derive(secret: &str, day: &str, region: &str, service: &str) -> Self {
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for part in [day, region, service, "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        Self(key)
    }

    /// Compares in constant time.
    fn signed(&self, string_to_sign: &str, signature: &[u8]) -> bool {
        hmac::verify(&self.0, string_to_sign.as_bytes(), signature).is_ok()
    }
}

/// Whom the request is for: HTTP/1.1 tells it in a header.
fn authority(parts: &Parts) -> String {
    match parts.uri.authority() {
        Some(authority) => authority.to_string(),
        None => header(&parts.headers, "host").unwrap_or_default(),
    }
}

/// The region that a real host name of the service stands for.
fn region_of(authority: &str) -> Option<&str> {
    let host = authority.split(':').next()?;
    host.strip_prefix("bedrock-runtime.")?.strip_suffix(".amazonaws.com")
}

fn check_skew(date: OffsetDateTime, now: OffsetDateTime) -> Result<(), String> {
    if (date - now).abs() <= CLOCK_SKEW {
        return Ok(());
    }
    let (signed, now_text) = (timestamp(date), timestamp(now));
    Err(if date < now {
        let earliest = timestamp(now - CLOCK_SKEW);
        format!("Signature expired: {signed} is now earlier than {earliest} ({now_text} - 5 min.)")
    } else {
        let latest = timestamp(now + CLOCK_SKEW);
        format!("Signature not yet current: {signed} is still later than {latest} ({now_text} + 5 min.)")
    })
}

fn timestamp(date: OffsetDateTime) -> String {
    date.format(TIMESTAMP).unwrap_or_default()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()
        .filter(|bytes| bytes.len() == 32 && text.len() == 64)
}

fn denied(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(403, code, message)
}

fn mismatch(message: impl Into<String>) -> Refusal {
    denied("InvalidSignatureException", message)
}

fn incomplete(message: impl Into<String>) -> Refusal {
    denied("IncompleteSignatureException", message)
}

#[cfg(test)]
mod tests;
