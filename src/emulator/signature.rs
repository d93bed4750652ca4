//! Signature Version 4 as the service checks it: the request, then every event chained to it.
//!
//! Written from AWS's documents ("Signature Version 4 for API requests", "event stream signing") with nothing but
//! HMAC-SHA256, not with the SDK's signer: the client signs with that one. What each SDK really sends differs
//! (`signature/recorded.json`): `host` or `:authority`, a payload hash header or none, dates in seconds or
//! milliseconds. All those forms are accepted here because the service accepts them.

use std::fmt::Write as _;

use http::{HeaderMap, request::Parts};
use ring::{digest, hmac};
use time::{Duration, OffsetDateTime, PrimitiveDateTime, format_description::FormatItem, macros::format_description};

use super::request::Refusal;

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

/// What an `authorization` header claims, not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    pub(super) access_key_id: &'a str,
    date: &'a str,
    pub(super) region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let header = headers
            .get(http::header::AUTHORIZATION)
            .ok_or_else(|| denied("MissingAuthenticationTokenException", "Missing Authentication Token"))?;
        let header = header.to_str().map_err(|_| incomplete("the authorization header is not ASCII"))?;
        if header.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")) {
            // Bedrock API keys do not open this operation (reference §7.4).
            return Err(denied(
                "AccessDeniedException",
                "Bedrock API keys cannot be used with InvokeModelWithBidirectionalStream: sign with Signature Version 4",
            ));
        }
        let fields = header
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete(format!("the authorization header does not begin with {ALGORITHM}")))?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let credential = field("Credential")?;
        let scope: Vec<&str> = credential.split('/').collect();
        let &[access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
            ));
        };
        Ok(Self {
            access_key_id,
            date,
            region,
            service,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

/// Checks the request's signature. What it returns checks the events that follow.
pub(super) fn verify_request(keys: &Keys, parts: &Parts, now: OffsetDateTime) -> Result<EventChain, Refusal> {
    let claim = Claim::of(&parts.headers)?;
    let token = parts.headers.contains_key("x-amz-security-token");
    // Temporary key ids begin with ASIA and open nothing without their token.
    if !keys.open(claim.access_key_id) || (claim.access_key_id.starts_with("ASIA") && !token) {
        return Err(denied("UnrecognizedClientException", "The security token included in the request is invalid."));
    }
    if claim.service != SERVICE {
        return Err(mismatch(format!("Credential should be scoped to correct service: '{SERVICE}'. ")));
    }
    let authority = parts.uri.authority().map_or("", http::uri::Authority::as_str);
    if region_of(authority).is_some_and(|region| region != claim.region) {
        return Err(mismatch("Credential should be scoped to a valid region. "));
    }
    let signed: Vec<&str> = claim.signed_headers.split(';').collect();
    let is_signed = |name: &str| signed.contains(&name);
    let required = [(true, "x-amz-date"), (token, "x-amz-security-token")];
    if let Some((_, name)) = required.iter().find(|(present, name)| *present && !is_signed(name)) {
        return Err(mismatch(format!("'{name}' must be a signed header.")));
    }
    if !is_signed("host") && !is_signed(":authority") {
        return Err(mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
    }

    let timestamp = header(&parts.headers, "x-amz-date").ok_or_else(|| {
        incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    })?;
    let date = PrimitiveDateTime::parse(&timestamp, TIMESTAMP)
        .map_err(|_| incomplete("Date must be in ISO-8601 'basic format'."))?
        .assume_utc();
    if timestamp.get(..8) != Some(claim.date) {
        return Err(mismatch(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{timestamp}'.",
            claim.date
        )));
    }
    check_skew(date, now).map_err(mismatch)?;

    let payload_hash = header(&parts.headers, "x-amz-content-sha256").unwrap_or_else(|| EMPTY_SHA256.to_owned());
    if ![EVENTS_PAYLOAD, EMPTY_SHA256].contains(&payload_hash.as_str()) {
        return Err(mismatch(format!("x-amz-content-sha256 must be {EVENTS_PAYLOAD} or absent.")));
    }

    let canonical = canonical_request(parts, &signed, &payload_hash)?;
    let key = SigningKey::derive(&keys.secret_access_key, claim.date, claim.region, claim.service);
    let string_to_sign = format!(
        "{ALGORITHM}\n{timestamp}\n{}/{}/{}/aws4_request\n{}",
        claim.date,
        claim.region,
        claim.service,
        hex(&sha256(canonical.as_bytes()))
    );
    let signature = unhex(claim.signature).ok_or_else(|| mismatch(MISMATCH))?;
    if !key.signed(&string_to_sign, &signature) {
        return Err(mismatch(MISMATCH));
    }
    Ok(EventChain {
        secret_access_key: keys.secret_access_key.clone(),
        region: claim.region.to_owned(),
        prior: hex(&signature),
        day: claim.date.to_owned(),
        key,
    })
}

/// Each event's signature covers the one before, so an event dropped, doubled or moved breaks the chain.
pub(super) struct EventChain {
    secret_access_key: String,
    region: String,
    prior: String,
    /// The scope's day is the event's own: a stream across UTC midnight changes its key.
    day: String,
    key: SigningKey,
}

impl EventChain {
    /// `date_header` is the encoded `:date` header, `date_ms` its value; the signed string holds whole seconds.
    pub(super) fn verify(
        &mut self,
        date_header: &[u8],
        date_ms: i64,
        payload: &[u8],
        signature: &[u8],
        now: OffsetDateTime,
    ) -> Result<(), String> {
        let date = OffsetDateTime::from_unix_timestamp(date_ms.div_euclid(1000))
            .map_err(|_| ":date is out of range".to_owned())?;
        check_skew(date, now)?;
        let timestamp = timestamp(date);
        let day = timestamp.get(..8).unwrap_or_default();
        if day != self.day {
            self.key = SigningKey::derive(&self.secret_access_key, day, &self.region, SERVICE);
            day.clone_into(&mut self.day);
        }
        let string_to_sign = format!(
            "{EVENT_ALGORITHM}\n{timestamp}\n{}/{}/{SERVICE}/aws4_request\n{}\n{}\n{}",
            self.day,
            self.region,
            self.prior,
            hex(&sha256(date_header)),
            hex(&sha256(payload))
        );
        if !self.key.signed(&string_to_sign, signature) {
            return Err(MISMATCH.to_owned());
        }
        self.prior = hex(signature);
        Ok(())
    }
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

fn canonical_request(parts: &Parts, signed: &[&str], payload_hash: &str) -> Result<String, Refusal> {
    let mut query: Vec<&str> =
        parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let mut canonical = format!("{}\n{}\n{}\n", parts.method, encode_path(parts.uri.path()), query.join("&"));
    for &name in signed {
        let value = match name {
            // HTTP/2 has no host header; SDKs sign its name with :authority's value, or :authority itself.
            ":authority" => parts.uri.authority().map(ToString::to_string),
            "host" => header(&parts.headers, name).or_else(|| parts.uri.authority().map(ToString::to_string)),
            _ => header(&parts.headers, name),
        };
        let value = value.ok_or_else(|| mismatch(format!("The signed header '{name}' is not in the request.")))?;
        canonical.extend([name, ":", &value, "\n"]);
    }
    canonical.extend(["\n", &signed.join(";"), "\n", payload_hash]);
    Ok(canonical)
}

/// Every service but S3 encodes the path once more than the wire has it: `%3A` is signed as `%253A`.
fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A header's values as they are signed: trimmed, inner runs of blanks folded, joined by commas.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if values.is_empty() { None } else { Some(values.join(",")) }
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
