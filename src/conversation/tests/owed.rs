//! When the service owes an answer.

use super::*;
use crate::{
    conversation::AnswerBounds,
    error::{ErrorKind, Recovery},
    protocol::UsageDetails,
};

const BOUNDS: AnswerBounds = AnswerBounds { first_event: Duration::from_secs(15), turn: Duration::from_secs(30) };

/// The error, and whole seconds from the last step to it.
fn owed(tape: &Tape) -> String {
    let Some((since, bound)) = tape.conversation.owed(BOUNDS) else { return "nothing".to_owned() };
    let error = tape.conversation.no_answer(BOUNDS);
    assert_eq!((error.kind, error.recovery()), (ErrorKind::Timeout, Recovery::Restart));
    format!("{} in {} s", error.code, (since + bound).saturating_sub(tape.now).as_secs())
}

#[test]
fn nothing_is_owed_before_anybody_has_spoken() {
    assert_eq!(owed(&Tape::new()), "nothing");
    // The service may well be silent until the user is not.
    assert_eq!(owed(&Tape::new().hears([begin()])), "nothing");
    assert_eq!(owed(&Tape::new().hears([speech_start()])), "nothing");
}

fn begin() -> OutputEvent {
    OutputEvent::CompletionStart { completion_id: String::new() }
}

#[test]
fn what_was_typed_wants_an_answer_and_on_a_new_stream_a_first_event() {
    assert_eq!(owed(&Tape::new().types("hello")), "no_first_event in 15 s");
    assert_eq!(owed(&Tape::new().prompts("Greet.")), "no_first_event in 15 s");
    let tape = Tape::new().types("hello").hears([begin()]);
    assert_eq!(owed(&tape), "no_answer in 30 s");
    // The next stream has said nothing yet.
    assert_eq!(owed(&tape.loses_its_stream().types("again")), "no_first_event in 15 s");
}

#[test]
fn each_event_of_the_service_gives_it_time_again() {
    let mut tape = Tape::new().hears(user("u", "one"));
    assert_eq!(owed(&tape), "no_answer in 30 s");
    tape = tape.waits(20_000);
    assert_eq!(owed(&tape), "no_answer in 10 s");
    // Usage is counted whether or not the model is stuck.
    tape = tape.hears([OutputEvent::Usage(UsageDetails::default())]);
    assert_eq!(owed(&tape), "no_answer in 9 s");
    assert_eq!(owed(&tape.hears(plan("p", "Two."))), "no_answer in 30 s");
}

#[test]
fn an_answer_may_not_stop_half_way_but_may_be_all() {
    let mut tape = Tape::new().hears(user("u", "one")).hears([audio_start("a"), audio_output("a")]);
    assert_eq!(owed(&tape), "no_answer in 30 s");
    tape = tape.hears([audio_end("a", PARTIAL)]);
    assert_eq!(owed(&tape), "nothing", "in some builds nothing says that this was all");
    assert_eq!(owed(&Tape::new().hears(exchange(1, "one", "two"))), "nothing");
}

#[test]
fn who_goes_on_speaking_is_owed_nothing_yet() {
    let tape = Tape::new().hears([speech_start()]).hears(user("u", "well"));
    assert_eq!(owed(&tape), "nothing");
    assert_eq!(owed(&tape.hears([speech_end()])), "no_answer in 30 s");
}

#[test]
fn a_tool_at_work_is_our_debt_and_its_result_the_services() {
    let call = OutputEvent::ToolUse {
        content_id: "t".to_owned(),
        tool_use_id: "id".to_owned(),
        name: "look".to_owned(),
        arguments: "{}".to_owned(),
    };
    let tape = Tape::new().hears(user("u", "one")).hears(audio("a", PARTIAL)).hears([call]).waits(60_000);
    assert_eq!(owed(&tape), "nothing");
    assert_eq!(owed(&tape.answers("id", true)), "no_answer in 30 s");
}

#[test]
fn an_answer_that_nobody_wants_any_more_is_not_missed() {
    let tape = Tape::new().hears(user("u", "one")).hears([audio_start("a"), audio_output("a")]).interrupts();
    assert_eq!(owed(&tape), "nothing");
}
