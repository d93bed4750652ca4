//! An input event as the JSON the service reads.
//!
//! Written straight into one pre-sized buffer, without a value tree: audio passes here 31 times a second for each of
//! hundreds of conversations.

use std::fmt::Write as _;

use super::{EndpointingSensitivity, InputContent, InputEvent, Role, SampleRate, ToolChoice, ToolSpec, base64};

/// Braces, keys and two UUIDs; what an event carries comes on top.
const ENVELOPE_BYTES: usize = 192;

/// The longest configuration object (`promptStart`) with the envelope around it.
const CONFIGURATION_BYTES: usize = 512;

/// Encodes `event` as one chunk's payload: `{"event":{"<name>":{...}}}`.
pub fn encode(event: &InputEvent) -> Vec<u8> {
    match event {
        InputEvent::AudioInput { prompt, content, pcm } => {
            envelope("audioInput", ENVELOPE_BYTES + pcm.len().div_ceil(3) * 4, |fields| {
                fields.text("promptName", prompt).text("contentName", content).base64("content", pcm);
            })
        }
        InputEvent::TextInput { prompt, content, text } => {
            envelope("textInput", ENVELOPE_BYTES + text.len(), |fields| {
                fields.text("promptName", prompt).text("contentName", content).text("content", text);
            })
        }
        InputEvent::ToolResult { prompt, content, result } => {
            envelope("toolResult", ENVELOPE_BYTES + result.len(), |fields| {
                fields.text("promptName", prompt).text("contentName", content).text("content", result);
            })
        }
        InputEvent::SessionStart { max_tokens, top_p, temperature, sensitivity } => {
            envelope("sessionStart", CONFIGURATION_BYTES, |fields| {
                fields.object("inferenceConfiguration", |inference| {
                    inference.maybe("maxTokens", max_tokens.as_ref());
                    inference.maybe("topP", top_p.as_ref());
                    inference.maybe("temperature", temperature.as_ref());
                });
                // Only in its own object: the flat form is refused by v2 (LK #6200).
                if let Some(sensitivity) = sensitivity {
                    fields.object("turnDetectionConfiguration", |turns| {
                        turns.text("endpointingSensitivity", sensitivity_name(*sensitivity));
                    });
                }
            })
        }
        InputEvent::PromptStart { prompt, voice, output_rate, tools, tool_choice } => {
            envelope("promptStart", CONFIGURATION_BYTES + tools.iter().map(tool_bytes).sum::<usize>(), |fields| {
                fields
                    .text("promptName", prompt)
                    .object("textOutputConfiguration", |text| {
                        text.text("mediaType", "text/plain");
                    })
                    .object("audioOutputConfiguration", |audio| {
                        pcm_format(audio, *output_rate).text("voiceId", voice);
                    });
                if !tools.is_empty() {
                    tool_configuration(fields, tools, tool_choice);
                }
            })
        }
        InputEvent::ContentStart { prompt, content, kind } => envelope("contentStart", CONFIGURATION_BYTES, |fields| {
            fields.text("promptName", prompt).text("contentName", content);
            content_kind(fields, kind);
        }),
        InputEvent::ContentEnd { prompt, content } => envelope("contentEnd", ENVELOPE_BYTES, |fields| {
            fields.text("promptName", prompt).text("contentName", content);
        }),
        InputEvent::PromptEnd { prompt } => envelope("promptEnd", ENVELOPE_BYTES, |fields| {
            fields.text("promptName", prompt);
        }),
        InputEvent::SessionEnd => envelope("sessionEnd", ENVELOPE_BYTES, |_| {}),
    }
}

fn tool_configuration(fields: &mut Object<'_>, tools: &[ToolSpec], choice: &ToolChoice) {
    fields
        .object("toolUseOutputConfiguration", |output| {
            output.text("mediaType", "application/json");
        })
        .object("toolConfiguration", |configuration| {
            configuration.objects("tools", tools, |entry, tool| {
                entry.object("toolSpec", |spec| {
                    spec.text("name", &tool.name).text("description", &tool.description).object(
                        "inputSchema",
                        // A string: the service cannot parse a schema given as an object.
                        |schema| {
                            schema.text("json", &tool.schema);
                        },
                    );
                });
            });
            // Left out where it is the default: one source blames the field for refusals.
            match choice {
                ToolChoice::Auto => {}
                ToolChoice::Any => {
                    configuration.object("toolChoice", |choice| {
                        choice.object("any", |_| {});
                    });
                }
                ToolChoice::Tool(name) => {
                    configuration.object("toolChoice", |choice| {
                        choice.object("tool", |tool| {
                            tool.text("name", name);
                        });
                    });
                }
            }
        });
}

fn tool_bytes(tool: &ToolSpec) -> usize {
    ENVELOPE_BYTES + tool.name.len() + tool.description.len() + json_string_bytes(&tool.schema)
}

fn content_kind(fields: &mut Object<'_>, kind: &InputContent) {
    match kind {
        InputContent::Text { role, interactive } => fields
            .text("type", "TEXT")
            .flag("interactive", *interactive)
            .text("role", role_name(*role))
            .object("textInputConfiguration", |text| {
                text.text("mediaType", "text/plain");
            }),
        // Without the role the model stays mute and gives no error.
        InputContent::Audio { rate } => fields
            .text("type", "AUDIO")
            .flag("interactive", true)
            .text("role", role_name(Role::User))
            .object("audioInputConfiguration", |audio| {
                pcm_format(audio, *rate);
            }),
        InputContent::ToolResult { tool_use_id } => fields
            .text("type", "TOOL")
            .flag("interactive", false)
            .text("role", role_name(Role::Tool))
            .object("toolResultInputConfiguration", |tool| {
                tool.text("toolUseId", tool_use_id).text("type", "TEXT").object("textInputConfiguration", |text| {
                    text.text("mediaType", "text/plain");
                });
            }),
    };
}

fn pcm_format<'o, 'b>(audio: &'o mut Object<'b>, rate: SampleRate) -> &'o mut Object<'b> {
    audio
        .text("mediaType", "audio/lpcm")
        .number("sampleRateHertz", &rate.hz())
        .number("sampleSizeBits", &16)
        .number("channelCount", &1)
        .text("audioType", "SPEECH")
        .text("encoding", "base64")
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "SYSTEM",
        Role::SystemSpeech => "SYSTEM_SPEECH",
        Role::User => "USER",
        Role::Assistant => "ASSISTANT",
        Role::Tool => "TOOL",
    }
}

fn sensitivity_name(sensitivity: EndpointingSensitivity) -> &'static str {
    match sensitivity {
        EndpointingSensitivity::High => "HIGH",
        EndpointingSensitivity::Medium => "MEDIUM",
        EndpointingSensitivity::Low => "LOW",
    }
}

fn envelope(name: &str, capacity: usize, fields: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let mut json = String::with_capacity(capacity);
    Object::write(&mut json, |outer| {
        outer.object("event", |event| {
            event.object(name, fields);
        });
    });
    json.into_bytes()
}

/// Writes one JSON object. Keys are ours and need no escaping; values may hold anything.
struct Object<'b> {
    json: &'b mut String,
    empty: bool,
}

impl Object<'_> {
    fn write(json: &mut String, fields: impl FnOnce(&mut Object<'_>)) {
        json.push('{');
        fields(&mut Object { json: &mut *json, empty: true });
        json.push('}');
    }

    fn key(&mut self, key: &str) -> &mut String {
        if !self.empty {
            self.json.push(',');
        }
        self.empty = false;
        self.json.push('"');
        self.json.push_str(key);
        self.json.push_str("\":");
        self.json
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Self {
        push_string(self.key(key), value);
        self
    }

    fn base64(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        let json = self.key(key);
        json.push('"');
        base64::push(json, bytes);
        json.push('"');
        self
    }

    fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(key).push_str(if value { "true" } else { "false" });
        self
    }

    /// Rust prints finite numbers as JSON does; the order machine lets no other pass.
    fn number(&mut self, key: &str, value: &impl std::fmt::Display) -> &mut Self {
        let json = self.key(key);
        // Formatting into a String has no way to fail.
        let _ = write!(json, "{value}");
        self
    }

    fn maybe(&mut self, key: &str, value: Option<&impl std::fmt::Display>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    fn object(&mut self, key: &str, fields: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        Object::write(self.key(key), fields);
        self
    }

    /// An array of objects, one for each of `items`.
    fn objects<T>(&mut self, key: &str, items: &[T], mut fields: impl FnMut(&mut Object<'_>, &T)) {
        let json = self.key(key);
        json.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            Object::write(json, |object| fields(object, item));
        }
        json.push(']');
    }
}

/// Appends `value` as a JSON string (RFC 8259, section 7), copying runs that need no escape whole.
fn push_string(json: &mut String, value: &str) {
    json.push('"');
    let mut rest = value;
    while let Some(at) = rest.bytes().position(needs_escape) {
        // Every byte that needs an escape is ASCII, so both cuts fall between characters.
        let (plain, tail) = rest.split_at(at);
        json.push_str(plain);
        let mut characters = tail.chars();
        match characters.next() {
            Some('"') => json.push_str("\\\""),
            Some('\\') => json.push_str("\\\\"),
            Some('\n') => json.push_str("\\n"),
            Some('\r') => json.push_str("\\r"),
            Some('\t') => json.push_str("\\t"),
            Some(control) => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    json.push_str(rest);
    json.push('"');
}

/// How long `value` is as a JSON string.
pub(super) fn json_string_bytes(value: &str) -> usize {
    let escapes: usize = value
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
            0x00..0x20 => 5,
            _ => 0,
        })
        .sum();
    value.len() + escapes + 2
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests;
