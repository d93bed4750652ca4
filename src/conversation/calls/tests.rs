use super::*;
use crate::protocol::Role;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn answer(id: &str) -> Answer {
    Answer { id: id.to_owned(), json: "{\"c\":1}".to_owned(), ok: true }
}

/// A call of the tool `look` with no arguments, in turn 1.
fn begin(calls: &mut Calls, id: &str) -> Begun {
    calls.begin(id, "look", "{}", &(1..=1), at(0))
}

fn finish(calls: &mut Calls, id: &str) -> Option<Finished> {
    calls.finish(id, "{\"c\":1}".to_owned(), true, at(5))
}

#[test]
fn a_call_is_told_once_and_answered_once() {
    let mut calls = Calls::default();
    assert_eq!((begin(&mut calls, "a"), begin(&mut calls, "a")), (Begun::New, Begun::Told));
    assert!(calls.any_waits() && calls.any_of(1) && !calls.any_of(2));
    assert_eq!(finish(&mut calls, "a"), Some(Finished { turn: 1, after: at(5), answer: Some(answer("a")) }));
    assert_eq!((finish(&mut calls, "a"), finish(&mut calls, "b")), (None, None));
    assert!(!calls.any_waits() && !calls.any_untold());
}

#[test]
fn only_the_next_stream_s_same_call_for_the_same_question_is_a_repetition() {
    for (name, arguments, turns, again) in [
        ("look", r#"{"a":1,"b":[2]}"#, 1..=1, true),
        ("look", r#" { "b" : [2], "a": 1 } "#, 1..=1, true),
        ("look", r#"{"a":1,"b":[2]}"#, 1..=3, true),
        ("look", r#"{"a":1,"b":[2]}"#, 2..=3, false),
        ("look", r#"{"a":2,"b":[2]}"#, 1..=1, false),
        ("book", r#"{"a":1,"b":[2]}"#, 1..=1, false),
    ] {
        let mut calls = Calls::default();
        calls.begin("a", "look", r#"{"a":1,"b":[2]}"#, &(1..=1), at(0));
        calls.next_stream();
        let begun = calls.begin("b", name, arguments, &turns, at(9));
        assert_eq!(begun, if again { Begun::Again(None) } else { Begun::New }, "{name} {arguments} {turns:?}");
    }
    // The same stream that calls alike means two calls, and so does its successor.
    let mut calls = Calls::default();
    assert_eq!((begin(&mut calls, "a"), begin(&mut calls, "b")), (Begun::New, Begun::New));
    calls.next_stream();
    let all = ["c", "d", "e"].map(|id| begin(&mut calls, id));
    assert_eq!(all, [Begun::Again(None), Begun::Again(None), Begun::New]);
    // Arguments that are no JSON are the same where they are the same text.
    calls.begin("x", "look", "{", &(2..=2), at(0));
    calls.next_stream();
    assert_eq!(calls.begin("y", "look", "{", &(2..=2), at(0)), Begun::Again(None));
    assert_eq!(calls.begin("z", "look", "[", &(2..=2), at(0)), Begun::New);
}

#[test]
fn a_result_goes_to_the_stream_that_called_last_by_its_own_id() {
    let mut calls = Calls::default();
    begin(&mut calls, "a");
    calls.next_stream();
    assert_eq!(begin(&mut calls, "b"), Begun::Again(None));
    assert_eq!(finish(&mut calls, "b"), None, "the host does not know it by that id");
    assert_eq!(finish(&mut calls, "a").unwrap().answer, Some(answer("b")));
    calls.next_stream();
    assert_eq!(begin(&mut calls, "c"), Begun::Again(Some(answer("c"))));
    // An id of the stream before may be given anew.
    calls.next_stream();
    assert_eq!(calls.begin("c", "other", "{}", &(1..=1), at(0)), Begun::New);
}

#[test]
fn a_result_that_no_stream_wants_is_told_in_words_once() {
    let mut calls = Calls::default();
    begin(&mut calls, "a");
    calls.next_stream();
    assert!(!calls.any_untold());
    assert_eq!(calls.tell_in_words(), None, "it has not come");
    assert_eq!(finish(&mut calls, "a").unwrap().answer, None);
    assert!(calls.any_untold());
    let note = "[The tool look was called with {} and returned {\"c\":1}]";
    assert_eq!(calls.notes(1).collect::<Vec<_>>(), [note]);
    assert_eq!(calls.notes(2).count(), 0);
    assert_eq!((calls.tell_in_words().as_deref(), calls.tell_in_words()), (Some(note), None));
    assert_eq!(calls.notes(1).count(), 0, "the words themselves are history now");
    assert!(!calls.any_untold());
}

#[test]
fn a_result_told_by_history_is_not_told_in_words_but_for_what_history_had_no_room() {
    for (text, untold) in [("[The tool look was called with {} and returned {\"c\":1}]", false), ("one", true)] {
        let mut calls = Calls::default();
        begin(&mut calls, "a");
        calls.next_stream();
        finish(&mut calls, "a");
        calls.told_in(&[Message { role: Role::User, text: format!("How warm?\n{text}\nWell?") }]);
        assert_eq!(calls.any_untold(), untold, "{text}");
    }
    let mut calls = Calls::default();
    begin(&mut calls, "a");
    calls.next_stream();
    calls.told_in(&[Message { role: Role::User, text: "one".to_owned() }]);
    finish(&mut calls, "a");
    assert!(calls.any_untold(), "no result, nothing told");
}

#[test]
fn a_result_given_just_before_the_end_may_not_have_been_heard() {
    for (lost, untold) in [(15_004, true), (15_005, false)] {
        let mut calls = Calls::default();
        begin(&mut calls, "a");
        finish(&mut calls, "a");
        calls.doubt(at(lost));
        assert_eq!(calls.any_untold(), untold, "{lost}");
    }
    // Repeated to the next stream, it counts from there; told in words, it is no more in doubt.
    let mut calls = Calls::default();
    begin(&mut calls, "a");
    calls.next_stream();
    finish(&mut calls, "a");
    calls.begin("b", "look", "{}", &(1..=1), at(20_000));
    assert!(!calls.any_untold());
    calls.doubt(at(21_000));
    assert!(calls.tell_in_words().is_some());
    calls.doubt(at(21_000));
    assert!(!calls.any_untold());
}

#[test]
fn long_results_are_shortened_between_characters() {
    let mut calls = Calls::default();
    begin(&mut calls, "a");
    let long = format!("{{\"x\":\"{}\"}}", "é".repeat(2_000));
    calls.finish("a", long, true, at(1));
    let note = calls.notes(1).next().unwrap();
    assert!(note.len() > 1_990 && note.len() < 2_070 && note.ends_with("é]"), "{}", note.len());
}

#[test]
fn memory_is_bounded_and_what_is_answered_goes_first() {
    let mut calls = Calls::default();
    begin(&mut calls, "waits");
    for number in 0..MAX_REMEMBERED * 2 {
        let id = format!("call {number}");
        assert_eq!(calls.begin(&id, "look", &format!("{{\"n\":{number}}}"), &(1..=1), at(0)), Begun::New);
        assert!(finish(&mut calls, &id).is_some());
    }
    assert_eq!(calls.latest.len(), MAX_REMEMBERED);
    assert!(finish(&mut calls, "waits").is_some());
    calls.give_up();
    assert!(!calls.any_of(1) && calls.latest.is_empty());
}
