//! Tokens and money of a whole conversation, however many streams it took.

use crate::protocol::TokenCounts;

/// USD per million tokens. The table that users see and replace is `novasonic.Prices`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prices {
    pub speech_in: f64,
    pub text_in: f64,
    pub speech_out: f64,
    pub text_out: f64,
}

impl Prices {
    pub fn usd(&self, counts: TokenCounts) -> f64 {
        // Exact up to 2^53 tokens.
        #[allow(clippy::cast_precision_loss)]
        let cost = |tokens: u64, usd_per_million: f64| tokens as f64 * usd_per_million / 1_000_000.0;
        cost(counts.speech_in, self.speech_in)
            + cost(counts.text_in, self.text_in)
            + cost(counts.speech_out, self.speech_out)
            + cost(counts.text_out, self.text_out)
    }
}

/// Adds `delta` to `total`. The service's own totals restart with each stream, so only deltas are summed.
pub(super) fn add(total: &mut TokenCounts, delta: TokenCounts) {
    total.speech_in = total.speech_in.saturating_add(delta.speech_in);
    total.text_in = total.text_in.saturating_add(delta.text_in);
    total.speech_out = total.speech_out.saturating_add(delta.speech_out);
    total.text_out = total.text_out.saturating_add(delta.text_out);
}

pub(super) fn sum(counts: TokenCounts) -> u64 {
    [counts.text_in, counts.speech_out, counts.text_out].iter().fold(counts.speech_in, |sum, n| sum.saturating_add(*n))
}
