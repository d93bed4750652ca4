//! The Nova Sonic language, sans I/O: events, their JSON, and the one legal order.
//!
//! Nothing here knows tokio, sockets or clocks (a lint keeps it so). Source of every rule:
//! the AWS Nova 2 user guide, "Input events" and "Output events".

mod base64;
mod config;
mod decode;
mod encode;
mod input;
mod machine;
mod output;
mod shapes;
mod split;

pub use config::{EndpointingSensitivity, Message, Role, SAMPLE_BYTES, SampleRate, StreamConfig, ToolChoice, ToolSpec};
pub use decode::{DecodeError, decode};
pub use encode::encode;
pub use input::{InputContent, InputEvent, Name};
pub use machine::{IllegalStep, OrderMachine, Step, tool_result_fault};
pub use output::{
    ContentKind, GenerationStage, OutputContent, OutputEvent, StopReason, TokenCounts, UsageDetails,
    is_interruption_marker,
};
