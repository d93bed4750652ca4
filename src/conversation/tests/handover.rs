//! From stream to stream: what is asked again, what is told, and what an old stream may still say.

use super::*;
use crate::protocol::Message;

impl Tape {
    fn hands_over(mut self) -> Self {
        self.does(Conversation::on_handed_over);
        self
    }

    fn hears_old(mut self, events: impl IntoIterator<Item = OutputEvent>) -> Self {
        for event in events {
            self.does(|conversation, now, out| conversation.on_old_output(event, now, out));
        }
        self
    }

    fn old_ends(mut self, asks_again: bool) -> Self {
        self.does(|conversation, now, out| assert_eq!(conversation.on_old_end(now, out), asks_again));
        self
    }

    /// So many milliseconds of voice, then of silence, go up in frames of 20 ms.
    fn speaks(mut self, voice_ms: u64, silence_ms: u64) -> Self {
        let mut end = self.position;
        for frame in 0..(voice_ms + silence_ms) / 20 {
            let level: i16 = if frame < voice_ms / 20 { 3_000 } else { 0 };
            let pcm = Bytes::from(level.to_le_bytes().repeat(320));
            end += 640;
            self.now += Duration::from_millis(20);
            self.conversation.unheard().said(pcm, end, self.now);
        }
        self.position = end;
        self
    }

    #[track_caller]
    fn asks(mut self, expected: Option<&str>) -> Self {
        assert_eq!(self.conversation.question().as_deref(), expected);
        self
    }

    #[track_caller]
    fn tells(mut self, expected: &[&str]) -> Self {
        let told = self.conversation.retold(&[], 9_999);
        let letter = |role| if role == Role::User { "U" } else { "A" };
        let told: Vec<String> =
            told.iter().map(|message| format!("{} {}", letter(message.role), message.text)).collect();
        assert_eq!(told, expected);
        self
    }

    /// So much voice would be given to the next stream, in milliseconds.
    #[track_caller]
    fn replays(mut self, expected: u64) -> Self {
        let (pieces, _) = self.conversation.take_unheard();
        let voiced: usize =
            pieces.iter().flat_map(|said| said.pcm.chunks_exact(2)).filter(|sample| *sample != [0, 0]).count();
        assert_eq!(voiced / 16, usize::try_from(expected).unwrap());
        self.position = 0;
        self
    }
}

fn listened(ms: u64) -> OutputEvent {
    OutputEvent::UserSpeechEnd { offset_ms: None, detection_offset_ms: Some(ms) }
}

fn call(id: &str) -> OutputEvent {
    OutputEvent::ToolUse {
        content_id: format!("block {id}"),
        tool_use_id: id.to_owned(),
        name: "look".to_owned(),
        arguments: "{}".to_owned(),
    }
}

#[test]
fn what_was_asked_and_not_answered_is_asked_again() {
    for (case, tape, question) in [
        ("nothing was said", Tape::new(), None),
        ("spoken", Tape::new().hears(user("u", "One?")), Some("One?")),
        ("typed", Tape::new().types("One?"), Some("One?")),
        ("prompted and spoken into", Tape::new().prompts("Greet.").hears(user("u", "One?")), Some("Greet. One?")),
        ("prompted", Tape::new().prompts("Greet."), Some("Greet.")),
        (
            "half answered",
            Tape::new().hears(user("u", "One?")).hears([audio_start("a"), audio_output("a")]),
            Some("One?"),
        ),
        ("answered", Tape::new().hears(exchange(1, "One?", "Two.")), None),
        (
            "interrupted",
            Tape::new().hears(user("u", "One?")).hears([audio_start("a"), audio_output("a")]).interrupts(),
            None,
        ),
        ("in two parts", Tape::new().hears(user("u", "One")).hears(user("v", "or two?")), Some("One or two?")),
        ("typed over", Tape::new().hears(user("u", "One?")).types("Two?"), Some("One?\nTwo?")),
        ("typed over what was said", Tape::new().hears(exchange(1, "One?", "Two.")).types("Three?"), Some("Three?")),
        ("the assistant began", Tape::new().hears([audio_start("a"), audio_output("a")]), None),
    ] {
        let mut tape = tape.loses_its_stream();
        assert_eq!(tape.conversation.question().as_deref(), question, "{case}");
        assert_eq!(tape.conversation.turn().is_some(), question.is_some(), "{case}");
    }
}

#[test]
fn the_question_that_will_be_asked_is_not_told_too() {
    Tape::new()
        .hears(exchange(1, "One?", "Two."))
        .hears(user("u", "Three?"))
        .hears(plan("p", "Four, which nobody heard."))
        .types("Five?")
        .loses_its_stream()
        .tells(&["U One?", "A Two."])
        .asks(Some("Three?\nFive?"));
}

#[test]
fn an_answer_begins_anew_and_its_first_half_is_forgotten() {
    Tape::new()
        .hears(user("u", "One?"))
        .hears(plan("p", "Two,"))
        .hears([audio_start("a"), audio_output("a")])
        .loses_its_stream()
        .hears(plan("q", "Two, three."))
        .hears(audio("b", END))
        .hears(said("f", "Two, three.", END))
        .heard(1, "Two, three.")
        .says(&[
            "start 1",
            "user 1.0 One?",
            "plan 1.0 Two,",
            "audio 1",
            "plan 1.1 Two, three.",
            "audio 1",
            "end 1",
            "said 1.1 Two, three.",
        ]);
}

#[test]
fn an_echo_of_what_was_asked_again_is_not_shown() {
    let mut tape = Tape::new().hears(user("u", "One?")).types("Two?").loses_its_stream().asks(Some("One?\nTwo?"));
    tape.said.clear();
    tape.hears(user("e", "One? Two?")).says(&[]);
    // Nor where the user has typed meanwhile.
    let mut tape = Tape::new().hears(user("u", "One?")).loses_its_stream().asks(Some("One?")).types("Two?");
    tape.said.clear();
    tape.hears(user("e", "One?")).says(&[]);
}

#[test]
fn the_user_s_voice_asks_by_itself_and_where_it_is_none_the_question_is() {
    let waiting = || Tape::new().hears(user("u", "One?")).speaks(400, 100).loses_its_stream().asks(None);
    let mut tape = waiting().tells(&["U One?"]);
    assert_eq!(tape.conversation.take_question(), None, "it may still be understood");
    tape = tape.speaks(0, 15_200);
    assert_eq!(tape.conversation.take_question().as_deref(), Some("One?"));
    assert_eq!(tape.conversation.take_question(), None);
    // Understood: the service answers that.
    let mut tape = waiting().hears(user("v", "Two?")).speaks(0, 15_200);
    assert_eq!(tape.conversation.take_question(), None);
    let mut tape = waiting().hears(plan("p", "Two.")).speaks(0, 15_200);
    assert_eq!(tape.conversation.take_question(), None, "answered");
}

#[test]
fn offsets_say_what_was_understood() {
    // The next utterance ends before the text of the first comes.
    let two = || Tape::new().speaks(400, 600).hears([listened(1_000)]).speaks(300, 600).hears([listened(1_900)]);
    two().loses_its_stream().replays(700);
    two().hears(user("u", "One?")).loses_its_stream().replays(300);
    two().hears(user("u", "One?")).hears(user("v", "Two?")).loses_its_stream().replays(0);
    // The service repeats itself.
    two().hears(user("u", "One?")).hears(user("u", "One?")).loses_its_stream().replays(300);
    let twice = Tape::new().speaks(400, 600).hears([listened(1_000), listened(1_000)]).hears(user("u", "One?"));
    twice.speaks(300, 600).hears([listened(1_900)]).hears(user("v", "Two?")).loses_its_stream().replays(0);
    // A second text of one utterance covers nothing of the next.
    let more = Tape::new().speaks(400, 600).hears([listened(1_000)]).hears(user("u", "One?")).speaks(400, 600);
    more.hears(user("v", "Or one?")).loses_its_stream().replays(400);
    // A noise has an end and no text.
    let noise = Tape::new().speaks(100, 600).hears([listened(700)]).waits(3_000).speaks(400, 600);
    noise.hears([listened(1_700)]).hears(user("u", "One?")).loses_its_stream().replays(0);
}

#[test]
fn without_offsets_it_is_told_by_ear() {
    Tape::new().speaks(400, 600).hears(user("u", "One?")).loses_its_stream().replays(0);
    Tape::new().speaks(400, 600).speaks(200, 0).hears(user("u", "One?")).loses_its_stream().replays(200);
    // Also where the last stream told offsets.
    let tape =
        Tape::new().speaks(400, 600).hears([listened(1_000)]).hears(user("u", "One?")).loses_its_stream().replays(0);
    tape.speaks(400, 600).hears(user("v", "Two?")).loses_its_stream().replays(0);
}

#[test]
fn an_old_stream_may_finish_its_reply_and_its_texts() {
    Tape::new()
        .hears(user("u", "One?"))
        .hears(plan("p", "Two."))
        .hears([audio_start("a"), audio_output("a")])
        .hands_over()
        .asks(None)
        .hears_old([audio_output("a"), audio_end("a", PARTIAL)])
        .hears_old(plan("q", "Three."))
        .hears_old(audio("b", END))
        .hears_old(said("f", "Two.", END))
        .hears_old(said("g", "Three.", END))
        .old_ends(false)
        .says(&[
            "start 1",
            "user 1.0 One?",
            "plan 1.0 Two.",
            "audio 1",
            "audio 1",
            "plan 1.1 Three.",
            "audio 1",
            "end 1",
            "said 1.0 Two.",
            "said 1.1 Three.",
        ]);
}

#[test]
fn an_old_stream_begins_nothing() {
    let mut tape = Tape::new().hears(exchange(1, "One?", "Two.")).hands_over();
    tape.said.clear();
    tape.hears_old(user("u", "Three?"))
        .hears_old([OutputEvent::TextOutput { content_id: "u".to_owned(), role: None, text: "Three?".to_owned() }])
        .hears_old(plan("p", "Four."))
        .hears_old(audio("a", END))
        .hears_old([call("t"), speech_start(), listened(900)])
        .old_ends(false)
        .says(&[]);
    // While it replies it hears nobody either.
    let mut tape = Tape::new().hears(user("u", "One?")).hears([audio_start("a"), audio_output("a")]).hands_over();
    tape.said.clear();
    tape.hears_old(user("v", "Three?")).hears_old([call("t"), speech_start()]).says(&[]);
}

#[test]
fn usage_counts_whichever_stream_tells_it() {
    let mut tape = Tape::new().hands_over();
    tape.said.clear();
    tape.hears_old([OutputEvent::Usage(crate::protocol::UsageDetails::default())]).says(&["usage -"]);
}

#[test]
fn a_reply_that_an_old_stream_breaks_off_is_asked_again() {
    Tape::new()
        .hears(user("u", "One?"))
        .hears([audio_start("a"), audio_output("a")])
        .hands_over()
        .asks(None)
        .old_ends(true)
        .asks(Some("One?"));
    // Nobody asked for what the assistant said by itself.
    Tape::new()
        .hears([audio_start("a"), audio_output("a")])
        .hands_over()
        .old_ends(false)
        .says(&["start 1", "audio 1", "end 1"]);
}

#[test]
fn who_speaks_over_the_reply_of_another_stream_interrupts_it() {
    // The old one still gives it.
    Tape::new()
        .hears(user("u", "One?"))
        .hears([audio_start("a"), audio_output("a")])
        .hands_over()
        .hears(user("v", "Stop!"))
        .hears_old([audio_output("a"), audio_end("a", END)])
        .says(&["start 1", "user 1.0 One?", "audio 1", "cut 1", "end 1 cut", "start 2", "user 2.0 Stop!"]);
    // It was delivered and is being heard.
    let heard = Tape::new().hears(exchange(1, "One?", "Two.")).hands_over();
    let words = heard.hears(user("v", "Stop!")).said.split_off(6);
    assert_eq!(words, ["cut 1", "start 2", "user 2.0 Stop!"]);
    // It was heard; or this stream gave it, and says itself what it hears.
    let heard = Tape::new().hears(exchange(1, "One?", "Two.")).hands_over().waits(200);
    assert_eq!(heard.hears(user("v", "Go on.")).said.split_off(6), ["start 2", "user 2.0 Go on."]);
    let own = Tape::new().hears(exchange(1, "One?", "Two."));
    assert_eq!(own.hears(user("v", "Go on.")).said.split_off(6), ["start 2", "user 2.0 Go on."]);
}

#[test]
fn a_tool_that_the_next_stream_calls_in_the_turn_after_runs_once() {
    let tape =
        Tape::new().hears(user("u", "One?")).hears([call("t1")]).loses_its_stream().asks(Some("One?")).types("Two?");
    tape.hears([call("t2")]).says(&[
        "start 1",
        "user 1.0 One?",
        "call 1 t1 look {}",
        "end 1",
        "start 2",
        "user 2.0 Two?",
    ]);
    // Once it has answered, the same call means something new.
    let tape = Tape::new().hears(user("u", "One?")).hears([call("t1")]).loses_its_stream().asks(Some("One?"));
    let tape = tape.hears(audio("a", END)).hears(user("v", "Two?")).hears([call("t2")]);
    assert_eq!(tape.said.last().unwrap(), "call 2 t2 look {}");
}

#[test]
fn a_result_that_reached_nobody_is_told_in_a_quiet_moment() {
    let mut tape = Tape::new().hears(user("u", "One?")).hears([call("t1")]).hears(audio("a", END)).loses_its_stream();
    assert_eq!(tape.conversation.take_note(tape.now + Duration::from_secs(1)), None);
    tape = tape.hears(user("v", "Two?")).answers("t1", true).waits(1_000);
    assert!(tape.conversation.has_note());
    assert_eq!(tape.conversation.take_note(tape.now), None, "a turn runs");
    tape = tape.hears(audio("b", END));
    assert_eq!(tape.conversation.take_note(tape.now), None, "it is being heard");
    tape = tape.waits(1_000);
    let note = tape.conversation.take_note(tape.now).unwrap();
    assert_eq!(note, "[The tool look was called with {} and returned {}]");
    assert!(!tape.conversation.has_note() && tape.conversation.take_note(tape.now).is_none());
    // Its turn's question is history then.
    tape.prompts(&note)
        .hears(audio("c", END))
        .tells(&["U One?\nTwo?\n[The tool look was called with {} and returned {}]"]);
}

#[test]
fn what_the_caller_brought_comes_first() {
    let mut tape = Tape::new().hears(exchange(1, "One?", "Two."));
    let earlier = [Message { role: Role::User, text: "Zero?".to_owned() }];
    let told = tape.conversation.retold(&earlier, 9_999);
    assert_eq!(told.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["Zero?\nOne?", "Two."]);
    assert_eq!(tape.conversation.retold(&earlier, 0), []);
}

#[test]
fn the_policy_is_told_what_it_must_know() {
    let mut tape = Tape::new().speaks(400, 100);
    let moment = tape.conversation.moment(tape.now);
    assert_eq!((moment.turn_runs, moment.tool_runs, moment.voice), (false, false, Duration::from_millis(500)));
    tape = tape.hears(user("u", "One?")).hears([call("t")]);
    let moment = tape.conversation.moment(tape.now);
    assert_eq!((moment.turn_runs, moment.tool_runs, moment.active), (true, true, tape.now));
}

#[test]
fn a_silenced_sentence_s_final_is_no_other_turn_s() {
    Tape::new()
        .hears(user("u", "One?"))
        .hears([audio_start("a"), audio_output("a")])
        .interrupts()
        .hears(plan("p", "Two."))
        .hears([audio_end("a", END)])
        .hears(user("v", "Three?"))
        .hears(said("f", "Two.", END))
        .hears(user("w", "Or four?"))
        .says(&[
            "start 1",
            "user 1.0 One?",
            "audio 1",
            "cut 1 by client",
            "end 1 cut",
            "start 2",
            "user 2.0 Three?",
            "said 1.0 Two.",
            "user 2.1 Or four?",
        ]);
}

#[test]
fn a_sentence_s_sound_is_its_turn_s_also_where_text_is_typed_between() {
    Tape::new()
        .hears(user("u", "One?"))
        .hears(plan("p", "Two."))
        .types("Three?")
        .hears(audio("a", END))
        .hears(plan("q", "Four."))
        .hears(audio("b", END))
        .says(&[
            "start 1",
            "user 1.0 One?",
            "plan 1.0 Two.",
            "end 1",
            "start 2",
            "user 2.0 Three?",
            "audio 1",
            "plan 2.0 Four.",
            "audio 2",
            "end 2",
        ]);
}
