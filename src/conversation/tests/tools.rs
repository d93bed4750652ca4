//! Calls are told once, finished once, and hold their turn open.

use super::*;

fn call(id: &str, name: &str) -> [OutputEvent; 3] {
    let block = format!("block-{id}");
    [
        OutputEvent::ContentStart { content_id: block.clone(), content: OutputContent::Tool },
        OutputEvent::ToolUse {
            content_id: block.clone(),
            tool_use_id: id.to_owned(),
            name: name.to_owned(),
            arguments: "{}".to_owned(),
        },
        OutputEvent::ContentEnd { content_id: block, kind: Some(ContentKind::Tool), stop_reason: StopReason::ToolUse },
    ]
}

#[test]
fn a_call_holds_its_turn_open_and_has_one_answer() {
    Tape::new()
        .hears(user("u", "How warm is it?"))
        .hears(call("t1", "weather"))
        .says(&["start 1", "user 1.0 How warm is it?", "call 1 t1 weather {}"])
        .waits(500)
        .answers("t1", true)
        .says(&["answer 1 t1 after 502"])
        .answers("t1", true)
        .answers("t2", true)
        .says(&[])
        .hears(plan("p", "21 degrees."))
        .hears(audio("a", END))
        .says(&["plan 1.0 21 degrees.", "audio 1", "end 1"]);
}

#[test]
fn chained_calls_with_speech_between_are_one_turn() {
    Tape::new()
        .hears(user("u", "Book it."))
        .hears(plan("p0", "Let me look."))
        .hears(audio("a0", PARTIAL))
        .hears(call("t1", "find"))
        // Said before the call's result: without the running call this would end the turn.
        .hears(said("f0", "Let me look.", PARTIAL))
        .answers("t1", true)
        .hears(call("t2", "book"))
        .answers("t2", false)
        .hears(plan("p1", "I could not."))
        .hears(audio("a1", END))
        .says(&[
            "start 1",
            "user 1.0 Book it.",
            "plan 1.0 Let me look.",
            "audio 1",
            "call 1 t1 find {}",
            "said 1.0 Let me look.",
            "answer 1 t1 after 5",
            "call 1 t2 book {}",
            "failure 1 t2",
            "plan 1.1 I could not.",
            "audio 1",
            "end 1",
        ]);
}

#[test]
fn two_at_once_are_answered_in_any_order() {
    Tape::new()
        .hears(user("u", "Both."))
        .hears([call("t1", "one"), call("t2", "two")].concat())
        .answers("t2", true)
        .answers("t1", true)
        .says(&[
            "start 1",
            "user 1.0 Both.",
            "call 1 t1 one {}",
            "call 1 t2 two {}",
            "answer 1 t2 after 2",
            "answer 1 t1 after 6",
        ]);
}

#[test]
fn a_repeated_call_is_told_once() {
    Tape::new()
        .hears(user("u", "Once."))
        .hears([call("t1", "one"), call("t1", "one")].concat())
        .answers("t1", true)
        .hears(call("t1", "one"))
        .says(&["start 1", "user 1.0 Once.", "call 1 t1 one {}", "answer 1 t1 after 5"]);
}

#[test]
fn a_call_outlives_its_stream_and_its_repetition_is_not_told() {
    let mut tape = Tape::new().hears(user("u", "How warm is it?")).hears(call("t1", "weather")).loses_its_stream();
    assert_eq!(tape.conversation.question().as_deref(), Some("How warm is it?"));
    tape = tape.hears(call("t2", "weather"));
    let mut out = Vec::new();
    let answer = tape.conversation.on_tool_result("t1".into(), "{\"c\":21}".into(), true, tape.now, &mut out);
    assert_eq!(answer, Some(Answer { id: "t2".into(), json: "{\"c\":21}".into(), ok: true }));
    // Lost again, after the result: the third call has it at once, and a call for something else is a new one.
    tape = tape.loses_its_stream().hears(call("t3", "weather"));
    assert_eq!(tape.conversation.take_answers(), [Answer { id: "t3".into(), json: "{\"c\":21}".into(), ok: true }]);
    tape.hears(call("t4", "weather")).says(&[
        "start 1",
        "user 1.0 How warm is it?",
        "call 1 t1 weather {}",
        "call 1 t4 weather {}",
    ]);
}

#[test]
fn words_said_while_a_tool_runs_belong_to_the_same_turn() {
    Tape::new()
        .hears(user("u1", "How warm is it?"))
        .hears(call("t1", "weather"))
        .hears([speech_start(), speech_end()])
        .hears(user("u2", "In Oslo."))
        .answers("t1", true)
        .hears(plan("p", "21 degrees."))
        .hears(audio("a", END))
        .says(&[
            "start 1",
            "user 1.0 How warm is it?",
            "call 1 t1 weather {}",
            "user 1.1 In Oslo.",
            "answer 1 t1 after 7",
            "plan 1.0 21 degrees.",
            "audio 1",
            "end 1",
        ]);
}
