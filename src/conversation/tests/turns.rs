//! Turns without interruption: begin, end, sentences, late and missing FINALs, typed text.

use super::*;

#[test]
fn a_plain_turn() {
    Tape::new()
        .hears([speech_start()])
        .hears([OutputEvent::CompletionStart { completion_id: "c".to_owned() }])
        .hears([speech_end()])
        .hears(exchange(1, "Hello?", "Hello."))
        .says(&["start 1", "user 1.0 Hello?", "plan 1.0 Hello.", "audio 1", "end 1", "said 1.0 Hello."])
        .hears(exchange(2, "And now?", "Good bye."))
        .says(&["start 2", "user 2.0 And now?", "plan 2.0 Good bye.", "audio 2", "end 2", "said 2.0 Good bye."])
        .hears([OutputEvent::CompletionEnd { stop_reason: END }])
        .loses_its_stream()
        .says(&[]);
}

#[test]
fn several_sentences_end_with_the_last_audio() {
    Tape::new()
        .hears(user("u", "Tell me."))
        .hears(plan("p0", "Once."))
        .hears(audio("a0", PARTIAL))
        .hears(plan("p1", "Upon a time."))
        .hears(audio("a1", END))
        .hears(said("f0", "Once.", PARTIAL))
        .hears(said("f1", "Upon a time.", END))
        .says(&[
            "start 1",
            "user 1.0 Tell me.",
            "plan 1.0 Once.",
            "audio 1",
            "plan 1.1 Upon a time.",
            "audio 1",
            "end 1",
            "said 1.0 Once.",
            "said 1.1 Upon a time.",
        ]);
}

#[test]
fn a_silent_reply_ends_its_turn() {
    Tape::new()
        .hears(user("u", "Hush."))
        .hears([audio_end("nobody-knows", END)])
        .says(&["start 1", "user 1.0 Hush."])
        .hears([audio_start("a"), audio_end("a", END)])
        .says(&["end 1"]);
}

#[test]
fn end_turn_of_a_text_is_not_the_end() {
    Tape::new()
        .hears(user("u", "Tell me."))
        .hears(plan("p0", "Once."))
        .hears([audio_start("a0"), audio_output("a0")])
        .hears(said("f0", "Once.", END))
        .hears([audio_output("a0"), audio_end("a0", END)])
        .says(&["start 1", "user 1.0 Tell me.", "plan 1.0 Once.", "audio 1", "said 1.0 Once.", "audio 1", "end 1"]);
}

#[test]
fn without_end_turn_all_plans_said_is_the_end() {
    Tape::new()
        .hears(user("u", "Tell me."))
        .hears(plan("p0", "Once."))
        .hears(audio("a0", PARTIAL))
        .hears(plan("p1", "Upon a time."))
        .hears(audio("a1", PARTIAL))
        .hears(said("f0", "Once.", PARTIAL))
        .says(&[
            "start 1",
            "user 1.0 Tell me.",
            "plan 1.0 Once.",
            "audio 1",
            "plan 1.1 Upon a time.",
            "audio 1",
            "said 1.0 Once.",
        ])
        .hears(said("f1", "Upon a time.", PARTIAL))
        .says(&["said 1.1 Upon a time.", "end 1"]);
}

#[test]
fn without_any_end_the_next_turn_is_the_end() {
    Tape::new()
        .hears(user("u1", "One?"))
        .hears(plan("p1", "One."))
        .hears(audio("a1", PARTIAL))
        .hears(user("u2", "Two?"))
        .says(&["start 1", "user 1.0 One?", "plan 1.0 One.", "audio 1", "end 1", "start 2", "user 2.0 Two?"]);
}

#[test]
fn a_final_after_the_next_turn_began_belongs_to_its_own() {
    Tape::new()
        .hears(user("u1", "One?"))
        .hears(plan("p1", "One."))
        .hears(audio("a1", END))
        .hears(user("u2", "Two?"))
        .hears(plan("p2", "Two."))
        .says(&[
            "start 1",
            "user 1.0 One?",
            "plan 1.0 One.",
            "audio 1",
            "end 1",
            "start 2",
            "user 2.0 Two?",
            "plan 2.0 Two.",
        ])
        .hears(said("f1", "One.", END))
        .hears(audio("a2", END))
        .hears(said("f2", "Two.", END))
        .says(&["said 1.0 One.", "audio 2", "end 2", "said 2.0 Two."]);
}

#[test]
fn a_final_in_other_words_follows_the_order() {
    Tape::new()
        .hears(user("u", "Numbers?"))
        .hears(plan("p0", "It is 5."))
        .hears(plan("p1", "Or 6."))
        .hears(audio("a", END))
        .hears(said("f0", "It is five.", PARTIAL))
        .hears(said("f1", "Or six.", END))
        .says(&[
            "start 1",
            "user 1.0 Numbers?",
            "plan 1.0 It is 5.",
            "plan 1.1 Or 6.",
            "audio 1",
            "end 1",
            "said 1.0 It is five.",
            "said 1.1 Or six.",
        ]);
}

#[test]
fn a_final_that_never_comes_does_not_shift_the_next_ones() {
    Tape::new()
        .hears(user("u1", "One?"))
        .hears(plan("p1", "One."))
        .hears(audio("a1", END))
        .hears(user("u2", "Two?"))
        .hears(plan("p2", "Two."))
        .hears([audio_start("a2"), audio_output("a2")])
        .hears(said("f2", "Two.", END))
        .says(&[
            "start 1",
            "user 1.0 One?",
            "plan 1.0 One.",
            "audio 1",
            "end 1",
            "start 2",
            "user 2.0 Two?",
            "plan 2.0 Two.",
            "audio 2",
            "said 2.0 Two.",
        ]);
}

#[test]
fn a_build_without_plans_shows_what_was_said() {
    Tape::new().hears(user("u", "Hello?")).hears(said("f0", "Hello.", PARTIAL)).hears(audio("a", END)).says(&[
        "start 1",
        "user 1.0 Hello?",
        "said 1.0 Hello.",
        "audio 1",
        "end 1",
    ]);
}

#[test]
fn what_nobody_announced_is_delivered() {
    Tape::new()
        .hears([audio_output("a"), audio_output("a"), audio_end("a", END)])
        .says(&["start 1", "audio 1", "audio 1", "end 1"])
        .hears([audio_output(""), audio_end("", END), audio_output("")])
        .says(&["start 2", "audio 2", "end 2", "start 3", "audio 3"])
        .hears([text_output("t", Role::User, "Hi."), text_output("v", Role::Assistant, "Ho.")])
        .says(&["end 3", "start 4", "user 4.0 Hi.", "plan 4.0 Ho."])
        .hears([text_output("w", Role::Assistant, "Ho.")])
        .says(&["said 4.0 Ho."]);
}

#[test]
fn text_that_nobody_owns_is_kept() {
    let text = OutputEvent::TextOutput { content_id: "t".to_owned(), role: None, text: "?".to_owned() };
    let mut out = Vec::new();
    conversation().on_output(text, Duration::ZERO, &mut out);
    let [Event { turn: None, kind: EventKind::Unknown { name, raw }, .. }] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!(name, "textOutput");
    assert_eq!(raw, r#"{"event":{"textOutput":{"content":"?","contentId":"t"}}}"#);
}

#[test]
fn fragments_before_the_reply_are_one_turn() {
    Tape::new().hears(user("u0", "I think")).hears(user("u1", "that it is so.")).hears(plan("p", "I see.")).says(&[
        "start 1",
        "user 1.0 I think",
        "user 1.1 that it is so.",
        "plan 1.0 I see.",
    ]);
}

#[test]
fn a_typed_text_begins_a_turn_and_its_echo_is_not_shown() {
    Tape::new()
        .types("Go on, please.")
        .says(&["start 1", "user 1.0 Go on, please."])
        .hears(user("u", " Go on,  please.\n"))
        .hears(plan("p", "Gladly."))
        .hears(audio("a", END))
        .says(&["plan 1.0 Gladly.", "audio 1", "end 1"])
        .types("Yes.")
        .hears(audio("b", END))
        .hears(user("v", "Yes."))
        .says(&["start 2", "user 2.0 Yes.", "audio 2", "end 2", "start 3", "user 3.0 Yes."]);
}

#[test]
fn a_reply_under_way_when_text_is_typed_stays_in_its_turn() {
    Tape::new()
        .hears(user("u", "Talk."))
        .hears([audio_start("a"), audio_output("a")])
        .types("Shorter!")
        .hears([audio_output("a"), audio_end("a", END)])
        .hears(plan("p", "Yes."))
        .hears(audio("b", END))
        .says(&[
            "start 1",
            "user 1.0 Talk.",
            "audio 1",
            "end 1",
            "start 2",
            "user 2.0 Shorter!",
            "audio 1",
            "plan 2.0 Yes.",
            "audio 2",
            "end 2",
        ]);
}

#[test]
fn a_reply_keeps_its_turn_however_often_the_user_types_over_it() {
    let mut tape = Tape::new().hears([audio_start("a"), audio_output("a")]);
    for _ in 0..6 {
        tape = tape.types("Shorter!");
    }
    tape.said.clear();
    tape.hears([audio_output("a"), audio_end("a", END)])
        .says(&["audio 1"])
        .types("Now?")
        .hears([audio_output("b")])
        .says(&["end 7", "start 8", "user 8.0 Now?", "audio 8"]);
}

#[test]
fn a_turn_without_its_whole_answer_outlives_its_stream() {
    Tape::new()
        .hears(user("u", "Talk."))
        .hears(plan("p", "Well,"))
        .loses_its_stream()
        .loses_its_stream()
        // Ids are the stream's own: the next one may give the same.
        .hears(user("u", "Talk."))
        .hears(plan("p", "Well, well."))
        .hears(audio("a", END))
        .says(&["start 1", "user 1.0 Talk.", "plan 1.0 Well,", "plan 1.1 Well, well.", "audio 1", "end 1"])
        .heard(1, "Well, well.");
}

#[test]
fn a_new_stream_s_ids_are_not_the_old_one_s() {
    Tape::new()
        .hears([audio_start("a"), audio_output("a")])
        .loses_its_stream()
        .hears([audio_output("a")])
        .says(&["start 1", "audio 1", "end 1", "start 2", "audio 2"]);
}

#[test]
fn audio_has_the_rate_its_block_announced() {
    let mut conversation = Conversation::new(Terms { output_rate_hz: 24_000, ..terms() }, SharedHistory::default());
    let mut out = Vec::new();
    for event in [audio_start("a"), audio_output("a"), audio_output("b")] {
        conversation.on_output(event, Duration::ZERO, &mut out);
    }
    let rates: Vec<_> = out
        .iter()
        .filter_map(|event| if let EventKind::Audio { rate_hz, .. } = event.kind { Some(rate_hz) } else { None })
        .collect();
    assert_eq!(rates, [16_000, 24_000]);
}

#[test]
fn events_name_what_caused_them() {
    let mut conversation = conversation();
    let mut out = Vec::new();
    conversation.on_typed("Hi.".to_owned(), Duration::ZERO, &mut out);
    conversation.on_output(audio_output("a"), Duration::ZERO, &mut out);
    conversation.on_output(audio_end("a", END), Duration::ZERO, &mut out);
    let unknown = OutputEvent::Unknown { name: "novelty".to_owned(), raw: "{}".to_owned() };
    conversation.on_output(unknown, Duration::ZERO, &mut out);
    let names: Vec<_> = out.iter().map(|event| event.raw_type.as_ref()).collect();
    assert_eq!(names, ["novasonic", "novasonic", "audioOutput", "contentEnd", "novelty"]);
}
