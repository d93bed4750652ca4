//! Every known sign of barge-in, alone and together: one `Interrupted`, no audio after it.

use super::*;

/// A reply of two sentences, in the middle of the first one's audio.
fn speaking() -> Tape {
    Tape::new()
        .hears(user("u1", "Talk."))
        .hears(plan("p1", "Once upon a time."))
        .hears([audio_start("a1"), audio_output("a1")])
        .says(&["start 1", "user 1.0 Talk.", "plan 1.0 Once upon a time.", "audio 1"])
}

fn marker(id: &str, text: &str) -> Vec<OutputEvent> {
    said(id, text, INTERRUPTED).to_vec()
}

#[test]
fn a_marker_in_any_spacing() {
    for text in [
        r#"{ "interrupted" : true }"#,
        r#"{"interrupted":true}"#,
        "{ \"interrupted\" : true }\n",
        " {\"interrupted\":\ttrue}",
    ] {
        speaking().hears(marker("m", text)).says(&["cut 1", "end 1 cut"]);
    }
}

#[test]
fn what_only_resembles_a_marker_is_speech() {
    for text in [r#"{ "interrupted" : false }"#, r#"I said { "interrupted" : true }"#, "{interrupted: true}"] {
        let shown = format!("said 1.0 {text}");
        speaking().hears(said("m", text, PARTIAL)).says(&[&shown]);
    }
}

#[test]
fn stop_reason_of_a_text() {
    speaking().hears([text_end("p1", INTERRUPTED)]).says(&["cut 1", "end 1 cut"]);
    speaking().hears([text_end("nobody-knows", INTERRUPTED)]).says(&["cut 1", "end 1 cut"]);
}

#[test]
fn stop_reason_of_audio() {
    speaking().hears([audio_end("a1", INTERRUPTED)]).says(&["cut 1", "end 1 cut"]);
}

#[test]
fn stop_reason_of_the_user_s_own_text_is_no_barge_in() {
    speaking().hears([text_end("u1", INTERRUPTED)]).says(&[]);
}

#[test]
fn speech_alone_where_all_blocks_end_partially() {
    speaking()
        .hears([speech_start(), audio_output("a1"), audio_end("a1", PARTIAL)])
        .hears([speech_end()])
        .hears(exchange(2, "Stop.", "All right."))
        .says(&[
            "cut 1",
            "end 1 cut",
            "start 2",
            "user 2.0 Stop.",
            "plan 2.0 All right.",
            "audio 2",
            "end 2",
            "said 2.0 All right.",
        ]);
}

#[test]
fn speech_alone_and_an_answer_without_a_transcript() {
    speaking()
        .hears([speech_start(), audio_end("a1", PARTIAL)])
        .hears(plan("p2", "and then"))
        .hears(audio("a2", PARTIAL))
        .says(&["cut 1"])
        .hears([speech_end()])
        .hears(plan("p3", "All right."))
        .hears(audio("a3", END))
        .says(&["end 1 cut", "start 2", "plan 2.0 All right.", "audio 2", "end 2"]);
}

#[test]
fn all_signs_together_are_one_interruption() {
    speaking()
        .hears([speech_start()])
        .hears(marker("m", r#"{ "interrupted" : true }"#))
        .hears([audio_output("a1"), audio_end("a1", INTERRUPTED), audio_output("a1")])
        .hears(marker("m2", r#"{ "interrupted" : true }"#))
        .says(&["cut 1", "end 1 cut"])
        .hears([speech_end()])
        .hears(user("u2", "Stop."))
        .hears(audio("a2", END))
        .says(&["start 2", "user 2.0 Stop.", "audio 2", "end 2"]);
}

#[test]
fn audio_ended_first_and_the_final_says_interrupted() {
    speaking()
        .hears([audio_end("a1", END)])
        .says(&["end 1"])
        .hears(said("f1", "Once upon", INTERRUPTED))
        .hears(user("u2", "Stop."))
        .says(&["said 1.0 Once upon", "cut 1", "start 2", "user 2.0 Stop."]);
}

#[test]
fn a_late_interruption_leaves_the_next_turn_alone() {
    speaking()
        .hears([audio_end("a1", END)])
        .hears(user("u2", "Stop."))
        .hears(plan("p2", "All right."))
        .hears([audio_start("a2"), audio_output("a2")])
        .hears(said("f1", "Once upon", INTERRUPTED))
        .hears([audio_output("a2"), audio_end("a2", END)])
        .says(&[
            "end 1",
            "start 2",
            "user 2.0 Stop.",
            "plan 2.0 All right.",
            "audio 2",
            "said 1.0 Once upon",
            "cut 1",
            "audio 2",
            "end 2",
        ]);
}

#[test]
fn a_typed_text_that_interrupts_keeps_its_own_reply() {
    speaking()
        .types("Shorter!")
        .hears(marker("m", r#"{ "interrupted" : true }"#))
        .hears([audio_output("a1"), audio_end("a1", PARTIAL)])
        .hears(plan("p2", "Yes."))
        .hears(audio("a2", END))
        .says(&["end 1", "start 2", "user 2.0 Shorter!", "cut 1", "plan 2.0 Yes.", "audio 2", "end 2"]);
}

#[test]
fn speech_while_the_delivered_reply_is_still_heard() {
    speaking().hears([audio_end("a1", END), speech_start(), speech_start()]).says(&["end 1", "cut 1"]);
}

#[test]
fn speech_while_the_next_piece_of_audio_is_late() {
    speaking().waits(400).hears([speech_start()]).says(&["cut 1"]);
}

#[test]
fn what_was_cut_off_does_not_count_as_heard_later() {
    Tape::new()
        .hears([audio_start("a1")])
        .hears((0..100).map(|_| audio_output("a1")))
        .hears([audio_end("a1", INTERRUPTED)])
        .hears(audio("a2", END))
        .waits(80)
        .hears([speech_start()])
        .says(&[&["start 1"], &["audio 1"; 100][..], &["cut 1", "end 1 cut", "start 2", "audio 2", "end 2"]].concat());
}

#[test]
fn the_cut_sentence_finds_its_turn_and_the_rest_of_it_waits_for_nothing() {
    speaking()
        .hears(plan("p1b", "There was a king."))
        .hears([audio_end("a1", INTERRUPTED)])
        .hears(user("u2", "Stop."))
        .hears(plan("p2", "It is 5."))
        .says(&["plan 1.1 There was a king.", "cut 1", "end 1 cut", "start 2", "user 2.0 Stop.", "plan 2.0 It is 5."])
        .hears(said("f1", "Once upon", PARTIAL))
        .hears(said("f2", "It is five.", PARTIAL))
        .says(&["said 1.0 Once upon", "said 2.0 It is five."]);
}

#[test]
fn speech_after_the_reply_was_heard_is_the_next_turn() {
    speaking().hears([audio_end("a1", END)]).waits(80).hears([speech_start()]).says(&["end 1"]);
}

#[test]
fn speech_before_any_reply_interrupts_nothing() {
    Tape::new()
        .hears([speech_start()])
        .hears(user("u", "Well"))
        .hears([speech_start()])
        .says(&["start 1", "user 1.0 Well"]);
}

#[test]
fn a_bare_marker_interrupts_nothing() {
    Tape::new().hears(marker("m", r#"{ "interrupted" : true }"#)).says(&[]);
    Tape::new()
        .hears(user("u", "Talk."))
        .hears(marker("m", r#"{ "interrupted" : true }"#))
        .hears(plan("p", "Well."))
        .says(&["start 1", "user 1.0 Talk.", "plan 1.0 Well."]);
}

#[test]
fn the_client_interrupts_once_and_hears_no_more_of_the_turn() {
    speaking()
        .interrupts()
        .interrupts()
        .says(&["cut 1 by client"])
        .hears([audio_output("a1"), audio_end("a1", PARTIAL)])
        .hears(plan("p2", "There was"))
        .hears(audio("a2", END))
        .hears(marker("m", r#"{ "interrupted" : true }"#))
        .says(&["end 1 cut"])
        .interrupts()
        .hears(exchange(2, "Now?", "Now."))
        .says(&["start 2", "user 2.0 Now?", "plan 2.0 Now.", "audio 2", "end 2", "said 2.0 Now."]);
}

#[test]
fn the_client_interrupts_a_reply_that_was_typed_over_too() {
    speaking()
        .types("Shorter!")
        .interrupts()
        .says(&["end 1", "start 2", "user 2.0 Shorter!", "cut 1 by client", "cut 2 by client"])
        .hears([audio_output("a1"), audio_end("a1", END)])
        .says(&[]);
}

#[test]
fn the_client_interrupts_before_the_reply() {
    Tape::new().hears(user("u1", "Talk.")).interrupts().hears(plan("p1", "Once.")).hears(audio("a1", END)).says(&[
        "start 1",
        "user 1.0 Talk.",
        "cut 1 by client",
        "end 1 cut",
    ]);
    Tape::new().hears(user("u1", "Talk.")).interrupts().hears(exchange(2, "Or rather sing.", "La.")).says(&[
        "start 1",
        "user 1.0 Talk.",
        "cut 1 by client",
        "end 1 cut",
        "start 2",
        "user 2.0 Or rather sing.",
        "plan 2.0 La.",
        "audio 2",
        "end 2",
        "said 2.0 La.",
    ]);
}

#[test]
fn a_caller_may_cut_what_was_delivered_and_is_still_being_heard() {
    // 80 ms of audio, delivered at once.
    Tape::new()
        .hears(exchange(1, "Hello?", "Hello."))
        .says(&["start 1", "user 1.0 Hello?", "plan 1.0 Hello.", "audio 1", "end 1", "said 1.0 Hello."])
        .interrupts()
        .interrupts()
        .says(&["cut 1 by client"]);
    Tape::new()
        .hears(exchange(1, "Hello?", "Hello."))
        .waits(100)
        .says(&["start 1", "user 1.0 Hello?", "plan 1.0 Hello.", "audio 1", "end 1", "said 1.0 Hello."])
        .interrupts()
        .says(&[]);
}
