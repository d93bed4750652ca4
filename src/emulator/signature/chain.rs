//! The events of a stream, each signed over the one before.

use time::OffsetDateTime;

use super::{EVENT_ALGORITHM, MISMATCH, SERVICE, SigningKey, check_skew, hex, sha256, timestamp};

/// Each event's signature covers the one before, so an event dropped, doubled or moved breaks the chain.
pub(in crate::emulator) struct EventChain {
    pub(super) secret_access_key: String,
    pub(super) region: String,
    pub(super) prior: String,
    /// The scope's day is the event's own: a stream across UTC midnight changes its key.
    pub(super) day: String,
    pub(super) key: SigningKey,
}

impl EventChain {
    /// `date_header` is the encoded `:date` header, `date_ms` its value; the signed string holds whole seconds.
    pub(in crate::emulator) fn verify(
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
