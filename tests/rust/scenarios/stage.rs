//! Plays a scenario's client and compares what comes back, line by line.
//!
//! A line is an event of the service (`TEXT ASSISTANT FINAL`, `/AUDIO END_TURN`), what it holds (two blanks first), or
//! what the client does next (`> speak`). `audio` stands for one piece or more, `audio 40` for as many, `audio*` for any
//! number; a text that ends in `…` goes on as it likes, since how much was heard is a matter of milliseconds.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use novasonic::emulator::{BrainChoice, Emulator, Settings};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::raw_client::{Connection, Received, Signer, Stream, audio_input, closing, ended, opening};

/// Pauses, speech and limits of the emulator run so much faster.
const SPEED: f64 = 4.0;

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/novasonic/emulator/scenarios")
}

/// Runs the scenario `name` against `expected`, which ends with the stream.
pub(super) async fn play(name: &str, expected: Vec<String>) {
    let brain = BrainChoice::Script(folder().join(format!("{name}.toml")));
    let emulator = Emulator::start(Settings { brain, speed: SPEED, ..Settings::default() }).unwrap();
    let connection = Connection::cleartext(&emulator).await;
    let stream = connection.open(Some(Signer::new())).await;
    let mut stage = Stage {
        stream,
        seen: None,
        calls: HashMap::new(),
        blocks: 0,
        usage: [0; 4],
        usage_events: 0,
        done: Vec::new(),
    };
    stage.open();
    for line in expected {
        stage.line(&line).await;
        stage.done.push(line);
    }
    assert_eq!(ended(&emulator).await.ended.as_deref(), Some("clean"));
    assert!(stage.usage_events > 0, "{name}: no usage");
}

struct Stage {
    stream: Stream,
    /// Read ahead.
    seen: Option<String>,
    /// toolUseIds by the tool's name, oldest first.
    calls: HashMap<String, Vec<String>>,
    /// Blocks of our own.
    blocks: u32,
    /// Deltas summed: speech and text in, speech and text out.
    usage: [u64; 4],
    usage_events: u32,
    done: Vec<String>,
}

impl Stage {
    /// The opening, with the tools that scenarios call.
    fn open(&mut self) {
        let [session, mut prompt, audio] = opening();
        let tools: Vec<Value> = ["getWeather", "findCity", "getTime"]
            .iter()
            .map(|name| json!({"toolSpec": {"name": name, "description": "", "inputSchema": {"json": "{}"}}}))
            .collect();
        let body = &mut prompt["event"]["promptStart"];
        body["toolUseOutputConfiguration"] = json!({"mediaType": "application/json"});
        body["toolConfiguration"] = json!({"tools": tools});
        for event in [session, prompt, audio] {
            self.stream.event(&event);
        }
    }

    async fn line(&mut self, line: &str) {
        if let Some(act) = line.strip_prefix("> ") {
            return self.act(act).await;
        }
        match line {
            "audio" => {
                self.expect(line).await;
                self.skip_audio().await;
            }
            "audio*" => self.skip_audio().await,
            _ => {
                if let Some(count) = line.strip_prefix("audio ") {
                    for _ in 0..count.parse::<u32>().unwrap() {
                        self.expect("audio").await;
                    }
                } else {
                    self.expect(line).await;
                }
            }
        }
    }

    async fn act(&mut self, act: &str) {
        let (verb, rest) = act.split_once(' ').unwrap_or((act, ""));
        match verb {
            "speak" => self.audio(&[speech(500), vec![0; 700 * 32]].concat()),
            "silence" => self.audio(&[0; 100 * 32]),
            "type" => {
                let start = json!({"type": "TEXT", "interactive": true, "role": "USER",
                    "textInputConfiguration": {"mediaType": "text/plain"}});
                self.block(start, "textInput", rest);
            }
            "result" => {
                let (tool, content) = rest.split_once(' ').unwrap();
                let id = self.calls.get_mut(tool).unwrap().remove(0);
                let start = json!({"type": "TOOL", "interactive": false, "role": "TOOL",
                    "toolResultInputConfiguration": {"toolUseId": id, "type": "TEXT",
                        "textInputConfiguration": {"mediaType": "text/plain"}}});
                self.block(start, "toolResult", content);
            }
            "nothing" => {
                assert_eq!(self.seen, None, "after {:#?}", self.done);
                let ms = rest.parse().unwrap();
                let read = timeout(Duration::from_millis(ms), self.read()).await;
                assert!(read.is_err(), "{read:?} came after {:#?}", self.done);
            }
            "end_prompt" => {
                for event in &closing()[..2] {
                    self.stream.event(event);
                }
            }
            "end_session" => {
                self.stream.event(&closing()[2]);
                self.stream.end_stream();
            }
            "close" => self.stream.finish(),
            _ => panic!("nobody can {act}"),
        }
    }

    fn audio(&mut self, pcm: &[u8]) {
        for frame in pcm.chunks(1_024) {
            self.stream.event(&audio_input(frame));
        }
    }

    fn block(&mut self, mut start: Value, event: &str, content: &str) {
        self.blocks += 1;
        let place = json!({"promptName": "p", "contentName": format!("b{}", self.blocks)});
        let with = |start: &mut Value| start.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        with(&mut start);
        let mut input = json!({ "content": content });
        with(&mut input);
        for (name, body) in [("contentStart", start), (event, input), ("contentEnd", place.clone())] {
            self.stream.event(&json!({"event": {name: body}}));
        }
    }

    async fn expect(&mut self, line: &str) {
        let seen = self.read().await;
        let same = line.strip_suffix('…').map_or(seen == line, |start| seen.starts_with(start));
        assert!(same, "expected {line:?}, got {seen:?} after {:#?}", self.done);
    }

    async fn skip_audio(&mut self) {
        loop {
            let seen = self.read().await;
            if seen != "audio" {
                self.seen = Some(seen);
                return;
            }
        }
    }

    async fn read(&mut self) -> String {
        if let Some(seen) = self.seen.take() {
            return seen;
        }
        loop {
            match self.stream.next().await {
                Received::Event(event) => {
                    let (name, body) = event["event"].as_object().unwrap().iter().next().unwrap();
                    if let Some(line) = self.told(name, body) {
                        return line;
                    }
                }
                Received::Exception { name, message } => return format!("{name}: {message}"),
                Received::End => return "END".into(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// None: usage, which comes at any time and is checked by its sums.
    fn told(&mut self, name: &str, body: &Value) -> Option<String> {
        let text = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("{name} without {key}: {body}"));
        Some(match name {
            "usageEvent" => {
                self.count(body);
                return None;
            }
            "contentStart" if body["type"] == "TEXT" => {
                let fields: Value = serde_json::from_str(text("additionalModelFields")).unwrap();
                format!("TEXT {} {}", text("role"), fields["generationStage"].as_str().unwrap())
            }
            "contentStart" => text("type").to_owned(),
            "textOutput" => format!("  {}", text("content")),
            "audioOutput" => {
                assert!(!text("content").is_empty());
                "audio".into()
            }
            "toolUse" => {
                self.calls.entry(text("toolName").to_owned()).or_default().push(text("toolUseId").to_owned());
                format!("  {} {}", text("toolName"), text("content"))
            }
            "contentEnd" => format!("/{} {}", text("type"), text("stopReason")),
            _ => name.to_owned(),
        })
    }

    /// Reference §2.2: totals are those of the stream, and deltas add up to them.
    fn count(&mut self, body: &Value) {
        let numbers = |part: &str| {
            let of = |direction: &str, kind: &str| body["details"][part][direction][kind].as_u64().unwrap();
            [
                of("input", "speechTokens"),
                of("input", "textTokens"),
                of("output", "speechTokens"),
                of("output", "textTokens"),
            ]
        };
        for (sum, delta) in self.usage.iter_mut().zip(numbers("delta")) {
            *sum += delta;
        }
        assert_eq!(numbers("total"), self.usage);
        assert_eq!(body["totalInputTokens"], self.usage[0] + self.usage[1]);
        assert_eq!(body["totalOutputTokens"], self.usage[2] + self.usage[3]);
        assert_eq!(body["totalTokens"], self.usage.iter().sum::<u64>());
        self.usage_events += 1;
    }
}

/// Something loud enough to be taken for speech, at 16 kHz.
fn speech(ms: u32) -> Vec<u8> {
    (0..ms * 16)
        .flat_map(|n| {
            let value = 12_000.0 * (std::f64::consts::TAU * 300.0 * f64::from(n) / 16_000.0).sin();
            #[allow(clippy::cast_possible_truncation)] // within the peak
            let sample = value as i16;
            sample.to_le_bytes()
        })
        .collect()
}
