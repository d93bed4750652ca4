//! Tokens add up over the conversation, and cost what the price list says.

use super::*;
use crate::protocol::UsageDetails;

fn usage(delta: TokenCounts, total: TokenCounts) -> OutputEvent {
    OutputEvent::Usage(UsageDetails { delta, total })
}

#[test]
fn totals_go_on_over_streams() {
    let delta = TokenCounts { speech_in: 10, text_in: 20, speech_out: 30, text_out: 40 };
    let mut conversation = conversation();
    let mut out = Vec::new();
    conversation.on_output(usage(delta, delta), Duration::ZERO, &mut out);
    conversation.on_lost(Duration::ZERO, &mut out);
    // The second stream counts from zero again.
    conversation.on_output(usage(delta, delta), Duration::ZERO, &mut out);
    let Some(EventKind::Usage { delta: last, total, usd }) = out.pop().map(|event| event.kind) else { panic!() };
    assert_eq!(last, delta);
    assert_eq!(total, TokenCounts { speech_in: 20, text_in: 40, speech_out: 60, text_out: 80 });
    let expected = (20.0 * 3.0 + 40.0 * 0.33 + 60.0 * 12.0 + 80.0 * 2.75) / 1e6;
    assert!((usd - expected).abs() < 1e-12, "{usd} for {expected}");
}

#[test]
fn absurd_counts_do_not_overflow() {
    let delta = TokenCounts { speech_in: u64::MAX, text_in: u64::MAX, speech_out: u64::MAX, text_out: u64::MAX };
    Tape::new().hears([usage(delta, delta), usage(delta, delta)]).says(&["usage -", "usage -"]);
}
