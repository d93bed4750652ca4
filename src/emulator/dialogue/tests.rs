use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    turns::{APOLOGY, MOST_QUEUED_BYTES},
    *,
};
use crate::emulator::{
    client_events::*,
    settings::{BrainAction, BrainChoice},
    sound,
};

mod builds;
mod silence;

/// A stream with a clock that only the test moves.
struct Stage {
    dialogue: Dialogue,
    now: Instant,
    out: Vec<Emit>,
}

impl Stage {
    fn new(brain: Brain, settings: Settings) -> Self {
        let now = Instant::now();
        let caller = Caller { stream_id: 7, ..Caller::default() };
        let dialogue = Dialogue::new(settings.into(), brain.into(), caller, Arc::new(AtomicU64::new(1)), now);
        Self { dialogue, now, out: Vec::new() }
    }

    fn open(brain: Brain) -> Self {
        Self::open_with(brain, Settings::default())
    }

    /// Everything up to fed audio, and its output thrown away.
    fn open_with(brain: Brain, settings: Settings) -> Self {
        let mut stage = Self::new(brain, settings);
        stage.send(&session_start());
        stage.send(&prompt_start_with("amy", 16_000, &json!([tool("getWeather")])));
        stage.send_all(&text_block("s", "SYSTEM", false, "Be kind."));
        stage.send(&audio_start("a"));
        stage.hear(&vec![0; 3_200]);
        assert!(stage.out.is_empty(), "{:?}", stage.out);
        stage
    }

    fn send(&mut self, payload: &[u8]) -> &'static str {
        self.dialogue.on_event(payload, self.now, &mut self.out)
    }

    fn send_all(&mut self, payloads: &[Vec<u8>]) {
        for payload in payloads {
            self.send(payload);
        }
    }

    /// Audio in frames of 32 ms that take no time.
    fn hear(&mut self, pcm: &[u8]) {
        for frame in pcm.chunks(1_024) {
            self.send(&audio_input("a", frame));
        }
    }

    fn speak(&mut self) {
        self.hear(&spoken());
        self.hear(&vec![0; 32_000]);
    }

    fn type_text(&mut self, name: &str, text: &str) {
        self.send_all(&text_block(name, "USER", true, text));
    }

    /// Lets time pass, waking the dialogue when it asked to be woken.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = 0;
        while let Some(deadline) = self.dialogue.next_deadline().filter(|deadline| *deadline <= end) {
            wakes += 1;
            assert!(wakes < 10_000, "a deadline that does not pass");
            self.now = self.now.max(deadline);
            self.dialogue.on_timer(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn act(&mut self, turn_id: u64, action: BrainAction) {
        self.dialogue.on_action(turn_id, action, self.now, &mut self.out);
    }

    fn say(&mut self, turn_id: u64, text: &str, ms: u32) {
        let pcm = Some(sound::tone(300.0, ms, 16_000).into());
        self.act(turn_id, BrainAction::Say { text: text.into(), pcm });
    }

    fn take(&mut self) -> Vec<Emit> {
        std::mem::take(&mut self.out)
    }

    /// The output since the last look, one short line an event, usage left out and audio counted.
    fn lines(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for line in self.take().iter().filter_map(line) {
            match lines.last_mut() {
                Some(last) if line == "audio" && last.starts_with("audio x") => {
                    let count: usize = last[7..].parse().unwrap();
                    *last = format!("audio x{}", count + 1);
                }
                _ if line == "audio" => lines.push("audio x1".into()),
                _ => lines.push(line),
            }
        }
        lines
    }

    fn turn_id(&mut self) -> u64 {
        let asked = self.out.iter().find_map(|emit| match emit {
            Emit::Ask(turn) => Some(turn.turn_id),
            _ => None,
        });
        asked.expect("no turn was asked")
    }
}

fn spoken() -> Vec<u8> {
    sound::tone(220.0, 1_000, 16_000)
}

fn parsed(event: &[u8]) -> (String, Value) {
    let value: Value = serde_json::from_slice(event).unwrap();
    let (name, body) = value["event"].as_object().unwrap().iter().next().unwrap();
    (name.clone(), body.clone())
}

fn line(emit: &Emit) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(match emit {
        Emit::Event(event) => {
            let (name, body) = parsed(event);
            match name.as_str() {
                "usageEvent" => return None,
                "contentStart" if body["type"] == "TEXT" => {
                    let fields: Value = serde_json::from_str(body["additionalModelFields"].as_str().unwrap()).unwrap();
                    format!("TEXT {} {}", text(&body["role"]), text(&fields["generationStage"]))
                }
                "contentStart" => text(&body["type"]),
                "textOutput" => format!("  {}", text(&body["content"])),
                "audioOutput" => "audio".into(),
                "toolUse" => format!("  {} {}", text(&body["toolName"]), text(&body["content"])),
                "contentEnd" => format!("/{} {}", text(&body["type"]), text(&body["stopReason"])),
                _ => name,
            }
        }
        Emit::Exception { name, message } => format!("{name}: {message}"),
        Emit::End => "END".into(),
        Emit::Ask(_) => "ask".into(),
        Emit::CancelTurn { turn_id } => format!("cancel {turn_id}"),
        Emit::ToolResult { call_id, content, .. } => format!("result {call_id} {content}"),
    })
}

fn audio_of(emits: &[Emit]) -> Vec<u8> {
    let mut pcm = Vec::new();
    for emit in emits {
        if let Emit::Event(event) = emit
            && let (name, body) = parsed(event)
            && name == "audioOutput"
        {
            pcm.extend(BASE64.decode(body["content"].as_str().unwrap()).unwrap());
        }
    }
    pcm
}

#[test]
fn echo_returns_each_frame_at_once_and_announces_one_block() {
    let mut stage = Stage::new(Brain::Echo, Settings::default());
    stage.send_all(&[session_start(), prompt_start(), audio_start("a")]);
    assert_eq!(stage.send(&audio_input("a", &[1, 2, 3, 4, 5, 6])), "audioInput");
    assert_eq!(audio_of(&stage.out), [1, 2, 3, 4, 5, 6]);
    assert_eq!(stage.lines(), ["completionStart", "AUDIO", "audio x1"]);
    stage.send(&audio_input("a", &spoken()));
    assert_eq!(audio_of(&stage.out), spoken());
    assert_eq!(stage.lines(), ["audio x1"]);
    assert_eq!(stage.dialogue.audio_bytes(), (6 + 32_000, 6 + 32_000));
    stage.send_all(&[content_end("a"), prompt_end(), session_end()]);
    assert_eq!(stage.lines(), ["/AUDIO END_TURN", "completionEnd", "END"]);
}

/// Reference §2.3.
#[test]
fn a_spoken_turn_goes_as_the_service_sends_it() {
    let mut stage = Stage::open(Brain::Parrot);
    stage.speak();
    stage.wait(Duration::from_secs(5));
    let emits = stage.out.clone();
    let lines = stage.lines();
    assert_eq!(
        [&lines[..9], &lines[10..]].concat(),
        [
            "userSpeechStart",
            "completionStart",
            "userSpeechEnd",
            "TEXT USER FINAL",
            "  (1.2 seconds of speech)",
            "/TEXT PARTIAL_TURN",
            "TEXT ASSISTANT SPECULATIVE",
            "  I heard 1.2 seconds of speech.",
            "/TEXT PARTIAL_TURN",
            "audio x16",
            "/AUDIO END_TURN",
            "TEXT ASSISTANT FINAL",
            "  I heard 1.2 seconds of speech.",
            "/TEXT END_TURN",
        ]
    );
    // The user's own voice, bit for bit.
    let said = audio_of(&emits);
    assert!(said.windows(32_000).step_by(2).any(|window| window == spoken()));
    assert_eq!(stage.dialogue.audio_bytes().1, said.len() as u64);
    // completionStart is once for the whole stream.
    stage.speak();
    stage.wait(Duration::from_secs(5));
    assert!(!stage.lines().contains(&"completionStart".into()));
}

#[test]
fn events_carry_the_names_and_numbers_of_the_reference() {
    let mut stage = Stage::open(Brain::Parrot);
    stage.speak();
    stage.wait(Duration::from_secs(5));
    let events: Vec<(String, Value)> = stage
        .take()
        .iter()
        .filter_map(|emit| match emit {
            Emit::Event(event) => Some(parsed(event)),
            _ => None,
        })
        .collect();
    let session = &events[0].1["sessionId"];
    let mut total = 0;
    for (name, body) in &events {
        assert_eq!(&body["sessionId"], session, "{name}");
        assert_eq!(body["promptName"], PROMPT, "{name}");
        assert_eq!(body["completionId"].is_string(), !name.starts_with("userSpeech"), "{name}");
        let has_content = ["contentStart", "contentEnd", "textOutput", "audioOutput"].contains(&name.as_str());
        assert_eq!(body["contentId"].is_string(), has_content, "{name}");
        match name.as_str() {
            "contentStart" if body["type"] == "AUDIO" => assert_eq!(
                body["audioOutputConfiguration"],
                json!({"mediaType": "audio/lpcm", "sampleRateHertz": 16_000, "sampleSizeBits": 16, "encoding": "base64",
                    "channelCount": 1})
            ),
            "userSpeechStart" => assert_eq!(body["inputAudioOffsetMs"], 100),
            "userSpeechEnd" => {
                assert_eq!(body["inputAudioOffsetMs"], 1_100);
                assert_eq!(body["inputAudioDetectionOffsetMs"], 1_640);
            }
            "usageEvent" => {
                let delta = &body["details"]["delta"];
                let sum = |kind: &Value| kind["speechTokens"].as_u64().unwrap() + kind["textTokens"].as_u64().unwrap();
                total += sum(&delta["input"]) + sum(&delta["output"]);
                assert_eq!(body["totalTokens"], total);
            }
            _ => {}
        }
    }
    assert!(total > 60, "{total} tokens for two seconds of speech");
}

#[test]
fn audio_is_sent_three_times_faster_than_it_plays_and_the_final_text_waits_for_the_ear() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "hi");
    let turn = stage.turn_id();
    stage.say(turn, "One.", 2_400);
    stage.act(turn, BrainAction::Done);
    assert_eq!(audio_of(&stage.take()).len(), 2_560, "one piece of 80 ms at once");
    stage.wait(Duration::from_millis(400));
    assert_eq!(audio_of(&stage.take()).len(), 15 * 2_560);
    stage.wait(Duration::from_millis(400));
    assert_eq!(stage.lines(), ["audio x14", "/AUDIO END_TURN"]);
    stage.wait(Duration::from_millis(1_590));
    assert_eq!(stage.lines(), [""; 0]);
    stage.wait(Duration::from_millis(20));
    assert_eq!(stage.lines(), ["TEXT ASSISTANT FINAL", "  One.", "/TEXT END_TURN"]);
}

#[test]
fn speed_divides_every_clock() {
    let mut stage = Stage::open_with(Brain::Host, Settings { speed: 10.0, ..Settings::default() });
    stage.type_text("t", "hi");
    let turn = stage.turn_id();
    stage.say(turn, "One.", 2_400);
    stage.act(turn, BrainAction::Done);
    stage.wait(Duration::from_millis(241));
    assert!(stage.lines().contains(&"/TEXT END_TURN".into()));
    stage.wait(Duration::from_millis(5_400));
    assert_eq!(stage.lines().last().map(String::as_str), Some("END"));
}

#[test]
fn sentences_each_have_their_blocks_and_only_the_last_ends_the_turn() {
    let mut stage = Stage::open(Brain::Host);
    stage.speak();
    let turn = stage.turn_id();
    assert_eq!(stage.lines(), ["userSpeechStart", "completionStart", "userSpeechEnd", "ask"]);
    stage.act(turn, BrainAction::Heard("hello".into()));
    assert_eq!(stage.lines(), ["TEXT USER FINAL", "  hello", "/TEXT PARTIAL_TURN"]);
    stage.say(turn, "One.", 80);
    assert_eq!(
        stage.lines(),
        ["TEXT ASSISTANT SPECULATIVE", "  One.", "/TEXT PARTIAL_TURN", "AUDIO", "audio x1"],
        "whether it was the last sentence is not known yet"
    );
    stage.say(turn, "Two.", 80);
    stage.wait(Duration::from_millis(50));
    assert_eq!(
        stage.lines(),
        ["/AUDIO PARTIAL_TURN", "TEXT ASSISTANT SPECULATIVE", "  Two.", "/TEXT PARTIAL_TURN", "AUDIO", "audio x1"]
    );
    stage.act(turn, BrainAction::Done);
    assert_eq!(stage.lines(), ["/AUDIO END_TURN"]);
    stage.wait(Duration::from_secs(1));
    assert_eq!(
        stage.lines(),
        ["TEXT ASSISTANT FINAL", "  One.", "/TEXT PARTIAL_TURN", "TEXT ASSISTANT FINAL", "  Two.", "/TEXT END_TURN"]
    );
    stage.say(turn, "Late.", 80);
    stage.act(turn, BrainAction::Done);
    assert_eq!(stage.lines(), [""; 0], "the turn is over");
}

/// Reference §2.4.
#[test]
fn barge_in_drops_what_was_not_heard() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "tell me");
    let turn = stage.turn_id();
    stage.say(turn, "First sentence here.", 1_000);
    stage.say(turn, "second one of five words", 2_000);
    stage.say(turn, "Begun and not heard.", 5_000);
    stage.say(turn, "Never begun.", 1_000);
    // Half of the second sentence has been played, all of it and a part of the third has been sent.
    stage.wait(Duration::from_secs(2));
    stage.take();
    stage.hear(&spoken());
    assert_eq!(
        stage.lines(),
        [
            "userSpeechStart",
            "cancel 1",
            "TEXT ASSISTANT FINAL",
            "  second one",
            "/TEXT PARTIAL_TURN",
            "TEXT ASSISTANT FINAL",
            "  { \"interrupted\" : true }",
            "/TEXT INTERRUPTED",
            "/AUDIO END_TURN",
        ]
    );
    stage.wait(Duration::from_secs(10));
    assert_eq!(stage.lines(), [""; 0], "nothing more of the turn");
    stage.act(turn, BrainAction::Done);
    stage.say(turn, "Ghost.", 80);
    assert_eq!(stage.lines(), [""; 0]);
    // The next turn knows what was heard, and not more.
    stage.hear(&vec![0; 32_000]);
    let Some(Emit::Ask(request)) = stage.out.iter().find(|emit| matches!(emit, Emit::Ask(_))) else {
        panic!("no turn")
    };
    let history: Vec<_> = request.history.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
    assert_eq!(history, [("user", "tell me"), ("assistant", "First sentence here. second one")]);
    assert_eq!(request.turn_id, 2);
    assert_eq!(stage.lines(), ["userSpeechEnd", "ask"]);
}

#[test]
fn barge_in_after_the_last_piece_still_counts_until_it_was_played() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.say(turn, "a b c d", 3_000);
    stage.act(turn, BrainAction::Done);
    stage.wait(Duration::from_millis(1_500));
    assert_eq!(stage.lines().last().map(String::as_str), Some("/AUDIO END_TURN"));
    stage.type_text("t2", "stop");
    assert_eq!(
        stage.lines(),
        [
            "TEXT ASSISTANT FINAL",
            "  a b",
            "/TEXT PARTIAL_TURN",
            "TEXT ASSISTANT FINAL",
            "  { \"interrupted\" : true }",
            "/TEXT INTERRUPTED",
            "ask",
        ]
    );
    stage.act(2, BrainAction::Done);
    stage.take();
    stage.wait(Duration::from_secs(4));
    stage.type_text("t3", "again");
    assert_eq!(stage.lines(), ["ask"], "nothing was playing any more");
}

#[test]
fn a_loudspeaker_does_not_interrupt_and_a_person_does() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.say(turn, "a long answer", 5_000);
    stage.wait(Duration::from_millis(500));
    stage.take();
    let echo = echo_of_speech();
    stage.hear(&echo);
    assert_eq!(stage.lines(), [""; 0]);
    stage.hear(&spoken());
    assert!(stage.lines().contains(&"/TEXT INTERRUPTED".into()));
    // The model is silent now, and the same soft sound is speech.
    stage.hear(&vec![0; 32_000]);
    stage.take();
    stage.hear(&echo);
    assert!(stage.lines().contains(&"userSpeechStart".into()));
}

#[test]
fn the_bar_stays_up_until_the_last_sound_has_left_the_loudspeaker() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.say(turn, "a long answer", 5_000);
    stage.act(turn, BrainAction::Done);
    // All is sent after 1.7 s and played after 5 s, by our clock; the loudspeaker lags.
    for (after_ms, heard) in [(500, false), (2_500, false), (2_300, false), (500, true)] {
        stage.wait(Duration::from_millis(after_ms));
        stage.take();
        stage.hear(&echo_of_speech());
        assert_eq!(stage.lines().contains(&"userSpeechStart".into()), heard, "{after_ms} ms later");
        stage.hear(&vec![0; 32_000]);
    }
}

#[test]
fn the_bar_follows_what_is_played_now() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    for (pcm, heard) in [(spoken(), false), (echo_of_speech(), true)] {
        stage.act(1, BrainAction::Say { text: "A sentence.".into(), pcm: Some(pcm.into()) });
        stage.wait(Duration::from_millis(500));
        stage.take();
        stage.hear(&echo_of_speech());
        assert_eq!(stage.lines().contains(&"userSpeechStart".into()), heard, "the louder first: {}", !heard);
        stage.hear(&vec![0; 32_000]);
        stage.wait(Duration::from_secs(2));
    }
}

/// What the user would say, 20 dB down.
fn echo_of_speech() -> Vec<u8> {
    let samples = spoken();
    let (samples, _) = samples.as_chunks::<2>();
    samples.iter().flat_map(|sample| (i16::from_le_bytes(*sample) / 10).to_le_bytes()).collect()
}

/// Reference §2.5.
#[test]
fn a_tool_call_goes_out_whole_and_its_result_comes_back() {
    let mut stage = Stage::open(Brain::Host);
    stage.speak();
    let turn = stage.turn_id();
    stage.take();
    stage
        .act(turn, BrainAction::Call { call_id: 5, name: "getWeather".into(), arguments: r#"{"city":"Oslo"}"#.into() });
    let id = tool_use_id(&stage.out);
    assert_eq!(
        stage.lines(),
        [
            "TEXT USER FINAL",
            "  (1.2 seconds of speech)",
            "/TEXT PARTIAL_TURN",
            "TOOL",
            r#"  getWeather {"city":"Oslo"}"#,
            "/TOOL TOOL_USE"
        ]
    );
    stage.send_all(&[tool_result_start("r", &id), tool_result("r", r#"{"t":21}"#), content_end("r")]);
    assert_eq!(stage.lines(), [r#"result 5 {"t":21}"#]);
    stage.say(turn, "It is 21.", 80);
    stage.act(turn, BrainAction::Done);
    stage.wait(Duration::from_millis(30));
    assert_eq!(stage.lines().last().map(String::as_str), Some("/AUDIO END_TURN"));
    stage.send(&tool_result_start("r2", &id));
    assert!(stage.lines()[0].starts_with("validationException: Invalid input request"));
}

fn tool_use_id(emits: &[Emit]) -> String {
    let id = emits.iter().find_map(|emit| match emit {
        Emit::Event(event) => parsed(event).1["toolUseId"].as_str().map(str::to_owned),
        _ => None,
    });
    id.expect("no toolUse")
}

#[test]
fn a_result_for_a_turn_that_was_spoken_over_is_taken_in_silence() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.act(turn, BrainAction::Call { call_id: 0, name: "getWeather".into(), arguments: "{}".into() });
    let id = tool_use_id(&stage.out);
    stage.type_text("t2", "never mind");
    stage.take();
    stage.send_all(&[tool_result_start("r", &id), tool_result("r", "{}"), content_end("r")]);
    assert_eq!(stage.lines(), [""; 0]);
}

#[test]
fn a_call_waits_for_the_sentence_before_it_and_undeclared_tools_fail_at_once() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.say(turn, "Wait.", 160);
    stage.act(turn, BrainAction::Call { call_id: 0, name: "getWeather".into(), arguments: "{}".into() });
    assert!(!stage.lines().contains(&"TOOL".into()));
    stage.wait(Duration::from_millis(100));
    assert_eq!(stage.lines(), ["audio x1", "/AUDIO PARTIAL_TURN", "TOOL", "  getWeather {}", "/TOOL TOOL_USE"]);
    stage.act(turn, BrainAction::Call { call_id: 1, name: "rmRf".into(), arguments: "{}".into() });
    assert_eq!(stage.lines(), [r#"result 1 {"error":"no tool \"rmRf\" was declared"}"#]);
    stage.act(turn, BrainAction::Done);
    assert_eq!(stage.lines(), ["AUDIO", "/AUDIO END_TURN"], "END_TURN is owed on an audio block");
}

/// The brain of a script with this source.
fn script(source: &str) -> Brain {
    let path = std::env::temp_dir().join(format!("novasonic-dialogue-{}.toml", Uuid::new_v4()));
    std::fs::write(&path, source).unwrap();
    let brain = Brain::load(&BrainChoice::Script(path.clone()));
    std::fs::remove_file(path).unwrap();
    brain.unwrap()
}

#[test]
fn a_script_calls_and_uses_the_result() {
    let mut stage = Stage::open(script(
        "[[turn]]\nheard = \"How warm?\"\n[[turn.step]]\ncall = \"getWeather\"\narguments = { city = \"Oslo\" \
         }\n[[turn.step]]\ndelay_ms = 300\ntext = \"I got {result}\"\ntone_hz = 500\ntone_ms = 80\n",
    ));
    stage.speak();
    let id = tool_use_id(&stage.out);
    assert_eq!(
        stage.lines()[3..],
        [
            "TEXT USER FINAL",
            "  How warm?",
            "/TEXT PARTIAL_TURN",
            "TOOL",
            r#"  getWeather {"city":"Oslo"}"#,
            "/TOOL TOOL_USE"
        ]
    );
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.lines(), [""; 0]);
    stage.send_all(&[tool_result_start("r", &id), tool_result("r", r#"{"t":3}"#), content_end("r")]);
    stage.wait(Duration::from_millis(299));
    assert_eq!(stage.lines(), [""; 0]);
    stage.wait(Duration::from_millis(101));
    assert_eq!(stage.lines()[1], r#"  I got {"t":3}"#);
}

#[test]
fn a_failing_brain_apologises_and_the_stream_lives_on() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.take();
    stage.act(turn, BrainAction::Failed("ZeroDivisionError".into()));
    stage.wait(Duration::from_secs(10));
    let lines = stage.lines();
    assert!(lines.contains(&format!("  {APOLOGY}")) && lines.contains(&"/AUDIO END_TURN".into()));
    assert!(!lines.join("").contains("ZeroDivision"));
    stage.type_text("t2", "y");
    assert_eq!(stage.lines(), ["ask"]);
}

#[test]
fn typed_text_is_answered_only_after_primed_audio() {
    for (fed_ms, answered) in [(0, false), (66, false), (68, true), (100, true)] {
        let mut stage = Stage::new(Brain::Parrot, Settings::default());
        stage.send_all(&[session_start(), prompt_start(), audio_start("a")]);
        stage.send(&audio_input("a", &vec![0; fed_ms * 32]));
        stage.type_text("t", "hello there");
        stage.wait(Duration::from_secs(5));
        let lines = stage.lines();
        assert_eq!(lines.contains(&"  You wrote: hello there".into()), answered, "{fed_ms} ms");
        assert_eq!(lines.is_empty(), !answered);
    }
}

#[test]
fn audio_without_a_role_leaves_the_model_mute() {
    let mut stage = Stage::new(Brain::Parrot, Settings::default());
    stage.send_all(&[session_start(), prompt_start()]);
    stage.send(&event(
        "contentStart",
        &json!({"promptName": PROMPT, "contentName": "a", "type": "AUDIO", "audioInputConfiguration": {"sampleRateHertz": 16_000}}),
    ));
    stage.speak();
    stage.type_text("t", "hello");
    stage.wait(Duration::from_secs(5));
    assert_eq!(stage.lines(), [""; 0]);
}

#[test]
fn a_turn_is_asked_with_all_that_the_stream_carries() {
    let mut stage = Stage::new(Brain::Host, Settings::default());
    stage.send_all(&[session_start(), prompt_start_with("amy", 8_000, &json!([tool("a"), tool("b")]))]);
    stage.send_all(&text_block("s", "SYSTEM", false, "Be kind."));
    stage.send_all(&text_block("u", "USER", false, "hi"));
    stage.send_all(&text_block("v", "ASSISTANT", false, "hello"));
    stage.send(&audio_start("a"));
    stage.speak();
    let Some(Emit::Ask(turn)) = stage.out.last() else { panic!("no turn") };
    assert_eq!((turn.turn_id, turn.stream_id, turn.rate_hz, turn.output_rate_hz), (1, 7, 16_000, 8_000));
    assert_eq!((turn.voice.as_str(), turn.system.as_str(), turn.text.as_deref()), ("amy", "Be kind.", None));
    assert_eq!(turn.history, [("user".into(), "hi".into()), ("assistant".into(), "hello".into())]);
    assert_eq!(turn.tools, ["a", "b"]);
    assert_eq!(turn.tool_choice, ToolChoice::Auto);
    assert!(turn.pcm.windows(32_000).step_by(2).any(|window| window == spoken()));
}

#[test]
fn silence_keeps_a_stream_alive_and_nothing_at_all_ends_it() {
    let mut stage = Stage::open(Brain::Parrot);
    for _ in 0..4 {
        stage.wait(Duration::from_secs(50));
        stage.hear(&[0; 64]);
    }
    assert_eq!(stage.lines(), [""; 0]);
    stage.wait(Duration::from_millis(54_999));
    assert_eq!(stage.lines(), [""; 0]);
    stage.wait(Duration::from_millis(1));
    let lines = stage.lines();
    assert!(lines[0].starts_with("validationException: ") && lines[0].contains("less than 55 seconds"), "{lines:?}");
    assert!(lines[0].contains("Timed out waiting for audio bytes or interactive content"));
    assert_eq!(lines[1..], ["END"]);
    assert_eq!(stage.dialogue.next_deadline(), None);
}

#[test]
fn a_stream_ends_after_eight_minutes() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    stage.take();
    for _ in 0..11 {
        stage.wait(Duration::from_secs(40));
        stage.hear(&[0; 64]);
    }
    stage.wait(Duration::from_millis(39_999));
    assert_eq!(stage.lines(), [""; 0]);
    stage.wait(Duration::from_millis(1));
    assert_eq!(
        stage.lines(),
        [
            "cancel 1",
            "modelTimeoutException: Model has timed out in processing the request. Try your request again.",
            "END"
        ]
    );
}

#[test]
fn limits_beyond_any_clock_are_no_limits() {
    let settings = Settings { idle_limit: Duration::MAX, stream_limit: Duration::MAX, ..Settings::default() };
    let stage = Stage::open_with(Brain::Parrot, settings);
    assert_eq!(stage.dialogue.next_deadline(), None);
}

#[test]
fn closing_ends_the_completion_and_what_was_sent_gets_its_text() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    stage.say(turn, "Whole.", 80);
    stage.say(turn, "one two three four", 1_600);
    stage.say(turn, "Unsent.", 80);
    stage.wait(Duration::from_millis(270));
    stage.take();
    stage.send_all(&[content_end("a"), prompt_end()]);
    assert_eq!(
        stage.lines(),
        ["cancel 1", "/AUDIO END_TURN", "TEXT ASSISTANT FINAL", "  one two", "/TEXT END_TURN", "completionEnd"]
    );
    stage.send(&session_end());
    assert_eq!(stage.lines(), ["END"]);
    stage.dialogue.on_input_end(stage.now, &mut stage.out);
    assert_eq!(stage.lines(), [""; 0]);
}

#[test]
fn a_client_that_goes_cancels_its_turn() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    stage.take();
    stage.dialogue.on_input_end(stage.now, &mut stage.out);
    assert_eq!(stage.lines(), ["cancel 1", "END"]);
}

#[test]
fn bad_payloads_end_the_stream_without_quoting_them() {
    let mut odd = audio_input("a", &[1, 2, 3]);
    let table: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("junk", b"{\"secret words\"".to_vec(), "unparsable", "Unable to parse input chunk"),
        (
            "a number for a name",
            br#"{"event":{"textInput":{"promptName":"p","contentName":"a","content":["secret words"]}}}"#.to_vec(),
            "unparsable",
            "Unable to parse input chunk",
        ),
        ("half a sample", std::mem::take(&mut odd), "audioInput", "half a sample"),
        (
            "not base64",
            event("audioInput", &json!({"promptName": PROMPT, "contentName": "a", "content": "secret words"})),
            "audioInput",
            "not base64",
        ),
        ("too large", text_input("t", &"secret words".repeat(90_000)), "oversized", "1000000"),
    ];
    for (what, payload, name, words) in table {
        let mut stage = Stage::open(Brain::Parrot);
        assert_eq!(stage.send(&payload), name, "{what}");
        let lines = stage.lines();
        assert!(lines[0].starts_with("validationException: ") && lines[0].contains(words), "{what}: {lines:?}");
        assert!(!lines[0].contains("secret"), "{what}: {lines:?}");
        assert_eq!(lines[1..], ["END"], "{what}");
    }
}

#[test]
fn a_brain_that_says_too_much_ahead_is_cut() {
    let mut stage = Stage::open(Brain::Host);
    stage.type_text("t", "x");
    let turn = stage.turn_id();
    let long = Bytes::from(vec![0; MOST_QUEUED_BYTES / 2]);
    for _ in 0..5 {
        stage.act(turn, BrainAction::Say { text: "Long.".into(), pcm: Some(long.clone()) });
    }
    let queued = stage.dialogue.prompt.as_ref().unwrap().speech.queued_bytes();
    assert!(queued <= MOST_QUEUED_BYTES * 3 / 2, "{queued}");
}

/// One thing that a client, its brain or the clock may do.
fn any_step() -> impl Strategy<Value = Step> {
    let name = prop_oneof![Just("a"), Just("b"), Just("s"), Just("t")];
    let role = prop_oneof![Just("SYSTEM"), Just("USER"), Just("ASSISTANT"), Just("TOOL")];
    let sound = prop_oneof![Just(vec![0; 640]), Just(sound::tone(200.0, 200, 16_000)), Just(vec![0; 20_000])];
    prop_oneof![
        4 => (name.clone(), sound).prop_map(|(name, pcm)| Step::Event(audio_input(name, &pcm))),
        2 => (name.clone(), role, any::<bool>()).prop_map(|(name, role, live)| Step::Event(text_start(name, role, live))),
        2 => name.clone().prop_map(|name| Step::Event(text_input(name, "some words"))),
        2 => name.clone().prop_map(|name| Step::Event(content_end(name))),
        1 => name.prop_map(|name| Step::Event(audio_start(name))),
        1 => Just(Step::Event(session_start())),
        1 => Just(Step::Event(prompt_start())),
        1 => Just(Step::Event(prompt_end())),
        1 => Just(Step::Event(session_end())),
        1 => Just(Step::Event(tool_result("t", "{}"))),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Step::Event),
        3 => (0_u64..70_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        3 => (0_u64..4, any::<u8>()).prop_map(|(turn, what)| Step::Act(turn, what)),
        1 => Just(Step::InputEnd),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Event(Vec<u8>),
    Wait(Duration),
    Act(u64, u8),
    InputEnd,
}

/// From an opened stream most steps are legal, from a new one few are: both are tried.
fn random_conversation(opened: bool, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut stage = if opened { Stage::open(Brain::Host) } else { Stage::new(Brain::Parrot, Settings::default()) };
    let mut ended = false;
    let mut open_blocks = std::collections::HashSet::new();
    for step in steps {
        match step {
            Step::Event(payload) => {
                stage.send(&payload);
            }
            Step::Wait(time) => stage.wait(time),
            Step::Act(turn, what) => {
                let action = match what % 5 {
                    0 => BrainAction::Heard("words".into()),
                    1 => BrainAction::Say { text: "A few words.".into(), pcm: None },
                    2 => BrainAction::Call { call_id: 1, name: "getWeather".into(), arguments: "{}".into() },
                    3 => BrainAction::Done,
                    _ => BrainAction::Failed("why".into()),
                };
                stage.act(turn, action);
            }
            Step::InputEnd => stage.dialogue.on_input_end(stage.now, &mut stage.out),
        }
        for emit in stage.take() {
            prop_assert!(!ended, "after the end: {emit:?}");
            match &emit {
                Emit::End => ended = true,
                Emit::Event(event) => {
                    let (name, body) = parsed(event);
                    let id = body["contentId"].as_str().map(str::to_owned);
                    match (name.as_str(), id) {
                        ("contentStart", Some(id)) => prop_assert!(open_blocks.insert(id)),
                        ("contentEnd", Some(id)) => prop_assert!(open_blocks.remove(&id)),
                        (_, Some(id)) => prop_assert!(open_blocks.contains(&id), "{name} outside its block"),
                        (_, None) => {}
                    }
                }
                _ => {}
            }
        }
        prop_assert_eq!(ended, stage.dialogue.next_deadline().is_none());
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_sequence_panics_and_nothing_follows_the_end(
        opened in any::<bool>(), steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        random_conversation(opened, steps)?;
    }
}
