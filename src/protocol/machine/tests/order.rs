//! Random steps: the machine against a table of what is legal, and its events against a small service.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Silent,
    Session,
    Prompt(Name),
    PromptOver,
    Over,
}

/// The service's side of the order rules, written from §1.7 and knowing nothing of the machine.
#[derive(Default)]
struct Service {
    phase: Phase,
    open: HashMap<Name, (InputContent, bool)>,
    names: HashSet<Name>,
    audio_blocks: usize,
    system_blocks: usize,
    heard: Vec<u8>,
    read: Vec<String>,
}

impl Service {
    fn takes(&mut self, event: &InputEvent) {
        match event {
            InputEvent::SessionStart { .. } => {
                assert_eq!(std::mem::replace(&mut self.phase, Phase::Session), Phase::Silent);
            }
            InputEvent::PromptStart { prompt, .. } => {
                let phase = Phase::Prompt(prompt.clone());
                assert_eq!(std::mem::replace(&mut self.phase, phase), Phase::Session);
            }
            InputEvent::ContentStart { prompt, content, kind } => {
                self.of_prompt(prompt);
                assert!(self.names.insert(content.clone()), "contentName {content} used twice");
                assert!(!self.a_block_besides_audio_is_open(), "{event:?} inside another block");
                let live = self.audio_blocks > 0;
                match kind {
                    InputContent::Audio { .. } => self.audio_blocks += 1,
                    InputContent::Text { role: Role::System, interactive } => {
                        self.system_blocks += 1;
                        assert!(!interactive && !live && self.read.is_empty(), "SYSTEM comes first");
                    }
                    InputContent::Text { interactive, .. } => assert_eq!(*interactive, live, "{event:?}"),
                    InputContent::ToolResult { .. } => assert!(live),
                }
                self.open.insert(content.clone(), (kind.clone(), false));
            }
            InputEvent::TextInput { prompt, content, text } => {
                assert!(!text.is_empty() && text.len() <= 4_000, "{} bytes of text", text.len());
                let kind = self.data(prompt, content);
                assert!(matches!(kind, InputContent::Text { .. }));
                self.read.push(text.clone());
            }
            InputEvent::ToolResult { prompt, content, .. } => {
                assert!(matches!(self.data(prompt, content), InputContent::ToolResult { .. }));
            }
            InputEvent::AudioInput { prompt, content, pcm } => {
                assert!(!self.a_block_besides_audio_is_open(), "Chat history should be sent completely");
                assert!(!pcm.is_empty() && pcm.len() % 2 == 0 && pcm.len() <= 3_200, "{} bytes of audio", pcm.len());
                assert!(matches!(self.data(prompt, content), InputContent::Audio { .. }));
                self.heard.extend(pcm.iter().filter(|byte| **byte != 0));
            }
            InputEvent::ContentEnd { prompt, content } => {
                self.of_prompt(prompt);
                let (_, has_data) = self.open.remove(content).expect("No open content found");
                assert!(has_data, "Cannot end content as no content data was received");
            }
            InputEvent::PromptEnd { prompt } => {
                self.of_prompt(prompt);
                assert!(self.open.is_empty(), "All contents must be closed before ending prompt");
                assert_eq!((self.audio_blocks, self.system_blocks), (1, 1));
                self.phase = Phase::PromptOver;
            }
            InputEvent::SessionEnd => {
                assert_eq!(std::mem::replace(&mut self.phase, Phase::Over), Phase::PromptOver);
            }
        }
    }

    fn of_prompt(&self, prompt: &Name) {
        assert_eq!(self.phase, Phase::Prompt(prompt.clone()), "No open prompt found");
    }

    fn data(&mut self, prompt: &Name, content: &Name) -> InputContent {
        self.of_prompt(prompt);
        let (kind, has_data) = self.open.get_mut(content).expect("No open content found");
        *has_data = true;
        kind.clone()
    }

    fn a_block_besides_audio_is_open(&self) -> bool {
        self.open.values().any(|(kind, _)| !matches!(kind, InputContent::Audio { .. }))
    }
}

/// Which steps are legal, written from the reference as a table of its own.
#[derive(Default)]
struct Model {
    opened: bool,
    begun: bool,
    closed: bool,
    results: Vec<String>,
}

impl Model {
    fn allows(&mut self, step: &Step) -> bool {
        let live = self.begun && !self.closed;
        match step {
            Step::Open => !std::mem::replace(&mut self.opened, true),
            Step::Begin(_) => self.opened && !std::mem::replace(&mut self.begun, true),
            Step::Audio(pcm) => live && pcm.len() % 2 == 0,
            Step::Text { text, .. } => live && !text.is_empty(),
            Step::ToolResult { tool_use_id, result } => {
                let legal = live && result == "{}" && !self.results.contains(tool_use_id);
                if legal {
                    self.results.push(tool_use_id.clone());
                }
                legal
            }
            Step::Close => {
                self.closed |= live;
                live
            }
        }
    }
}

fn opening(whole: bool) -> Vec<Step> {
    if whole { vec![Step::Open, Step::Begin(vec![message(Role::User, "Hi.")])] } else { Vec::new() }
}

fn any_step() -> impl Strategy<Value = Step> {
    let words = prop_oneof![8 => "\\PC{0,12}", 1 => "[a\u{20ac}\u{1f600}]{1000,3000}"];
    prop_oneof![
        2 => Just(Step::Open),
        2 => Just(Step::Begin(Vec::new())),
        6 => prop_oneof![4 => 0_usize..2_000, 1 => 3_000_usize..20_000].prop_map(pcm),
        6 => (words, any::<bool>()).prop_map(|(text, prime)| Step::Text { text, prime }),
        4 => ("[ab]", prop::sample::select(vec!["{}", "[]"])).prop_map(|(id, result)| tool_result(&id, result)),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No legal sequence is refused, no illegal one let through, a refusal changes nothing, and nothing said is lost.
    #[test]
    fn the_machine_does_what_the_model_allows(
        starts_open in prop::bool::weighted(0.8),
        steps in prop::collection::vec(any_step(), 0..30),
    ) {
        let mut machine = machine(StreamConfig { system: Some("Be brief.".to_owned()), ..config() });
        // Takes the legal steps only: both must stay alike to the last event.
        let mut undisturbed = super::machine(StreamConfig { system: Some("Be brief.".to_owned()), ..config() });
        let (mut model, mut service) = (Model::default(), Service::default());
        let mut said = vec!["Be brief.".to_owned()];
        let mut spoken = Vec::new();
        for step in opening(starts_open).into_iter().chain(steps) {
            let legal = model.allows(&step);
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            let outcome = machine.step(step.clone(), &mut out);
            prop_assert_eq!(outcome.is_ok(), legal, "{:?}: {:?}", step, outcome);
            if legal {
                match &step {
                    Step::Audio(pcm) => spoken.extend_from_slice(pcm),
                    Step::Text { text, .. } => said.push(text.clone()),
                    Step::Begin(history) => said.extend(history.iter().map(|message| message.text.clone())),
                    _ => {}
                }
                undisturbed.step(step, &mut expected).expect("legal");
            }
            prop_assert_eq!(&out, &expected);
            for event in &out {
                service.takes(event);
            }
            prop_assert_eq!(machine.is_closed(), service.phase == Phase::Over);
        }
        prop_assert_eq!(service.heard, spoken);
        if model.opened {
            prop_assert_eq!(service.read.concat(), said.concat());
        }
    }

    #[test]
    fn pieces_are_the_text(text in "[a\u{e9}\u{20ac}\u{1f600}]{0,40}", max_bytes in 1_usize..9) {
        let pieces: Vec<&str> = split::utf8_pieces(&text, max_bytes).collect();
        prop_assert_eq!(&pieces.concat(), &text);
        for piece in pieces {
            prop_assert!(piece.len() <= max_bytes || piece.chars().count() == 1, "{piece:?}");
        }
    }
}
