//! The order of one stream's life: which step is legal now, and which events it becomes.
//!
//! opening -> ready -> open -> closed. A stream that is to take over a conversation waits in `ready`: the history it is
//! given is known only when it does. A step is taken whole: its events are complete blocks, so nobody can get between the
//! three events of a text ("Chat history should be sent completely before streaming audio" hits live text, too), and
//! closing leaves nothing half shut. A refused step changes nothing.

use std::collections::HashSet;

use bytes::Bytes;

use super::{
    InputContent, InputEvent, Message, Role, SAMPLE_BYTES, StreamConfig, ToolChoice, encode::json_string_bytes,
    input::Name, split,
};

/// Silence that wakes an audio block. Below 68 ms the model answers no text (measured); 0 ms cannot be closed.
const PRIMING_MS: usize = 100;

/// Audio in one event. The service would take 1,000,000 bytes, but nobody has measured more than 80 ms a write; 100 ms
/// keeps the usual frames (10 to 100 ms) whole, and one large write does not go to the service in one lump.
const MAX_AUDIO_EVENT_MS: usize = 100;

/// Text in one event: a system prompt of 32 KB in one `textInput` was refused, pieces of 4,000 bytes are in production.
const MAX_TEXT_EVENT_BYTES: usize = 4_000;

/// A chunk holds 1,000,000 bytes (`PartBody.bytes`) and a tool result cannot be divided; the rest is for its envelope.
const MAX_TOOL_RESULT_JSON_BYTES: usize = 1_000_000 - 1_000;

/// What the session wants to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// sessionStart, promptStart, SYSTEM block.
    Open,
    /// The earlier conversation, AUDIO contentStart.
    Begin(Vec<Message>),
    /// PCM16LE at the input rate. No samples, no event.
    Audio(Bytes),
    /// Live text of the user (USER, interactive), one whole block. `prime`: no microphone is streaming, so silence goes
    /// before it (the model answers no text on an audio block that sleeps). A block never fed is primed in any case.
    Text { text: String, prime: bool },
    /// One whole TOOL block; `result` is a JSON object.
    ToolResult { tool_use_id: String, result: String },
    /// contentEnd, promptEnd, sessionEnd; an audio block that got no data is fed, since it could not be ended.
    Close,
}

/// A step the protocol does not allow now; names the step, the state and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} is not legal while the stream is {state}: {rule}")]
pub struct IllegalStep {
    pub step: &'static str,
    pub state: &'static str,
    pub rule: &'static str,
}

enum State {
    Opening,
    Ready,
    Open {
        audio: Name,
        /// Audio sent so far, counted up to what priming needs.
        fed_bytes: usize,
        /// Tool uses that have their result; a second one is refused by the service.
        answered: HashSet<String>,
    },
    Closed,
}

pub struct OrderMachine {
    config: StreamConfig,
    prompt: Name,
    new_id: Box<dyn FnMut() -> String + Send>,
    state: State,
}

impl OrderMachine {
    /// `new_id` gives a fresh UUID for each prompt and content name (an argument, so that tests are repeatable).
    pub fn new(config: StreamConfig, mut new_id: Box<dyn FnMut() -> String + Send>) -> Self {
        Self { config, prompt: new_id().into(), new_id, state: State::Opening }
    }

    /// Appends the events of `step` to `out`, or refuses it and leaves the machine as it was.
    pub fn step(&mut self, step: Step, out: &mut Vec<InputEvent>) -> Result<(), IllegalStep> {
        self.check(&step).map_err(|rule| IllegalStep { step: step.name(), state: self.state.name(), rule })?;
        match step {
            Step::Open => self.open(out),
            Step::Begin(history) => self.begin(&history, out),
            Step::Audio(pcm) => self.audio(pcm, out),
            Step::Text { text, prime } => {
                if prime || self.fed_bytes() < self.priming_bytes() {
                    self.audio(self.silence(), out);
                }
                self.text_block(Role::User, true, &text, out);
            }
            Step::ToolResult { tool_use_id, result } => self.tool_block(tool_use_id, result, out),
            Step::Close => self.close(out),
        }
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Names the rule that `step` would break. Nothing is changed before this has passed.
    fn check(&self, step: &Step) -> Result<(), &'static str> {
        match (&self.state, step) {
            (State::Closed, _) => Err("nothing follows sessionEnd"),
            (State::Opening, Step::Open) => check_config(&self.config),
            (State::Opening, _) => Err("sessionStart and promptStart come first"),
            (State::Ready | State::Open { .. }, Step::Open) => Err("a stream is opened once"),
            (State::Ready, Step::Begin(history)) => check_history(history),
            (State::Open { .. }, Step::Begin(_)) => Err("history comes before audio, once"),
            (State::Ready, _) => Err("the audio block is not open yet"),
            (State::Open { .. }, Step::Audio(pcm)) => {
                if pcm.len() % SAMPLE_BYTES == 0 {
                    Ok(())
                } else {
                    Err("PCM16 has an even number of bytes")
                }
            }
            (State::Open { .. }, Step::Text { text, .. }) => {
                if text.is_empty() {
                    Err("a content block without data cannot be ended")
                } else {
                    Ok(())
                }
            }
            (State::Open { answered, .. }, Step::ToolResult { tool_use_id, result }) => {
                check_tool_result(answered, tool_use_id, result)
            }
            (State::Open { .. }, Step::Close) => Ok(()),
        }
    }

    fn open(&mut self, out: &mut Vec<InputEvent>) {
        out.push(InputEvent::SessionStart {
            max_tokens: self.config.max_tokens,
            top_p: self.config.top_p,
            temperature: self.config.temperature,
            sensitivity: self.config.sensitivity,
        });
        out.push(InputEvent::PromptStart {
            prompt: self.prompt.clone(),
            voice: self.config.voice.clone(),
            output_rate: self.config.output_rate,
            tools: std::mem::take(&mut self.config.tools),
            tool_choice: std::mem::take(&mut self.config.tool_choice),
        });
        // Said once: what was said is not kept for the life of the stream.
        let system = self.config.system.take().filter(|system| !system.is_empty());
        if let Some(system) = system {
            self.text_block(Role::System, false, &system, out);
        }
        self.state = State::Ready;
    }

    fn begin(&mut self, history: &[Message], out: &mut Vec<InputEvent>) {
        for message in history {
            self.text_block(message.role, false, &message.text, out);
        }
        let audio = self.start_block(InputContent::Audio { rate: self.config.input_rate }, out);
        self.state = State::Open { audio, fed_bytes: 0, answered: HashSet::new() };
    }

    fn audio(&mut self, mut pcm: Bytes, out: &mut Vec<InputEvent>) {
        let priming_bytes = self.priming_bytes();
        let largest = self.bytes_of_ms(MAX_AUDIO_EVENT_MS);
        if let State::Open { audio, fed_bytes, .. } = &mut self.state {
            *fed_bytes = fed_bytes.saturating_add(pcm.len()).min(priming_bytes);
            while !pcm.is_empty() {
                let piece = pcm.split_to(largest.min(pcm.len()));
                out.push(InputEvent::AudioInput { prompt: self.prompt.clone(), content: audio.clone(), pcm: piece });
            }
        }
    }

    fn text_block(&mut self, role: Role, interactive: bool, text: &str, out: &mut Vec<InputEvent>) {
        let content = self.start_block(InputContent::Text { role, interactive }, out);
        for piece in split::utf8_pieces(text, MAX_TEXT_EVENT_BYTES) {
            out.push(InputEvent::TextInput {
                prompt: self.prompt.clone(),
                content: content.clone(),
                text: piece.to_owned(),
            });
        }
        out.push(InputEvent::ContentEnd { prompt: self.prompt.clone(), content });
    }

    fn tool_block(&mut self, tool_use_id: String, result: String, out: &mut Vec<InputEvent>) {
        let content = self.start_block(InputContent::ToolResult { tool_use_id: tool_use_id.clone() }, out);
        out.push(InputEvent::ToolResult { prompt: self.prompt.clone(), content: content.clone(), result });
        out.push(InputEvent::ContentEnd { prompt: self.prompt.clone(), content });
        if let State::Open { answered, .. } = &mut self.state {
            answered.insert(tool_use_id);
        }
    }

    fn close(&mut self, out: &mut Vec<InputEvent>) {
        if self.fed_bytes() == 0 {
            self.audio(self.silence(), out);
        }
        if let State::Open { audio, .. } = std::mem::replace(&mut self.state, State::Closed) {
            out.push(InputEvent::ContentEnd { prompt: self.prompt.clone(), content: audio });
        }
        out.push(InputEvent::PromptEnd { prompt: self.prompt.clone() });
        out.push(InputEvent::SessionEnd);
    }

    /// A block's name is made here and nowhere else: names are never used twice.
    fn start_block(&mut self, kind: InputContent, out: &mut Vec<InputEvent>) -> Name {
        let content: Name = (self.new_id)().into();
        out.push(InputEvent::ContentStart { prompt: self.prompt.clone(), content: content.clone(), kind });
        content
    }

    fn fed_bytes(&self) -> usize {
        match &self.state {
            State::Open { fed_bytes, .. } => *fed_bytes,
            State::Opening | State::Ready | State::Closed => 0,
        }
    }

    fn silence(&self) -> Bytes {
        Bytes::from(vec![0; self.priming_bytes()])
    }

    fn priming_bytes(&self) -> usize {
        self.bytes_of_ms(PRIMING_MS)
    }

    fn bytes_of_ms(&self, ms: usize) -> usize {
        // All rates are multiples of 1,000 Hz.
        self.config.input_rate.hz() as usize / 1_000 * ms * SAMPLE_BYTES
    }
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Begin(_) => "begin",
            Self::Audio(_) => "audio",
            Self::Text { .. } => "text",
            Self::ToolResult { .. } => "tool result",
            Self::Close => "close",
        }
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Ready => "ready",
            Self::Open { .. } => "open",
            Self::Closed => "closed",
        }
    }
}

fn check_config(config: &StreamConfig) -> Result<(), &'static str> {
    let fraction = |value: Option<f64>| value.is_none_or(|value| (0.0..=1.0).contains(&value));
    if !fraction(config.top_p) {
        return Err("topP is a number from 0 to 1");
    }
    if !fraction(config.temperature) {
        return Err("temperature is a number from 0 to 1");
    }
    check_tools(config)
}

fn check_history(history: &[Message]) -> Result<(), &'static str> {
    if history.iter().any(|message| !matches!(message.role, Role::User | Role::Assistant)) {
        return Err("history holds USER and ASSISTANT messages only");
    }
    if history.first().is_some_and(|message| message.role != Role::User) {
        return Err("history begins with USER");
    }
    if history.iter().any(|message| message.text.is_empty()) {
        return Err("a message of history has text");
    }
    Ok(())
}

fn check_tools(config: &StreamConfig) -> Result<(), &'static str> {
    if config.tools.iter().any(|tool| tool.name.is_empty()) {
        return Err("a tool has a name");
    }
    if !config.tools.iter().all(|tool| is_json_object(&tool.schema)) {
        return Err("a tool's schema is a JSON object");
    }
    let declared = |name: &str| config.tools.iter().any(|tool| tool.name == name);
    match &config.tool_choice {
        ToolChoice::Any if config.tools.is_empty() => Err("a tool can be demanded only where there are tools"),
        ToolChoice::Tool(name) if !declared(name) => Err("the tool demanded is not among the tools"),
        ToolChoice::Auto | ToolChoice::Any | ToolChoice::Tool(_) => Ok(()),
    }
}

fn check_tool_result(answered: &HashSet<String>, tool_use_id: &str, result: &str) -> Result<(), &'static str> {
    if answered.contains(tool_use_id) {
        return Err("a tool use has exactly one result");
    }
    tool_result_fault(result).map_or(Ok(()), Err)
}

/// The rule that `result` breaks, for those who must know before they hand it over. The service answers anything but
/// an object with "Tool Response parsing error" and may end the stream.
pub fn tool_result_fault(result: &str) -> Option<&'static str> {
    if !is_json_object(result) {
        return Some("a tool result is a JSON object");
    }
    (json_string_bytes(result) > MAX_TOOL_RESULT_JSON_BYTES)
        .then_some("a tool result fits into one chunk of 1,000,000 bytes")
}

fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
