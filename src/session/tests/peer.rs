//! A judge of the input order, written from the service's rules and sharing nothing with `protocol/`.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

use crate::transport::memory::PeerInput;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    Audio(Vec<u8>),
    Text(String),
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

/// Panics at the first event out of order.
#[derive(Debug, Default)]
pub(super) struct Judge {
    stage: Stage,
    prompt: String,
    names: HashSet<String>,
    /// The open text block: its name, whether it is a live one, and what it said.
    text: Option<(String, bool, String)>,
    pub(super) heard: Vec<Heard>,
}

impl Judge {
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::InputEnded
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
            assert_eq!(field("promptName"), self.prompt);
        }
        match (&self.stage, name) {
            (Stage::Nothing, "sessionStart") => self.stage = Stage::SessionStarted,
            (Stage::SessionStarted, "promptStart") => {
                self.prompt = field("promptName");
                self.stage = Stage::PromptStarted;
            }
            (Stage::PromptStarted | Stage::Listening(_), "contentStart") => {
                assert!(self.text.is_none(), "a block inside a block");
                assert!(self.names.insert(field("contentName")), "a content name is used twice");
                let listening = matches!(self.stage, Stage::Listening(_));
                match field("type").as_str() {
                    "AUDIO" => {
                        assert!(!listening, "a second audio block");
                        assert_eq!(field("role"), "USER");
                        self.stage = Stage::Listening(field("contentName"));
                    }
                    "TEXT" => {
                        assert_eq!(body["interactive"], listening, "live text is interactive, the opening is not");
                        self.text = Some((field("contentName"), listening, String::new()));
                    }
                    other => panic!("a {other} block"),
                }
            }
            (_, "textInput") => {
                let (block, _, said) = self.text.as_mut().expect("text outside a block");
                assert_eq!(&field("contentName"), block);
                said.push_str(&field("content"));
            }
            (Stage::Listening(block), "audioInput") => {
                assert!(self.text.is_none(), "audio while a text block is open");
                assert_eq!(&field("contentName"), block);
                self.heard.push(Heard::Audio(BASE64.decode(field("content")).unwrap()));
            }
            (_, "contentEnd") if self.text.is_some() => {
                let (block, live, said) = self.text.take().unwrap();
                assert_eq!(field("contentName"), block);
                assert!(!said.is_empty(), "an empty block cannot be ended");
                if live {
                    self.heard.push(Heard::Text(said));
                }
            }
            (Stage::Listening(block), "contentEnd") => {
                assert_eq!(&field("contentName"), block);
                assert!(self.heard.iter().any(|heard| matches!(heard, Heard::Audio(_))), "the audio block got no data");
                self.stage = Stage::AudioEnded;
            }
            (Stage::AudioEnded, "promptEnd") => self.stage = Stage::PromptEnded,
            (Stage::PromptEnded, "sessionEnd") => self.stage = Stage::SessionEnded,
            (stage, name) => panic!("{name} while {stage:?}"),
        }
    }
}
