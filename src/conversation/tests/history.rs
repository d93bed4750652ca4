//! What is remembered: words of both sides, planned and heard, and when things happened.

use super::*;

/// Two sentences of 10 pieces (800 ms) each, all received 20-odd ms after the turn began.
fn told() -> Tape {
    let mut events = user("u1", "Talk.").to_vec();
    for (block, text) in [("1", "One two three four."), ("2", "Five six seven eight.")] {
        events.extend(plan(&format!("p{block}"), text));
        events.push(audio_start(&format!("a{block}")));
        events.extend(std::iter::repeat_with(|| audio_output(&format!("a{block}"))).take(10));
        events.push(audio_end(&format!("a{block}"), PARTIAL));
    }
    let mut tape = Tape::new().hears(events);
    tape.said.clear();
    tape
}

#[test]
fn a_whole_turn_is_heard_whole() {
    let tape = told().hears([audio_end("a2", END)]);
    assert_eq!(tape.record(1).user_text(), "Talk.");
    assert!(tape.record(1).user_is_final() && !tape.record(1).assistant_is_final());
    let tape = tape.heard(1, "One two three four. Five six seven eight.");
    let tape = tape
        .hears(said("f1", "One two, three four.", PARTIAL))
        .hears(said("f2", "Five six seven eight.", END))
        .heard(1, "One two, three four. Five six seven eight.");
    assert!(tape.record(1).assistant_is_final());
    assert_eq!(tape.record(1).planned_text(), "One two three four. Five six seven eight.");
}

#[test]
fn a_callers_cut_keeps_the_words_that_were_played() {
    for (played_ms, heard) in [
        (0, ""),
        (100, ""),
        (450, "One two"),
        (799, "One two three four."),
        (800, "One two three four."),
        (1_300, "One two three four. Five six"),
        (1_599, "One two three four. Five six seven eight."),
        (9_999, "One two three four. Five six seven eight."),
    ] {
        let tape = told().waits(10).interrupts().played(1, played_ms);
        tape.heard(1, heard).hears(said("f1", "One two three four.", PARTIAL)).heard(1, heard);
    }
}

#[test]
fn playback_never_runs_backwards_and_unknown_turns_are_ignored() {
    told().played(1, 800).played(1, 100).played(0, 5).played(7, 5).interrupts().heard(1, "One two three four.");
}

#[test]
fn without_a_report_the_clock_decides() {
    told().interrupts().heard(1, "");
    // Some 26 ms of the 900 passed while the events came in.
    told().waits(900).interrupts().heard(1, "One two three four.");
    told().waits(1_300).interrupts().heard(1, "One two three four. Five six");
    told().waits(5_000).interrupts().heard(1, "One two three four. Five six seven eight.");
}

#[test]
fn a_barge_in_ends_where_the_services_final_ends() {
    let cut = || told().waits(900).hears([text_end("p2", INTERRUPTED)]);
    cut().heard(1, "One two three four.");
    cut().hears(said("f1", "One two three", INTERRUPTED)).heard(1, "One two three");
    // The page knows better how much of it came out of the loudspeaker.
    cut().hears(said("f1", "One two three", INTERRUPTED)).played(1, 450).heard(1, "One two");
    cut().hears(said("f1", "One two three", INTERRUPTED)).played(1, 1_600).heard(1, "One two three");
}

#[test]
fn a_reply_that_nobody_announced_is_heard_in_proportion() {
    let mut events = user("u1", "Talk.").to_vec();
    events.extend(std::iter::repeat_with(|| audio_output("")).take(10));
    Tape::new()
        .hears(events)
        .interrupts()
        .hears(said("f1", "One two three four.", END))
        .played(1, 450)
        .heard(1, "One two");
}

#[test]
fn what_was_prompted_is_nobodys_word() {
    let tape = Tape::new()
        .prompts("Greet the caller.")
        .hears(user("u", "Greet  the caller."))
        .hears(plan("p", "Hello."))
        .hears(audio("a", END))
        .says(&["start 1", "plan 1.0 Hello.", "audio 1", "end 1"]);
    let record = tape.record(1);
    assert!(record.user_text().is_empty());
    assert_eq!(record.question(), "Greet the caller.");
    assert_eq!(record.heard_text(), "Hello.");
}

#[test]
fn times_of_a_turn() {
    let ms = Duration::from_millis;
    let mut tape = Tape::new();
    tape.conversation.on_audio_sent(ms(3_000));
    let tape = tape
        .waits(3_000)
        // Heard at 3,001 ms that the last word ended at 2,500 ms of what was sent, that is 500 ms ago.
        .hears([OutputEvent::UserSpeechEnd { offset_ms: Some(2_500), detection_offset_ms: None }])
        .waits(98)
        .hears(user("u", "Hi."))
        .waits(97)
        .hears(plan("p", "Hello."))
        .hears(audio("a", END));
    let timings = Timings {
        started: ms(3_101),
        user_ended: Some(ms(2_501)),
        first_audio: Some(ms(3_204)),
        ended: Some(ms(3_205)),
    };
    assert_eq!(tape.record(1).timings, timings);
    // Where the service does not tell, the text's coming is the best that is known; offsets restart with the stream.
    let mut tape = tape.loses_its_stream();
    tape.conversation.on_audio_sent(ms(100));
    let tape = tape.hears(user("u2", "And?"));
    assert_eq!(tape.record(2).timings.user_ended, tape.now.checked_sub(ms(1)));
}

#[test]
fn a_conversation_that_goes_on_counts_on() {
    for first in [1, 2, 7, 1_000_000] {
        let of = |what: &str| format!("{what} {first}");
        let conversation = Conversation::new(terms(), SharedHistory::counting_from(first));
        let mut tape = Tape::of(conversation).types("Talk.").hears(exchange(1, "Talk.", "One two."));
        assert_eq!(tape.said.first(), Some(&of("start")));
        assert!(tape.said.contains(&of("end")), "{:?}", tape.said);
        assert_eq!(tape.record(first).number, first);
        let history = tape.conversation.history.clone();
        for other in [first - 1, first + 1] {
            assert_eq!(history.lock().turn(other), None);
        }
        tape.said.clear();
        tape.prompts("Greet.").heard(first, "One two.").says(&[&format!("start {}", first + 1)]);
    }
}
