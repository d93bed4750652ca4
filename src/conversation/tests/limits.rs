//! Bounds of a conversation, by hand-moved clocks.

use super::*;
use crate::protocol::UsageDetails;

const S: Duration = Duration::from_secs(1);

fn limited(limits: Limits) -> Tape {
    Tape::on(Terms { limits, ..terms() })
}

#[track_caller]
fn reached(tape: &Tape, at: Duration) -> bool {
    let reached = tape.conversation.limit_reached(at);
    let by_clock = tape.conversation.limit_deadline(at).is_some_and(|deadline| deadline <= at);
    assert!(reached || !by_clock, "the clock's deadline is a bound");
    reached
}

#[test]
fn without_limits_nothing_is_reached() {
    let tape = limited(Limits::default()).hears(exchange(1, "Hi.", "Hello."));
    assert!(!reached(&tape, 1_000_000 * S));
    assert_eq!(tape.conversation.limit_deadline(S), None);
}

#[test]
fn length_counts_from_the_opening() {
    let tape = limited(Limits { length: Some(10 * S), ..Limits::default() }).hears(exchange(1, "Hi.", "Hello."));
    assert!(!reached(&tape, Duration::from_millis(9_999)) && reached(&tape, 10 * S));
}

#[test]
fn idleness_counts_from_the_last_word_heard() {
    let tape = limited(Limits { idle: Some(10 * S), ..Limits::default() }).waits(5_000);
    assert!(reached(&tape, 10 * S), "nobody ever spoke");
    let tape = tape.hears(exchange(1, "Hi.", "Hello."));
    assert!(!reached(&tape, 15 * S) && reached(&tape, 15 * S + Duration::from_millis(100)));
    let tape = tape.types("Still here.");
    assert!(!reached(&tape, 15 * S));
}

#[test]
fn a_long_reply_and_a_tool_at_work_are_no_idleness() {
    let limits = Limits { idle: Some(S), ..Limits::default() };
    let mut events = vec![audio_start("a")];
    // 4 s of audio in 50 ms.
    events.extend(std::iter::repeat_with(|| audio_output("a")).take(50));
    let tape = limited(limits).hears(events);
    assert!(!reached(&tape, 4 * S) && reached(&tape, 5 * S + Duration::from_millis(100)));
    let call = OutputEvent::ToolUse {
        content_id: "t".to_owned(),
        tool_use_id: "t".to_owned(),
        name: "slow".to_owned(),
        arguments: "{}".to_owned(),
    };
    let tape = tape.hears([call]);
    assert!(!reached(&tape, 100 * S));
    let tape = tape.answers("t", true);
    assert!(reached(&tape, 100 * S));
}

#[test]
fn tokens_and_money_are_bounds_too() {
    let delta = TokenCounts { speech_in: 25, text_in: 25, speech_out: 25, text_out: 25 };
    let usage = [OutputEvent::Usage(UsageDetails { delta, total: delta })];
    let tape = limited(Limits { tokens: Some(150), ..Limits::default() }).hears(usage.clone());
    assert!(!reached(&tape, S));
    assert!(reached(&tape.hears(usage.clone()), S));
    // 25 tokens of each kind cost 0.000452 USD.
    let tape = limited(Limits { usd: Some(0.000_8), ..Limits::default() }).hears(usage.clone());
    assert!(!reached(&tape, S));
    assert!(reached(&tape.hears(usage), S));
}
