//! Tokens and money of a whole conversation, however many streams it took.

use crate::protocol::TokenCounts;

/// USD per million tokens of Nova 2 Sonic and Nova 2.5 Sonic, on demand: AWS's Bedrock price page, November 2026.
const SPEECH_IN_USD: f64 = 3.0;
const TEXT_IN_USD: f64 = 0.33;
const SPEECH_OUT_USD: f64 = 12.0;
const TEXT_OUT_USD: f64 = 2.75;

/// Adds `delta` to `total`. The service's own totals restart with each stream, so only deltas are summed.
pub(super) fn add(total: &mut TokenCounts, delta: TokenCounts) {
    total.speech_in = total.speech_in.saturating_add(delta.speech_in);
    total.text_in = total.text_in.saturating_add(delta.text_in);
    total.speech_out = total.speech_out.saturating_add(delta.speech_out);
    total.text_out = total.text_out.saturating_add(delta.text_out);
}

/// What `counts` cost at list price.
pub(super) fn usd(counts: TokenCounts) -> f64 {
    // Exact up to 2^53 tokens.
    #[allow(clippy::cast_precision_loss)]
    let cost = |tokens: u64, usd_per_million: f64| tokens as f64 * usd_per_million / 1_000_000.0;
    cost(counts.speech_in, SPEECH_IN_USD)
        + cost(counts.text_in, TEXT_IN_USD)
        + cost(counts.speech_out, SPEECH_OUT_USD)
        + cost(counts.text_out, TEXT_OUT_USD)
}
