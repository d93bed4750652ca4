//! Where builds of the service differ, beyond what the shipped scenarios play (tests/rust/scenarios).

use super::*;

const ANSWER: &str = "[[turn]]\n[[turn.step]]\ntext = \"a b c d\"\ntone_hz = 300\ntone_ms = 3000\n";

fn spoken_over_when_all_was_sent(barge_in: &str) -> Vec<String> {
    let mut stage = Stage::open(script(&format!("[service]\nbarge_in = \"{barge_in}\"\n{ANSWER}")));
    stage.type_text("t", "x");
    stage.wait(Duration::from_millis(1_500));
    assert_eq!(stage.lines().last().map(String::as_str), Some("/AUDIO END_TURN"));
    stage.hear(&spoken());
    stage.lines()
}

/// The loudspeaker still plays, but no AUDIO block is open that could say anything.
#[test]
fn each_barge_in_is_told_when_all_audio_was_sent_before() {
    let marked = |marker: &str| {
        vec![
            "userSpeechStart".to_owned(),
            "TEXT ASSISTANT FINAL".into(),
            "  a b".into(),
            "/TEXT PARTIAL_TURN".into(),
            "TEXT ASSISTANT FINAL".into(),
            format!("  {marker}"),
            "/TEXT INTERRUPTED".into(),
        ]
    };
    let cut = |reason: &str| {
        vec!["userSpeechStart".to_owned(), "TEXT ASSISTANT FINAL".into(), "  a b".into(), format!("/TEXT {reason}")]
    };
    assert_eq!(spoken_over_when_all_was_sent("marker"), marked("{ \"interrupted\" : true }"));
    assert_eq!(spoken_over_when_all_was_sent("old_marker"), marked("{\"interrupted\":true}\n"));
    assert_eq!(spoken_over_when_all_was_sent("text_end"), cut("INTERRUPTED"));
    assert_eq!(spoken_over_when_all_was_sent("audio_first"), cut("INTERRUPTED"));
    assert_eq!(spoken_over_when_all_was_sent("audio_end"), cut("INTERRUPTED"));
    assert_eq!(spoken_over_when_all_was_sent("speech_only"), cut("PARTIAL_TURN"));
}

#[test]
fn an_end_without_a_word_is_an_empty_block() {
    let mut stage = Stage::open(script(&format!("[service]\nbarge_in = \"text_end\"\n{ANSWER}")));
    stage.type_text("t", "x");
    stage.wait(Duration::from_millis(100));
    stage.take();
    stage.hear(&spoken());
    assert_eq!(stage.lines(), ["userSpeechStart", "TEXT ASSISTANT FINAL", "/TEXT INTERRUPTED", "/AUDIO PARTIAL_TURN"]);
}

#[test]
fn late_texts_of_a_turn_that_is_spoken_over_never_come_and_earlier_ones_do() {
    let answer = |ms: u32| {
        format!(
            "[[turn]]\n[[turn.step]]\ntext = \"a\"\ntone_hz = 300\ntone_ms = 200\n[[turn.step]]\n\
        text = \"b c\"\ntone_hz = 300\ntone_ms = {ms}\n"
        )
    };
    let mut stage = Stage::open(script(&format!("[service]\nfinals = \"late\"\n{}{}", answer(200), answer(9_000))));
    stage.type_text("t", "x");
    stage.wait(Duration::from_secs(2));
    stage.type_text("t2", "y");
    stage.wait(Duration::from_millis(500));
    stage.take();
    // The first sentence of this turn has been heard, its text is owed; so are both of the turn before.
    stage.hear(&spoken());
    assert!(stage.lines().contains(&"/TEXT INTERRUPTED".into()));
    stage.wait(Duration::from_secs(3));
    stage.take();
    stage.hear(&[0; 640]);
    assert_eq!(
        stage.lines(),
        ["TEXT ASSISTANT FINAL", "  a", "/TEXT PARTIAL_TURN", "TEXT ASSISTANT FINAL", "  b c", "/TEXT END_TURN"]
    );
}

#[test]
fn whatever_the_build_sends_the_brain_remembers_what_was_heard() {
    for finals in ["spoken", "late", "next_turn", "never"] {
        let source = format!("[service]\nfinals = \"{finals}\"\n[[turn]]\n[[turn.step]]\ntext = \"a\"\n");
        let mut stage = Stage::open(script(&source));
        stage.type_text("t", "x");
        stage.wait(Duration::from_secs(3));
        assert_eq!(stage.dialogue.history, [("user".into(), "x".into()), ("assistant".into(), "a".into())], "{finals}");
    }
}

const ASKS: &str = "[[turn]]\n[[turn.step]]\ncall = \"getWeather\"\n[[turn.step]]\ntext = \"unheard\"\n[[turn]]\n\
    [[turn.step]]\ntext = \"Yes.\"\ntone_hz = 300\ntone_ms = 400\n";
const TELLS: &str = "[[turn]]\non_result = \"getWeather\"\n[[turn.step]]\ntext = \"{result.getWeather.t} degrees\"\n\
    tone_hz = 300\ntone_ms = 80\n";

fn asked(source: &str) -> (Stage, Vec<Vec<u8>>) {
    let mut stage = Stage::open(script(source));
    stage.speak();
    let id = tool_use_id(&stage.out);
    stage.take();
    (stage, vec![tool_result_start("r", &id), tool_result("r", r#"{"t":3}"#), content_end("r")])
}

/// Reference §3, asynchronous tools.
#[test]
fn a_result_that_comes_while_the_user_speaks_waits_for_both_to_be_silent() {
    let (mut stage, result) = asked(&format!("{ASKS}{TELLS}"));
    stage.hear(&spoken());
    stage.send_all(&result);
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.lines(), ["userSpeechStart"]);
    stage.hear(&vec![0; 32_000]);
    stage.wait(Duration::from_secs(2));
    let lines = stage.lines();
    let at = |text: &str| lines.iter().position(|line| line == text).unwrap_or_else(|| panic!("{text}: {lines:?}"));
    assert!(at("  Yes.") < at("/AUDIO END_TURN") && at("/TEXT END_TURN") < at("  3 degrees"));
    assert_eq!(lines.last().map(String::as_str), Some("/TEXT END_TURN"));
    assert!(!lines.contains(&"  unheard".into()));
}

#[test]
fn a_late_result_is_taken_in_silence_where_the_script_has_no_turn_for_it() {
    let (mut stage, result) = asked(ASKS);
    stage.type_text("t", "x");
    stage.wait(Duration::from_secs(2));
    stage.take();
    stage.send_all(&result);
    stage.wait(Duration::from_secs(2));
    assert_eq!(stage.lines(), [""; 0]);
}

#[test]
fn what_the_user_said_may_come_in_fragments_until_the_answer_begins() {
    let mut stage = Stage::open(Brain::Host);
    stage.speak();
    let turn = stage.turn_id();
    stage.take();
    for text in ["one", "two"] {
        stage.act(turn, BrainAction::Heard(text.into()));
    }
    assert_eq!(
        stage.lines(),
        ["TEXT USER FINAL", "  one", "/TEXT PARTIAL_TURN", "TEXT USER FINAL", "  two", "/TEXT PARTIAL_TURN"]
    );
    stage.say(turn, "Three.", 80);
    stage.take();
    stage.act(turn, BrainAction::Heard("late".into()));
    assert_eq!(stage.lines(), [""; 0]);
}

#[test]
fn an_event_as_it_stands_keeps_its_place_and_may_override_what_all_events_carry() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.say(turn, "One.", 800);
    let fields = r#"{"promptName":"other","n":[1]}"#.to_owned();
    stage.act(turn, BrainAction::Event { name: "serviceMetrics".into(), fields });
    stage.act(turn, BrainAction::Done);
    assert!(!stage.lines().contains(&"serviceMetrics".into()), "not before the sentence is sent");
    stage.wait(Duration::from_millis(300));
    let mut events = stage.out.iter().filter_map(|emit| match emit {
        Emit::Event(event) => Some(parsed(event)),
        _ => None,
    });
    let (_, body) = events.find(|(name, _)| name == "serviceMetrics").unwrap();
    assert_eq!((&body["promptName"], &body["n"]), (&json!("other"), &json!([1])));
    assert!(body["sessionId"].is_string() && body["completionId"].is_string());
}

#[test]
fn each_reply_has_its_completion_where_the_build_says_so() {
    let mut stage = Stage::open(script(&format!("[service]\ncompletions = \"reply\"\n{ANSWER}")));
    let mut ids = Vec::new();
    for name in ["t", "t2"] {
        stage.type_text(name, "x");
        stage.wait(Duration::from_secs(1));
        // The second text comes into the first answer, and ends it.
        for emit in &stage.out {
            if let Emit::Event(event) = emit
                && let (name, body) = parsed(event)
                && name.starts_with("completion")
            {
                ids.push((name, body["completionId"].clone()));
            }
        }
        stage.take();
    }
    let names: Vec<&str> = ids.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["completionStart", "completionEnd", "completionStart"]);
    assert!(ids[0].1 == ids[1].1 && ids[1].1 != ids[2].1);
}
