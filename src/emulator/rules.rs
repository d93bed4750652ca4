//! The order a client must keep, and the service's own words where it does not (reference §1.7, §4, §5.2).
//!
//! Written from the reference alone. It also gathers each block, so that the dialogue learns what a client meant
//! rather than what it sent. Where the service answers with its catch-all text, what exactly was wrong follows in
//! brackets: a developer has nothing else to go by.

mod prompt;
mod tools;

use std::collections::{HashMap, HashSet};

use super::{
    input::{Content, ContentStart, Event, Kind, PromptStart, Role, SessionStart},
    settings::ToolChoice,
};
use tools::{TOOL_RESPONSE, Tools};

/// `PartBody.bytes`: one event's JSON.
pub(super) const MAX_EVENT_BYTES: usize = 1_000_000;
/// One history message, in UTF-8 (50 KB).
const MAX_MESSAGE_BYTES: usize = 50 * 1_024;
/// The whole history (200 KB).
const MAX_HISTORY_BYTES: usize = 200 * 1_024;
/// One SYSTEM textInput of about this size was refused; clients split at 4 KB.
const MAX_SYSTEM_INPUT_BYTES: usize = 32 * 1_024;
/// Ours: no number is published for the whole of a system prompt, and a judge needs some bound.
const MAX_SYSTEM_BYTES: usize = 1_000_000;

const CATCH_ALL: &str = "Invalid input request, please fix your input and try again.";
const HISTORY_FIRST: &str = "Chat history should be sent completely before streaming audio.";
const HISTORY_TOO_LONG: &str = "Chat history is over max limit. Trim chat history and try again.";
const NO_PROMPT: &str = "No open prompt found";
const NO_CONTENT: &str = "No open content found";

/// Why the stream ends: the message of a validationException.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    fn said(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn because(text: &str, detail: impl std::fmt::Display) -> Self {
        Self(format!("{text} (emulator: {detail})"))
    }

    pub(super) fn invalid(detail: impl std::fmt::Display) -> Self {
        Self::because(CATCH_ALL, detail)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensitivity {
    High,
    Medium,
    Low,
}

/// What a legal event means to the conversation.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning<'a> {
    Nothing,
    Session(Sensitivity),
    Prompt {
        name: String,
        rate_hz: u32,
        voice: String,
        tools: Vec<String>,
        tool_choice: ToolChoice,
    },
    AudioOpened {
        rate_hz: u32,
        role_given: bool,
    },
    /// Base64.
    Audio(&'a str),
    System(String),
    History(Role, String),
    /// Typed by the user: the model answers.
    Typed(String),
    ToolResult {
        tool_use_id: String,
        content: String,
    },
    PromptEnded,
    SessionEnded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    New,
    Session,
    Prompt,
    PromptEnded,
    SessionEnded,
}

#[derive(Debug)]
struct OpenBlock {
    purpose: Purpose,
    text: String,
    fed: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Purpose {
    System,
    History(Role),
    Typed,
    /// Taken, and without effect (reference §1.3): script hints, notes and ASSISTANT text once audio flows.
    Ignored,
    ToolResult(String),
    /// The role is still to come, on textInput.
    RoleLess {
        interactive: bool,
    },
}

#[derive(Debug)]
struct OpenAudio {
    name: String,
    fed: bool,
}

#[derive(Debug)]
pub(super) struct Rules {
    phase: Phase,
    prompt: String,
    used_names: HashSet<String>,
    open: HashMap<String, OpenBlock>,
    open_texts: usize,
    open_audio: Option<OpenAudio>,
    /// An audio block was opened once: history is over.
    audio_opened: bool,
    system_seen: bool,
    history_begun: bool,
    history_bytes: usize,
    tools: Tools,
}

impl Rules {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::New,
            prompt: String::new(),
            used_names: HashSet::new(),
            open: HashMap::new(),
            open_texts: 0,
            open_audio: None,
            audio_opened: false,
            system_seen: false,
            history_begun: false,
            history_bytes: 0,
            tools: Tools::default(),
        }
    }

    /// The model called a tool: exactly one result may come for it.
    pub(super) fn tool_called(&mut self, tool_use_id: &str) {
        self.tools.called(tool_use_id);
    }

    pub(super) fn accept<'a>(&mut self, event: &'a Event<'_>) -> Result<Meaning<'a>, Refusal> {
        match event {
            Event::AudioInput(content) => self.audio_input(content),
            Event::TextInput(content) => self.text_input(content),
            Event::ToolResult(content) => self.tool_result(content),
            Event::ContentStart(start) => self.content_start(start),
            Event::ContentEnd(end) => self.content_end(&end.prompt_name, &end.content_name),
            Event::SessionStart(start) => self.session_start(start),
            Event::PromptStart(start) => self.prompt_start(start),
            Event::PromptEnd(end) => self.prompt_end(&end.prompt_name),
            Event::SessionEnd(_) => self.session_end(),
            Event::ConnectionEnd(_) => Ok(Meaning::Nothing),
        }
    }

    fn session_start<'a>(&mut self, start: &SessionStart<'_>) -> Result<Meaning<'a>, Refusal> {
        if self.phase != Phase::New {
            return Err(Refusal::invalid("sessionStart was sent before"));
        }
        if start.endpointing_sensitivity.is_some() {
            return Err(Refusal::invalid("endpointingSensitivity belongs into turnDetectionConfiguration"));
        }
        if let Some(inference) = &start.inference_configuration {
            if inference.max_tokens == Some(0) {
                return Err(Refusal::invalid("maxTokens is 0"));
            }
            for (name, value) in [("topP", inference.top_p), ("temperature", inference.temperature)] {
                if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                    return Err(Refusal::invalid(format_args!("{name} is outside 0 to 1")));
                }
            }
        }
        let sensitivity =
            start.turn_detection_configuration.as_ref().and_then(|turn| turn.endpointing_sensitivity.as_deref());
        let sensitivity = match sensitivity {
            Some("HIGH") => Sensitivity::High,
            None | Some("MEDIUM") => Sensitivity::Medium,
            Some("LOW") => Sensitivity::Low,
            Some(_) => return Err(Refusal::invalid("endpointingSensitivity is not HIGH, MEDIUM or LOW")),
        };
        self.phase = Phase::Session;
        Ok(Meaning::Session(sensitivity))
    }

    fn prompt_start<'a>(&mut self, start: &PromptStart<'_>) -> Result<Meaning<'a>, Refusal> {
        if self.phase != Phase::Session {
            return Err(Refusal::invalid(if self.phase == Phase::New {
                "promptStart before sessionStart"
            } else {
                "a stream has one prompt, and promptStart was sent before"
            }));
        }
        let (rate_hz, voice) = prompt::output(start)?;
        let (tools, tool_choice) = tools::declared(start)?;
        self.phase = Phase::Prompt;
        self.prompt = start.prompt_name.clone().into_owned();
        Ok(Meaning::Prompt { name: self.prompt.clone(), rate_hz, voice, tools, tool_choice })
    }

    fn content_start<'a>(&mut self, start: &ContentStart<'_>) -> Result<Meaning<'a>, Refusal> {
        self.check_prompt(&start.prompt_name)?;
        if self.used_names.contains(start.content_name.as_ref()) {
            return Err(Refusal::invalid("contentName was used before in this prompt"));
        }
        let name = start.content_name.clone().into_owned();
        let (purpose, meaning) = match start.kind {
            Kind::Audio => return self.open_audio(start, name),
            Kind::Tool => (Purpose::ToolResult(self.tools.result_for(start)?), Meaning::Nothing),
            Kind::Text => {
                let purpose = match start.role {
                    Some(role) => self.purpose(role, start.interactive)?,
                    None => Purpose::RoleLess { interactive: start.interactive },
                };
                self.open_texts += 1;
                (purpose, Meaning::Nothing)
            }
        };
        self.used_names.insert(name.clone());
        self.open.insert(name, OpenBlock { purpose, text: String::new(), fed: false });
        Ok(meaning)
    }

    fn open_audio<'a>(&mut self, start: &ContentStart<'_>, name: String) -> Result<Meaning<'a>, Refusal> {
        if self.open_texts > 0 {
            return Err(Refusal::said(HISTORY_FIRST));
        }
        if self.open_audio.is_some() {
            return Err(Refusal::invalid("an audio content is open already"));
        }
        let Some(format) = &start.audio_input_configuration else {
            return Err(Refusal::invalid("AUDIO contentStart without audioInputConfiguration"));
        };
        prompt::check_format("audioInputConfiguration", format)?;
        if !matches!(start.role, None | Some(Role::User)) {
            return Err(Refusal::invalid("the role of AUDIO is USER"));
        }
        self.used_names.insert(name.clone());
        self.open_audio = Some(OpenAudio { name, fed: false });
        self.audio_opened = true;
        Ok(Meaning::AudioOpened { rate_hz: format.sample_rate_hertz, role_given: start.role.is_some() })
    }

    /// What a TEXT block is for: it depends on the role and on whether audio has begun (reference §1.3).
    fn purpose(&mut self, role: Role, interactive: bool) -> Result<Purpose, Refusal> {
        match role {
            Role::System if self.system_seen => {
                Err(Refusal::said("Duplicate SYSTEM content. SYSTEM content can only be provided once per prompt"))
            }
            Role::System | Role::SystemSpeech if self.audio_opened => Err(Refusal::said(HISTORY_FIRST)),
            Role::System | Role::SystemSpeech if self.history_begun => {
                Err(Refusal::invalid("SYSTEM content belongs before the history"))
            }
            Role::System => {
                self.system_seen = true;
                Ok(Purpose::System)
            }
            Role::SystemSpeech => Ok(Purpose::Ignored),
            Role::User if self.audio_opened && interactive => Ok(Purpose::Typed),
            // Several applications send notes this way; nobody saw an effect.
            Role::User if self.audio_opened => Ok(Purpose::Ignored),
            Role::Assistant if self.audio_opened && interactive => Ok(Purpose::Ignored),
            Role::Assistant if self.audio_opened => Err(Refusal::said(HISTORY_FIRST)),
            Role::Assistant if !self.history_begun => {
                Err(Refusal::invalid("the first message of the history must be USER"))
            }
            // `interactive` says nothing here: AWS's own sample of a history has it true.
            Role::User | Role::Assistant => {
                self.history_begun = true;
                Ok(Purpose::History(role))
            }
            Role::Tool => Err(Refusal::invalid("TEXT content cannot have the role TOOL")),
        }
    }

    fn audio_input<'a>(&mut self, content: &'a Content<'_>) -> Result<Meaning<'a>, Refusal> {
        self.check_prompt(&content.prompt_name)?;
        if self.open_texts > 0 {
            return Err(Refusal::said(HISTORY_FIRST));
        }
        match &mut self.open_audio {
            Some(audio) if audio.name == content.content_name => {
                audio.fed |= !content.content.is_empty();
                Ok(Meaning::Audio(&content.content))
            }
            _ => Err(Refusal::said(NO_CONTENT)),
        }
    }

    fn text_input<'a>(&mut self, content: &Content<'_>) -> Result<Meaning<'a>, Refusal> {
        self.check_prompt(&content.prompt_name)?;
        let name = content.content_name.as_ref();
        if let Some(OpenBlock { purpose: Purpose::RoleLess { interactive }, .. }) = self.open.get(name) {
            let interactive = *interactive;
            let Some(role) = content.role else { return Err(Refusal::invalid("TEXT content without a role")) };
            let purpose = self.purpose(role, interactive)?;
            if let Some(block) = self.open.get_mut(name) {
                block.purpose = purpose;
            }
        }
        let Some(block) = self.open.get_mut(name) else { return Err(Refusal::said(NO_CONTENT)) };
        let (block_limit, refusal) = match block.purpose {
            Purpose::ToolResult(_) => return Err(Refusal::because(TOOL_RESPONSE, "textInput in a TOOL content")),
            Purpose::System if content.content.len() >= MAX_SYSTEM_INPUT_BYTES => {
                return Err(Refusal::invalid("a SYSTEM textInput of 32 KB or more; split it"));
            }
            Purpose::System => (MAX_SYSTEM_BYTES, CATCH_ALL),
            _ => (MAX_MESSAGE_BYTES, HISTORY_TOO_LONG),
        };
        if block.text.len() + content.content.len() > block_limit {
            return Err(Refusal::because(refusal, format_args!("a message of more than {block_limit} bytes")));
        }
        if matches!(block.purpose, Purpose::History(_)) {
            self.history_bytes += content.content.len();
            if self.history_bytes > MAX_HISTORY_BYTES {
                return Err(Refusal::because(HISTORY_TOO_LONG, format_args!("more than {MAX_HISTORY_BYTES} bytes")));
            }
        }
        block.text.push_str(&content.content);
        block.fed |= !content.content.is_empty();
        Ok(Meaning::Nothing)
    }

    fn tool_result<'a>(&mut self, content: &Content<'_>) -> Result<Meaning<'a>, Refusal> {
        self.check_prompt(&content.prompt_name)?;
        let Some(block) = self.open.get_mut(content.content_name.as_ref()) else {
            return Err(Refusal::said(NO_CONTENT));
        };
        if !matches!(block.purpose, Purpose::ToolResult(_)) {
            return Err(Refusal::because(TOOL_RESPONSE, "toolResult in a TEXT content"));
        }
        if block.fed {
            return Err(Refusal::because(TOOL_RESPONSE, "a second toolResult for one call"));
        }
        tools::check_result(&content.content)?;
        block.text.push_str(&content.content);
        block.fed = true;
        Ok(Meaning::Nothing)
    }

    fn content_end<'a>(&mut self, prompt: &str, name: &str) -> Result<Meaning<'a>, Refusal> {
        self.check_prompt(prompt)?;
        if let Some(audio) = self.open_audio.take_if(|audio| audio.name == name) {
            return if audio.fed { Ok(Meaning::Nothing) } else { Err(empty_content(name)) };
        }
        let Some(block) = self.open.remove(name) else { return Err(Refusal::said(NO_CONTENT)) };
        if !block.fed {
            return Err(empty_content(name));
        }
        if !matches!(block.purpose, Purpose::ToolResult(_)) {
            self.open_texts -= 1;
        }
        Ok(match block.purpose {
            Purpose::System => Meaning::System(block.text),
            Purpose::History(role) => Meaning::History(role, block.text),
            Purpose::Typed => Meaning::Typed(block.text),
            Purpose::ToolResult(tool_use_id) => {
                self.tools.answered(&tool_use_id)?;
                Meaning::ToolResult { tool_use_id, content: block.text }
            }
            Purpose::Ignored | Purpose::RoleLess { .. } => Meaning::Nothing,
        })
    }

    fn prompt_end<'a>(&mut self, prompt: &str) -> Result<Meaning<'a>, Refusal> {
        self.check_prompt(prompt)?;
        if self.open_audio.is_some() || !self.open.is_empty() {
            return Err(Refusal::said("All contents must be closed before ending prompt"));
        }
        if !self.audio_opened {
            return Err(Refusal::said("Prompt must have at least one audio content"));
        }
        self.phase = Phase::PromptEnded;
        Ok(Meaning::PromptEnded)
    }

    fn session_end<'a>(&mut self) -> Result<Meaning<'a>, Refusal> {
        match self.phase {
            Phase::New => Err(Refusal::invalid("sessionEnd before sessionStart")),
            Phase::Prompt => Err(Refusal::invalid("sessionEnd before promptEnd")),
            Phase::SessionEnded => Err(Refusal::invalid("sessionEnd was sent before")),
            Phase::Session | Phase::PromptEnded => {
                self.phase = Phase::SessionEnded;
                Ok(Meaning::SessionEnded)
            }
        }
    }

    fn check_prompt(&self, name: &str) -> Result<(), Refusal> {
        if self.phase == Phase::Prompt && self.prompt == name { Ok(()) } else { Err(Refusal::said(NO_PROMPT)) }
    }
}

fn empty_content(name: &str) -> Refusal {
    Refusal(format!("Cannot end content [{name}] as no content data was received"))
}

#[cfg(test)]
mod tests;
