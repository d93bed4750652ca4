mod order;

use std::collections::HashMap;

use super::*;
use crate::protocol::{EndpointingSensitivity, Message, SampleRate, ToolSpec};

fn config() -> StreamConfig {
    StreamConfig {
        system: None,
        voice: "tiffany".to_owned(),
        input_rate: SampleRate::Hz16000,
        output_rate: SampleRate::Hz24000,
        sensitivity: None,
        max_tokens: None,
        top_p: None,
        temperature: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
    }
}

fn message(role: Role, text: &str) -> Message {
    Message { role, text: text.to_owned() }
}

fn tool(name: &str, schema: &str) -> ToolSpec {
    ToolSpec { name: name.to_owned(), description: "Looks it up.".to_owned(), schema: schema.to_owned() }
}

fn machine(config: StreamConfig) -> OrderMachine {
    let mut ids = 0;
    let new_id = move || {
        ids += 1;
        format!("id-{ids}")
    };
    OrderMachine::new(config, Box::new(new_id))
}

fn opened(config: StreamConfig) -> OrderMachine {
    let mut machine = machine(config);
    machine.step(Step::Open, &mut Vec::new()).expect("legal");
    machine.step(Step::Begin(Vec::new()), &mut Vec::new()).expect("legal");
    machine
}

fn events(machine: &mut OrderMachine, step: Step) -> Vec<InputEvent> {
    let mut out = Vec::new();
    machine.step(step, &mut out).expect("legal");
    out
}

#[track_caller]
fn refused(machine: &mut OrderMachine, step: Step) -> IllegalStep {
    let mut out = Vec::new();
    let refusal = machine.step(step, &mut out).expect_err("illegal");
    assert_eq!(out, []);
    refusal
}

fn text(text: &str) -> Step {
    Step::Text { text: text.to_owned(), prime: false }
}

fn pcm(bytes: usize) -> Step {
    Step::Audio(vec![1; bytes].into())
}

fn tool_result(tool_use_id: &str, result: &str) -> Step {
    Step::ToolResult { tool_use_id: tool_use_id.to_owned(), result: result.to_owned() }
}

/// A whole life, event for event.
#[test]
fn a_life_in_order() {
    let mut machine = machine(StreamConfig {
        system: Some("Be brief.".to_owned()),
        sensitivity: Some(EndpointingSensitivity::Low),
        max_tokens: Some(1_024),
        top_p: Some(0.9),
        temperature: Some(0.7),
        tools: vec![tool("lookUp", "{}")],
        tool_choice: ToolChoice::Any,
        ..config()
    });
    let prompt: Name = "id-1".into();
    let name = |n: u32| -> Name { format!("id-{n}").into() };
    let start = |n, kind| InputEvent::ContentStart { prompt: prompt.clone(), content: name(n), kind };
    let start_text = |n, role, interactive| start(n, InputContent::Text { role, interactive });
    let text_input =
        |n, text: &str| InputEvent::TextInput { prompt: prompt.clone(), content: name(n), text: text.to_owned() };
    let end = |n| InputEvent::ContentEnd { prompt: prompt.clone(), content: name(n) };
    let audio = |n, pcm: &[u8]| InputEvent::AudioInput {
        prompt: prompt.clone(),
        content: name(n),
        pcm: Bytes::copy_from_slice(pcm),
    };

    assert_eq!(
        events(&mut machine, Step::Open),
        [
            InputEvent::SessionStart {
                max_tokens: Some(1_024),
                top_p: Some(0.9),
                temperature: Some(0.7),
                sensitivity: Some(EndpointingSensitivity::Low),
            },
            InputEvent::PromptStart {
                prompt: prompt.clone(),
                voice: "tiffany".to_owned(),
                output_rate: SampleRate::Hz24000,
                tools: vec![tool("lookUp", "{}")],
                tool_choice: ToolChoice::Any,
            },
            start_text(2, Role::System, false),
            text_input(2, "Be brief."),
            end(2),
        ]
    );
    assert_eq!(
        events(&mut machine, Step::Begin(vec![message(Role::User, "Hi."), message(Role::Assistant, "Hello.")])),
        [
            start_text(3, Role::User, false),
            text_input(3, "Hi."),
            end(3),
            start_text(4, Role::Assistant, false),
            text_input(4, "Hello."),
            end(4),
            start(5, InputContent::Audio { rate: SampleRate::Hz16000 }),
        ]
    );
    assert_eq!(events(&mut machine, pcm(3_200)), [audio(5, &[1; 3_200])]);
    assert_eq!(
        events(&mut machine, text("Go on.")),
        [start_text(6, Role::User, true), text_input(6, "Go on."), end(6)]
    );
    assert_eq!(
        events(&mut machine, tool_result("use", r#"{"ok":true}"#)),
        [
            start(7, InputContent::ToolResult { tool_use_id: "use".to_owned() }),
            InputEvent::ToolResult { prompt: prompt.clone(), content: name(7), result: r#"{"ok":true}"#.to_owned() },
            end(7),
        ]
    );
    assert!(!machine.is_closed());
    assert_eq!(
        events(&mut machine, Step::Close),
        [end(5), InputEvent::PromptEnd { prompt: prompt.clone() }, InputEvent::SessionEnd]
    );
    assert!(machine.is_closed());
}

#[test]
fn a_refusal_names_step_state_and_rule() {
    let mut machine = machine(config());
    assert_eq!(
        refused(&mut machine, pcm(2)).to_string(),
        "audio is not legal while the stream is opening: sessionStart and promptStart come first"
    );
    events(&mut machine, Step::Open);
    assert_eq!(
        refused(&mut machine, Step::Open).to_string(),
        "open is not legal while the stream is ready: a stream is opened once"
    );
    assert_eq!(
        refused(&mut machine, Step::Close).to_string(),
        "close is not legal while the stream is ready: the audio block is not open yet"
    );
    events(&mut machine, Step::Begin(Vec::new()));
    assert_eq!(
        refused(&mut machine, Step::Begin(Vec::new())).to_string(),
        "begin is not legal while the stream is open: history comes before audio, once"
    );
    assert_eq!(refused(&mut machine, pcm(3)).rule, "PCM16 has an even number of bytes");
    assert_eq!(refused(&mut machine, text("")).rule, "a content block without data cannot be ended");
    events(&mut machine, Step::Close);
    assert_eq!(
        refused(&mut machine, Step::Close).to_string(),
        "close is not legal while the stream is closed: nothing follows sessionEnd"
    );
}

#[test]
fn a_configuration_the_service_would_refuse_is_not_sent() {
    let numbers = [(Some(1.1), None), (Some(f64::NAN), None), (None, Some(-0.1)), (None, Some(f64::INFINITY))];
    for (top_p, temperature) in numbers {
        refused(&mut machine(StreamConfig { top_p, temperature, ..config() }), Step::Open);
    }
    let histories = [
        (vec![message(Role::Assistant, "Hello.")], "history begins with USER"),
        (vec![message(Role::User, "Hi."), message(Role::Tool, "{}")], "history holds USER and ASSISTANT messages only"),
        (vec![message(Role::System, "Be brief.")], "history holds USER and ASSISTANT messages only"),
        (vec![message(Role::User, "")], "a message of history has text"),
    ];
    for (history, rule) in histories {
        let mut machine = machine(config());
        events(&mut machine, Step::Open);
        assert_eq!(refused(&mut machine, Step::Begin(history)).rule, rule);
    }
    let tools = [
        (vec![tool("", "{}")], ToolChoice::Auto, "a tool has a name"),
        (vec![tool("a", "[]")], ToolChoice::Auto, "a tool's schema is a JSON object"),
        (vec![tool("a", "{")], ToolChoice::Auto, "a tool's schema is a JSON object"),
        (Vec::new(), ToolChoice::Any, "a tool can be demanded only where there are tools"),
        (vec![tool("a", "{}")], ToolChoice::Tool("b".into()), "the tool demanded is not among the tools"),
    ];
    for (tools, tool_choice, rule) in tools {
        assert_eq!(refused(&mut machine(StreamConfig { tools, tool_choice, ..config() }), Step::Open).rule, rule);
    }
    for tool_choice in [ToolChoice::Auto, ToolChoice::Any, ToolChoice::Tool("a".into())] {
        opened(StreamConfig { tools: vec![tool("a", "{}")], tool_choice, ..config() });
    }
}

#[test]
fn an_empty_system_prompt_is_none() {
    let with_empty = events(&mut machine(StreamConfig { system: Some(String::new()), ..config() }), Step::Open);
    assert_eq!(with_empty, events(&mut machine(config()), Step::Open));
}

#[test]
fn long_text_is_cut_between_characters() {
    // Three bytes each, so that 4,000 falls inside one.
    let long = "\u{20ac}".repeat(3_000);
    let mut machine = machine(StreamConfig { system: Some(long.clone()), ..config() });
    let mut out = events(&mut machine, Step::Open);
    out.extend(events(&mut machine, Step::Begin(vec![message(Role::User, &long)])));
    out.extend(events(&mut machine, text(&long)));
    let mut texts: HashMap<Name, String> = HashMap::new();
    for event in out {
        if let InputEvent::TextInput { content, text, .. } = event {
            assert!(text.len() <= MAX_TEXT_EVENT_BYTES, "{} bytes", text.len());
            texts.entry(content).or_default().push_str(&text);
        }
    }
    assert_eq!(texts.into_values().collect::<Vec<_>>(), [long.as_str(); 3]);
}

#[test]
fn live_text_wakes_an_audio_block_that_sleeps() {
    let silence = |events: &[InputEvent]| match events.first() {
        Some(InputEvent::AudioInput { pcm, .. }) => {
            assert!(pcm.iter().all(|byte| *byte == 0));
            pcm.len()
        }
        _ => 0,
    };
    for (rate, priming_bytes) in
        [(SampleRate::Hz8000, 1_600), (SampleRate::Hz16000, 3_200), (SampleRate::Hz24000, 4_800)]
    {
        let config = || StreamConfig { input_rate: rate, ..config() };
        // Never fed, then fed by the priming itself.
        let mut machine = opened(config());
        assert_eq!(silence(&events(&mut machine, text("Hi."))), priming_bytes);
        assert_eq!(silence(&events(&mut machine, text("Hi."))), 0);
        // On request, fed or not.
        let prime = Step::Text { text: "Hi.".to_owned(), prime: true };
        assert_eq!(silence(&events(&mut machine, prime)), priming_bytes);
        // Fed too little, then enough.
        let mut machine = opened(config());
        events(&mut machine, pcm(priming_bytes - 2));
        assert_eq!(silence(&events(&mut machine, text("Hi."))), priming_bytes);
        let mut machine = opened(config());
        events(&mut machine, pcm(priming_bytes - 2));
        events(&mut machine, pcm(2));
        assert_eq!(silence(&events(&mut machine, text("Hi."))), 0);
    }
}

#[test]
fn a_block_without_data_is_fed_before_it_is_ended() {
    let [InputEvent::AudioInput { pcm: fed, .. }, InputEvent::ContentEnd { .. }, ..] =
        &events(&mut opened(config()), Step::Close)[..]
    else {
        panic!("no silence");
    };
    assert_eq!(fed, &[0; 3_200][..]);
    let mut machine = opened(config());
    events(&mut machine, pcm(2));
    assert!(matches!(events(&mut machine, Step::Close)[0], InputEvent::ContentEnd { .. }));
}

#[test]
fn tool_results_the_service_cannot_parse_are_refused() {
    let mut machine = opened(config());
    for result in ["", "sunny", "[1]", "7", "\"{}\"", "{", "{}{}", "{a:1}"] {
        assert_eq!(refused(&mut machine, tool_result("use", result)).rule, "a tool result is a JSON object");
    }
    let too_long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000_000));
    refused(&mut machine, tool_result("use", &too_long));
    // Half as long, but each quote doubles in the string that carries it.
    let too_long = format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(200_000));
    refused(&mut machine, tool_result("use", &too_long));
    // The longest there is: its JSON string, quotes escaped and its own added, has 999,000 bytes.
    let longest = |filling: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(999_000 - 14 + filling));
    refused(&mut machine, tool_result("longest", &longest(1)));
    events(&mut machine, tool_result("longest", &longest(0)));
    events(&mut machine, tool_result("use", " {}\n"));
    assert_eq!(refused(&mut machine, tool_result("use", "{}")).rule, "a tool use has exactly one result");
    events(&mut machine, tool_result("another use", "{}"));
}
