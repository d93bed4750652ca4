//! Any steps in any order: what the order machine lets through is legal to the emulator's rules, which were written
//! apart from it; what it refuses leaves no event; and nothing follows the end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use novasonic_fuzz::{
    emulator::Judge,
    protocol::{
        EndpointingSensitivity, InputEvent, Message, OrderMachine, Role, SampleRate, Step, StreamConfig, ToolChoice,
        ToolSpec, encode,
    },
};

/// `PartBody.bytes`.
const MAX_EVENT_BYTES: usize = 1_000_000;

#[derive(Arbitrary, Debug)]
struct Life<'a> {
    config: Config<'a>,
    steps: Vec<Act<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Config<'a> {
    system: Option<&'a str>,
    rates: (u8, u8),
    sensitivity: u8,
    max_tokens: Option<u16>,
    fractions: (Option<f64>, Option<f64>),
    tools: Vec<(&'a str, &'a str)>,
    choice: (u8, &'a str),
}

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    Open,
    Begin(Vec<(bool, &'a str)>),
    Audio(u16),
    Text(&'a str, bool),
    Result(u8, Option<&'a str>),
    Close,
}

fuzz_target!(|life: Life<'_>| {
    let mut ids = 0;
    let new_id = move || {
        ids += 1;
        format!("id-{ids}")
    };
    let Some(config) = config(&life.config) else { return };
    let mut machine = OrderMachine::new(config, Box::new(new_id));
    let mut judge = Judge::default();
    let mut called = std::collections::HashSet::new();
    for act in life.steps {
        let (step, opens) = match act {
            Act::Open => (Step::Open, true),
            Act::Begin(history) => {
                let role = |user| if user { Role::User } else { Role::Assistant };
                let said = |(user, text): (bool, &str)| Message { role: role(user), text: text.to_owned() };
                (Step::Begin(history.into_iter().map(said).collect()), false)
            }
            Act::Audio(bytes) => (Step::Audio(vec![1; bytes.into()].into()), false),
            Act::Text(text, prime) => (Step::Text { text: text.to_owned(), prime }, false),
            Act::Result(_, Some(result)) if !is_plain(result) => continue,
            Act::Result(id, result) => {
                let result = result.unwrap_or(r#"{"a":1}"#).to_owned();
                let tool_use_id = format!("use-{id}");
                // The model called it before; the rules want one call for one result.
                if called.insert(id) {
                    judge.tool_called(&tool_use_id);
                }
                (Step::ToolResult { tool_use_id, result }, false)
            }
            Act::Close => (Step::Close, false),
        };
        let was_closed = machine.is_closed();
        let mut out = Vec::new();
        match machine.step(step, &mut out) {
            Ok(()) => assert!(!was_closed, "a step after the end"),
            Err(_) => assert!(out.is_empty(), "a refused step left events"),
        }
        assert!(!opens || out.first().is_none_or(|first| matches!(first, InputEvent::SessionStart { .. })));
        for event in out {
            let json = encode(&event);
            assert!(json.len() <= MAX_EVENT_BYTES);
            let refusal = judge.refusal(&json);
            assert_eq!(refusal, None, "{}", String::from_utf8_lossy(&json));
        }
    }
});

/// Not `{"a":1e999}` or `{"a":"\ud800"}`: JSON by its grammar, which is all the machine asks for, and no value to the
/// emulator's parser. What the service makes of them is not recorded.
fn is_plain(text: &str) -> bool {
    !text.trim_start().starts_with('{')
        || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
        || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

/// None where the rules refuse what the machine does not look at: names of tools.
fn config(from: &Config<'_>) -> Option<StreamConfig> {
    const RATES: [SampleRate; 3] = [SampleRate::Hz8000, SampleRate::Hz16000, SampleRate::Hz24000];
    let rate = |n: u8| RATES[usize::from(n) % RATES.len()];
    let mut names = std::collections::HashSet::new();
    let is_name = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if !from.tools.iter().all(|(name, schema)| is_name(name) && names.insert(*name) && is_plain(schema)) {
        return None;
    }
    Some(StreamConfig {
        system: from.system.map(str::to_owned),
        voice: "tiffany".to_owned(),
        input_rate: rate(from.rates.0),
        output_rate: rate(from.rates.1),
        sensitivity: match from.sensitivity % 4 {
            0 => None,
            1 => Some(EndpointingSensitivity::High),
            2 => Some(EndpointingSensitivity::Medium),
            _ => Some(EndpointingSensitivity::Low),
        },
        max_tokens: from.max_tokens.map(|tokens| u32::from(tokens) + 1),
        top_p: from.fractions.0,
        temperature: from.fractions.1,
        tools: from
            .tools
            .iter()
            .map(|(name, schema)| ToolSpec {
                name: (*name).to_owned(),
                description: "Does it.".to_owned(),
                schema: (*schema).to_owned(),
            })
            .collect(),
        tool_choice: match from.choice.0 % 3 {
            0 => ToolChoice::Auto,
            1 => ToolChoice::Any,
            _ => ToolChoice::Tool(from.choice.1.to_owned()),
        },
    })
}
