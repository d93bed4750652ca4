//! Who a request says it is from, when and how it says it was signed: nothing of it believed yet.
//!
//! Over HTTP/2 in an `authorization` header, on a WebSocket in the query, since a browser gives a socket no headers. Each
//! form is taken in its own place only: no SDK was seen to use the other.

use http::{HeaderMap, request::Parts};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::{
    ALGORITHM, CLOCK_SKEW, TIMESTAMP,
    canonical::{SIGNATURE_PARAMETER, header, parameters},
    check_skew, denied, incomplete, mismatch, timestamp,
};
use crate::emulator::request::{Form, Refusal, percent_decode};

/// A week: AWS's limit for presigned addresses of every service.
const LONGEST_LIFE_S: i64 = 7 * 24 * 60 * 60;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Claim {
    pub(in crate::emulator) access_key_id: String,
    pub(in crate::emulator) region: String,
    pub(super) service: String,
    /// Of the scope: `YYYYMMDD`.
    pub(super) day: String,
    pub(super) signed_headers: String,
    pub(super) signature: String,
    /// When it was signed, as it stands in the request.
    pub(super) timestamp: Option<String>,
    /// None: for as long as clocks may differ.
    pub(super) life: Option<Duration>,
    /// A session token came with it.
    pub(super) token: bool,
}

impl Claim {
    pub(in crate::emulator) fn of(parts: &Parts, form: Form) -> Result<Self, Refusal> {
        match form {
            Form::Http2 => Self::of_headers(&parts.headers),
            Form::WebSocket => Self::of_query(parts.uri.query().unwrap_or_default()),
        }
    }

    fn of_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let authorization = headers.get(http::header::AUTHORIZATION).ok_or_else(missing)?;
        let authorization = authorization.to_str().map_err(|_| incomplete("the authorization header is not ASCII"))?;
        if authorization.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")) {
            // Bedrock API keys do not open this operation (reference §7.4).
            return Err(denied(
                "AccessDeniedException",
                "Bedrock API keys cannot be used with InvokeModelWithBidirectionalStream: sign with Signature Version 4",
            ));
        }
        let fields = authorization
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete(format!("the authorization header does not begin with {ALGORITHM}")))?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let signed = Self::of_scope(field("Credential")?)?;
        Ok(Self {
            signed_headers: field("SignedHeaders")?.to_owned(),
            signature: field("Signature")?.to_owned(),
            timestamp: header(headers, "x-amz-date"),
            token: headers.contains_key("x-amz-security-token"),
            ..signed
        })
    }

    fn of_query(query: &str) -> Result<Self, Refusal> {
        let find = |wanted: &str| {
            let mut found = parameters(query).filter(|(name, _)| *name == wanted).map(|(_, value)| value);
            match (found.next(), found.next()) {
                (Some(value), None) => percent_decode(value),
                _ => None,
            }
        };
        if !parameters(query).any(|(name, _)| name == SIGNATURE_PARAMETER) {
            return Err(missing());
        }
        let field = |name: &str| {
            find(name).ok_or_else(|| {
                incomplete(format!(
                    "AWS query-string parameters must include '{name}', once. Re-examine the query-string parameters."
                ))
            })
        };
        let algorithm = field("X-Amz-Algorithm")?;
        if algorithm != ALGORITHM {
            return Err(incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}'.")));
        }
        let signed = Self::of_scope(&field("X-Amz-Credential")?)?;
        let life = field("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=LONGEST_LIFE_S).contains(seconds))
            .ok_or_else(|| incomplete(format!("X-Amz-Expires must be a number from 1 to {LONGEST_LIFE_S}.")))?;
        Ok(Self {
            signed_headers: field("X-Amz-SignedHeaders")?,
            signature: field(SIGNATURE_PARAMETER)?,
            timestamp: Some(field("X-Amz-Date")?),
            life: Some(Duration::seconds(life)),
            token: find("X-Amz-Security-Token").is_some_and(|token| !token.is_empty()),
            ..signed
        })
    }

    /// What `keyid/day/region/service/aws4_request` says, the rest empty.
    fn of_scope(credential: &str) -> Result<Self, Refusal> {
        let scope: Vec<&str> = credential.split('/').collect();
        let &[access_key_id, day, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
            ));
        };
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            day: day.to_owned(),
            signed_headers: String::new(),
            signature: String::new(),
            timestamp: None,
            life: None,
            token: false,
        })
    }

    /// The headers that must be among the signed ones, beside the host's; in a query all parameters are signed.
    pub(super) fn must_sign(&self) -> impl Iterator<Item = &'static str> {
        let in_headers = self.life.is_none();
        [(in_headers, "x-amz-date"), (in_headers && self.token, "x-amz-security-token")]
            .into_iter()
            .filter_map(|(required, name)| required.then_some(name))
    }

    /// When it was signed, if that is its scope's day and it still holds.
    pub(super) fn check_time(&self, now: OffsetDateTime) -> Result<&str, Refusal> {
        let signed_at = self.timestamp.as_deref().ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        let date = PrimitiveDateTime::parse(signed_at, TIMESTAMP)
            .map_err(|_| incomplete("Date must be in ISO-8601 'basic format'."))?
            .assume_utc();
        if signed_at.get(..8) != Some(&*self.day) {
            return Err(mismatch(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{signed_at}'.",
                self.day
            )));
        }
        let Some(life) = self.life.filter(|_| date <= now + CLOCK_SKEW) else {
            return check_skew(date, now).map(|()| signed_at).map_err(mismatch);
        };
        // The signer named the end, and a clock that is behind gets nothing on top.
        if now - date > life {
            let earliest = timestamp(now - life);
            return Err(mismatch(format!(
                "Signature expired: {signed_at} is now earlier than {earliest} ({} - {} s.)",
                timestamp(now),
                life.whole_seconds()
            )));
        }
        Ok(signed_at)
    }
}

fn missing() -> Refusal {
    denied("MissingAuthenticationTokenException", "Missing Authentication Token")
}
