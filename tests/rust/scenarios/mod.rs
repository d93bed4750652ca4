//! Each shipped scenario over the wire, against a sequence written by hand from the protocol reference (§2.3 to §2.5).

mod stage;

use std::collections::BTreeSet;

use stage::{folder, play};

const LONG: &str = "He had a big red hat and an old cat and a bad cold and no one to talk to in all of his land.";

macro_rules! scenarios {
    ($($test:ident: $name:literal => $expected:expr;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                play($name, $expected).await;
            }
        )*

        #[test]
        fn every_shipped_scenario_is_played() {
            let played = BTreeSet::from([$($name.to_owned()),*]);
            let shipped = std::fs::read_dir(folder()).unwrap().map(|entry| {
                entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()
            });
            assert_eq!(shipped.collect::<BTreeSet<_>>(), played);
        }
    };
}

scenarios! {
    plain_turn: "plain-turn" => lines(&[
        spoken("What time is it?"),
        only_sentence("It is noon."),
        closed(),
    ]);

    several_sentences: "sentences" => lines(&[
        spoken("Tell me about the sea."),
        sentence("The sea is wide.", "PARTIAL_TURN"),
        sentence("It is deep.", "PARTIAL_TURN"),
        sentence("It is salty.", "END_TURN"),
        said("The sea is wide.", "PARTIAL_TURN"),
        said("It is deep.", "PARTIAL_TURN"),
        said("It is salty.", "END_TURN"),
        closed(),
    ]);

    user_in_fragments: "fragments" => lines(&[
        strs(&["> speak", "userSpeechStart", "completionStart", "userSpeechEnd"]),
        user("I would like"),
        user("a cup of coffee,"),
        user("please."),
        only_sentence("Here it is."),
        closed(),
    ]);

    barge_in_by_marker: "barge-in-marker" => lines(&[
        long_story(),
        strs(&["userSpeechStart"]),
        said("He…", "PARTIAL_TURN"),
        said(r#"{ "interrupted" : true }"#, "INTERRUPTED"),
        strs(&["/AUDIO END_TURN"]),
        after_barge_in(),
    ]);

    barge_in_by_old_marker: "barge-in-old-marker" => lines(&[
        long_story(),
        strs(&["userSpeechStart"]),
        said("He…", "PARTIAL_TURN"),
        said("{\"interrupted\":true}\n", "INTERRUPTED"),
        strs(&["/AUDIO END_TURN"]),
        after_barge_in(),
    ]);

    barge_in_by_end_of_text: "barge-in-text-end" => lines(&[
        unnoticed_story(),
        said("He…", "INTERRUPTED"),
        strs(&["/AUDIO PARTIAL_TURN"]),
        stopped(),
    ]);

    barge_in_with_audio_ended_first: "barge-in-audio-first" => lines(&[
        unnoticed_story(),
        strs(&["/AUDIO END_TURN"]),
        said("He…", "INTERRUPTED"),
        stopped(),
    ]);

    barge_in_by_speech_only: "barge-in-speech-only" => lines(&[
        long_story(),
        strs(&["userSpeechStart", "/AUDIO PARTIAL_TURN"]),
        said("He…", "PARTIAL_TURN"),
        after_barge_in(),
    ]);

    barge_in_by_end_of_audio: "barge-in-audio-end" => lines(&[
        unnoticed_story(),
        said("He…", "PARTIAL_TURN"),
        strs(&["/AUDIO INTERRUPTED"]),
        stopped(),
    ]);

    no_speech_events: "no-speech-events" => lines(&[
        unnoticed_story(),
        said("He…", "PARTIAL_TURN"),
        said(r#"{ "interrupted" : true }"#, "INTERRUPTED"),
        strs(&["/AUDIO END_TURN"]),
        stopped(),
    ]);

    one_tool: "tool" => lines(&[
        spoken("How warm is it in Oslo?"),
        tool(r#"getWeather {"city":"Oslo"}"#),
        strs(&["> nothing 200", r#"> result getWeather {"celsius":3}"#]),
        only_sentence(r#"The weather service says {"celsius":3}."#),
        closed(),
    ]);

    double_encoded_arguments: "tool-double-encoded" => lines(&[
        spoken("How warm is it in Oslo?"),
        tool(r#"getWeather "{\"city\":\"Oslo\"}""#),
        strs(&[r#"> result getWeather {"celsius":3}"#]),
        only_sentence(r#"The weather service says {"celsius":3}."#),
        closed(),
    ]);

    chained_tools: "tools-chained" => lines(&[
        spoken("How warm is it in the capital of Norway?"),
        tool(r#"findCity {"country":"Norway"}"#),
        strs(&[r#"> result findCity {"city":"Oslo"}"#]),
        sentence("The capital is Oslo, let me look.", "PARTIAL_TURN"),
        tool(r#"getWeather {"city":"Oslo"}"#),
        // The sentence is heard while the tool runs.
        said("The capital is Oslo, let me look.", "PARTIAL_TURN"),
        strs(&[r#"> result getWeather {"celsius":3}"#]),
        only_sentence("It is 3 degrees there."),
        closed(),
    ]);

    parallel_tools: "tools-parallel" => lines(&[
        spoken("How warm and how late is it in Oslo?"),
        tool(r#"getWeather {"city":"Oslo"}"#),
        tool(r#"getTime {"city":"Oslo"}"#),
        strs(&[
            r#"> result getTime {"time":"noon"}"#,
            "> nothing 200",
            r#"> result getWeather {"celsius":3}"#,
        ]),
        only_sentence("It is 3 degrees, and noon."),
        closed(),
    ]);

    tool_while_the_user_speaks: "tool-while-user-speaks" => lines(&[
        spoken("How warm is it in Oslo?"),
        tool(r#"getWeather {"city":"Oslo"}"#),
        strs(&["> speak", "userSpeechStart", "userSpeechEnd"]),
        user("Are you still there?"),
        sentence("Yes, I am looking.", "END_TURN"),
        // Never cancelled; what it brought is told once the model is silent.
        strs(&[r#"> result getWeather {"celsius":3}"#]),
        said("Yes, I am looking.", "END_TURN"),
        only_sentence("It is 3 degrees in Oslo."),
        closed(),
    ]);

    late_final: "final-late" => lines(&[
        noon(),
        // 0.8 s to hear it and 2.6 s more, four times faster; then it waits for input.
        strs(&["> nothing 1200", "> silence"]),
        said("It is noon.", "PARTIAL_TURN"),
        said("Time to eat.", "END_TURN"),
        again("Thank you."),
        sentence("You are welcome.", "END_TURN"),
        strs(&["> nothing 1200"]),
        closed(),
    ]);

    final_of_the_turn_before: "final-next-turn" => lines(&[
        noon(),
        strs(&["> nothing 600"]),
        again("Thank you."),
        plan("You are welcome.", "PARTIAL_TURN"),
        said("It is noon.", "PARTIAL_TURN"),
        said("Time to eat.", "END_TURN"),
        sound("END_TURN"),
        strs(&["> nothing 600"]),
        closed(),
    ]);

    no_final: "final-never" => lines(&[
        noon(),
        strs(&["> nothing 600"]),
        again("Thank you."),
        sentence("You are welcome.", "END_TURN"),
        strs(&["> nothing 600"]),
        closed(),
    ]);

    typed_text: "typed-text" => lines(&[
        strs(&["> silence", "> nothing 200", "> type Read this.", "completionStart"]),
        only_sentence("I have read that."),
        strs(&["> type Goodbye now."]),
        only_sentence("See you soon."),
        closed(),
    ]);

    first_words: "first-words" => lines(&[
        strs(&["> silence", "> type Greet the caller.", "completionStart"]),
        only_sentence("Welcome, how can I help?"),
        again("I need a room."),
        only_sentence("We have one left."),
        closed(),
    ]);

    usage: "usage" => lines(&[
        spoken("One."),
        only_sentence("Two."),
        again("Three."),
        only_sentence("Four."),
        closed(),
    ]);

    unannounced_audio: "audio-unannounced" => lines(&[
        strs(&["> speak", "userSpeechStart", "userSpeechEnd"]),
        user("Play a note."),
        strs(&["audio", "/AUDIO END_TURN", "> close", "END"]),
    ]);

    unknown_events: "unknown-events" => lines(&[
        spoken("What is new?"),
        strs(&["interactionTurnEnd"]),
        sentence("Nothing at all.", "PARTIAL_TURN"),
        strs(&["serviceMetrics"]),
        sentence("So it goes on.", "END_TURN"),
        said("Nothing at all.", "PARTIAL_TURN"),
        said("So it goes on.", "END_TURN"),
        closed(),
    ]);

    completion_ends_with_the_prompt: "completion-end" => lines(&[
        spoken("One."),
        only_sentence("Two."),
        strs(&["> nothing 300"]),
        again("Three."),
        only_sentence("Four."),
        strs(&["> nothing 300", "> end_prompt", "completionEnd", "> nothing 100", "> end_session", "END"]),
    ]);

    completion_around_each_reply: "completion-each-reply" => lines(&[
        strs(&["> speak", "userSpeechStart", "userSpeechEnd", "completionStart"]),
        user("One."),
        only_sentence("Two."),
        strs(&["completionEnd", "> speak", "userSpeechStart", "userSpeechEnd", "completionStart"]),
        user("Three."),
        only_sentence("Four."),
        strs(&["completionEnd", "> close", "END"]),
    ]);

    texts_end_the_turn: "text-ends-turn" => lines(&[
        spoken("Count to two."),
        plan("One.", "END_TURN"),
        sound("PARTIAL_TURN"),
        plan("Two.", "END_TURN"),
        sound("END_TURN"),
        said("One.", "END_TURN"),
        said("Two.", "END_TURN"),
        closed(),
    ]);

    nothing_ends_the_turn: "nothing-ends-turn" => lines(&[
        spoken("Count to two."),
        sentence("One.", "PARTIAL_TURN"),
        sentence("Two.", "PARTIAL_TURN"),
        said("One.", "PARTIAL_TURN"),
        said("Two.", "PARTIAL_TURN"),
        again("Thank you."),
        sentence("You are welcome.", "PARTIAL_TURN"),
        said("You are welcome.", "PARTIAL_TURN"),
        closed(),
    ]);
}

#[tokio::test]
async fn results_of_parallel_tools_come_in_any_order() {
    let expected = lines(&[
        spoken("How warm and how late is it in Oslo?"),
        tool(r#"getWeather {"city":"Oslo"}"#),
        tool(r#"getTime {"city":"Oslo"}"#),
        strs(&[r#"> result getWeather {"celsius":3}"#, r#"> result getTime {"time":"noon"}"#]),
        only_sentence("It is 3 degrees, and noon."),
        closed(),
    ]);
    play("tools-parallel", expected).await;
}

fn lines(parts: &[Vec<String>]) -> Vec<String> {
    parts.concat()
}

fn strs(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The first thing that the user says on a stream.
fn spoken(text: &str) -> Vec<String> {
    lines(&[strs(&["> speak", "userSpeechStart", "completionStart", "userSpeechEnd"]), user(text)])
}

/// Anything said later.
fn again(text: &str) -> Vec<String> {
    lines(&[strs(&["> speak", "userSpeechStart", "userSpeechEnd"]), user(text)])
}

fn user(text: &str) -> Vec<String> {
    lines(&[strs(&["TEXT USER FINAL"]), vec![format!("  {text}")], strs(&["/TEXT PARTIAL_TURN"])])
}

fn plan(text: &str, reason: &str) -> Vec<String> {
    vec!["TEXT ASSISTANT SPECULATIVE".into(), format!("  {text}"), format!("/TEXT {reason}")]
}

fn said(text: &str, reason: &str) -> Vec<String> {
    vec!["TEXT ASSISTANT FINAL".into(), format!("  {text}"), format!("/TEXT {reason}")]
}

fn sound(reason: &str) -> Vec<String> {
    vec!["AUDIO".into(), "audio".into(), format!("/AUDIO {reason}")]
}

fn sentence(text: &str, audio_reason: &str) -> Vec<String> {
    lines(&[plan(text, "PARTIAL_TURN"), sound(audio_reason)])
}

/// An answer, or the rest of one, of one sentence.
fn only_sentence(text: &str) -> Vec<String> {
    lines(&[sentence(text, "END_TURN"), said(text, "END_TURN")])
}

fn tool(call: &str) -> Vec<String> {
    vec!["TOOL".into(), format!("  {call}"), "/TOOL TOOL_USE".into()]
}

fn closed() -> Vec<String> {
    strs(&["> close", "completionEnd", "END"])
}

fn noon() -> Vec<String> {
    lines(&[spoken("What time is it?"), sentence("It is noon.", "PARTIAL_TURN"), sentence("Time to eat.", "END_TURN")])
}

fn long_story() -> Vec<String> {
    lines(&[spoken("Tell me a long story."), begun_story()])
}

/// The same from a build that does not tell when the user speaks.
fn unnoticed_story() -> Vec<String> {
    lines(&[strs(&["> speak", "completionStart"]), user("Tell me a long story."), begun_story()])
}

/// The user speaks when a second of the second sentence has been heard and a third of it has been sent.
fn begun_story() -> Vec<String> {
    lines(&[
        sentence("Once there was a king.", "PARTIAL_TURN"),
        plan(LONG, "PARTIAL_TURN"),
        strs(&["AUDIO", "audio"]),
        said("Once there was a king.", "PARTIAL_TURN"),
        strs(&["audio 40", "> speak", "audio*"]),
    ])
}

fn after_barge_in() -> Vec<String> {
    lines(&[strs(&["userSpeechEnd"]), stopped()])
}

fn stopped() -> Vec<String> {
    lines(&[user("Stop, please."), only_sentence("I have stopped."), closed()])
}
