//! A judge of the input order, written from the service's rules and sharing nothing with `protocol/`.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

use crate::transport::memory::PeerInput;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// Of the earlier conversation: role and text.
    History(String, String),
    Audio(Vec<u8>),
    Text(String),
    /// Of a tool: the call's id and the JSON.
    Result(String, String),
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Stage {
    #[default]
    Nothing,
    SessionStarted,
    PromptStarted,
    /// The audio block's name.
    Listening(String),
    AudioEnded,
    PromptEnded,
    SessionEnded,
    InputEnded,
}

#[derive(Debug)]
enum Kind {
    System,
    History(String),
    Live,
    /// The call's id.
    Result(String),
}

/// An open block that holds no audio.
#[derive(Debug)]
struct Block {
    name: String,
    kind: Kind,
    said: String,
}

/// Panics at the first event out of order.
#[derive(Debug, Default)]
pub(super) struct Judge {
    stage: Stage,
    prompt: String,
    pub(super) voice: String,
    names: HashSet<String>,
    answered: HashSet<String>,
    block: Option<Block>,
    history_began: bool,
    fed: bool,
    pub(super) heard: Vec<Heard>,
}

impl Judge {
    /// Of a stream whose opening another reads: it learns the names from the first event it hears.
    pub(super) fn listening() -> Self {
        Self { stage: Stage::Listening(String::new()), fed: true, ..Self::default() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::InputEnded
    }

    /// The audio block was opened.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Nothing | Stage::SessionStarted | Stage::PromptStarted)
    }

    pub(super) fn hear(&mut self, input: &PeerInput) {
        match input {
            PeerInput::Event(json) => {
                let (name, body) = json["event"].as_object().unwrap().iter().next().unwrap();
                self.event(name, body);
            }
            PeerInput::Ended => {
                assert_eq!(self.stage, Stage::SessionEnded, "input ended early");
                self.stage = Stage::InputEnded;
            }
            other => panic!("{other:?} while {:?}", self.stage),
        }
    }

    fn event(&mut self, name: &str, body: &Value) {
        let field = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
        if !matches!(name, "sessionStart" | "promptStart" | "sessionEnd") {
            if self.prompt.is_empty() {
                self.prompt = field("promptName");
            }
            assert_eq!(field("promptName"), self.prompt);
        }
        match (&self.stage, name) {
            (Stage::Nothing, "sessionStart") => self.stage = Stage::SessionStarted,
            (Stage::SessionStarted, "promptStart") => {
                self.prompt = field("promptName");
                body["audioOutputConfiguration"]["voiceId"].as_str().unwrap().clone_into(&mut self.voice);
                self.stage = Stage::PromptStarted;
            }
            (Stage::PromptStarted | Stage::Listening(_), "contentStart") => self.begin(body),
            (_, "textInput" | "toolResult") => {
                let block = self.block.as_mut().expect("words outside a block");
                assert_eq!(
                    matches!(block.kind, Kind::Result(_)),
                    name == "toolResult",
                    "the wrong words for {block:?}"
                );
                assert_eq!(field("contentName"), block.name);
                block.said.push_str(&field("content"));
            }
            (Stage::Listening(audio), "audioInput") if audio.is_empty() => {
                self.stage = Stage::Listening(field("contentName"));
                self.event(name, body);
            }
            (Stage::Listening(audio), "audioInput") => {
                assert!(self.block.is_none(), "audio while a text block is open");
                assert_eq!(&field("contentName"), audio);
                self.fed = true;
                self.heard.push(Heard::Audio(BASE64.decode(field("content")).unwrap()));
            }
            (_, "contentEnd") if self.block.is_some() => self.end(&field("contentName")),
            (Stage::Listening(block), "contentEnd") => {
                assert!(block.is_empty() || field("contentName") == *block);
                assert!(self.fed, "the audio block got no data");
                self.stage = Stage::AudioEnded;
            }
            (Stage::AudioEnded, "promptEnd") => self.stage = Stage::PromptEnded,
            (Stage::PromptEnded, "sessionEnd") => self.stage = Stage::SessionEnded,
            (stage, name) => panic!("{name} while {stage:?}"),
        }
    }

    fn begin(&mut self, body: &Value) {
        let field = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
        let listening = self.has_begun();
        assert!(self.block.is_none(), "a block inside a block");
        assert!(self.names.insert(field("contentName")), "a content name is used twice");
        let kind = match (field("type").as_str(), field("role").as_str()) {
            ("AUDIO", role) => {
                assert!(!listening, "a second audio block");
                assert_eq!(role, "USER");
                self.stage = Stage::Listening(field("contentName"));
                return;
            }
            ("TEXT", role) => {
                assert_eq!(body["interactive"], listening, "live text is interactive, the opening is not");
                match role {
                    "USER" if listening => Kind::Live,
                    "SYSTEM" if !self.history_began => Kind::System,
                    "USER" | "ASSISTANT" if !listening => {
                        assert!(role == "USER" || self.history_began, "history begins with USER");
                        self.history_began = true;
                        Kind::History(role.to_owned())
                    }
                    other => panic!("text of {other}, listening: {listening}"),
                }
            }
            ("TOOL", "TOOL") => {
                let id = body["toolResultInputConfiguration"]["toolUseId"].as_str().unwrap().to_owned();
                assert!(self.answered.insert(id.clone()), "a second result for {id}");
                Kind::Result(id)
            }
            other => panic!("a block of {other:?}"),
        };
        self.block = Some(Block { name: field("contentName"), kind, said: String::new() });
    }

    fn end(&mut self, name: &str) {
        let Block { name: block, kind, said } = self.block.take().unwrap();
        assert_eq!(name, block);
        assert!(!said.is_empty(), "an empty block cannot be ended");
        self.heard.extend(match kind {
            Kind::System => None,
            Kind::History(role) => Some(Heard::History(role, said)),
            Kind::Live => Some(Heard::Text(said)),
            Kind::Result(id) => Some(Heard::Result(id, said)),
        });
    }
}
