//! Tools over the wire: what a host brain sees of them, and how strictly results are judged.

use std::{sync::Arc, time::Duration};

use novasonic::emulator::{
    BrainAction, BrainChoice, BrainHost, BrainNotice, Emulator, Settings, ToolChoice, TurnRequest,
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::raw_client::{Connection, Received, Signer, Stream, audio_input, ended, opening};

struct Host(mpsc::UnboundedSender<BrainNotice>);

impl BrainHost for Host {
    fn notice(&self, notice: BrainNotice) {
        let _ = self.0.send(notice);
    }
}

struct Talk {
    emulator: Emulator,
    notices: mpsc::UnboundedReceiver<BrainNotice>,
    stream: Stream,
    turn: TurnRequest,
}

impl Talk {
    /// A typed turn, asked of the host, on a stream with two tools.
    async fn begin(choice: Option<Value>) -> Self {
        let (sender, mut notices) = mpsc::unbounded_channel();
        let brain = BrainChoice::Host(Arc::new(Host(sender)));
        let emulator = Emulator::start(Settings { brain, speed: 20.0, ..Settings::default() }).unwrap();
        let mut stream = Connection::cleartext(&emulator).await.open(Some(Signer::new())).await;
        let [session, mut prompt, audio] = opening();
        let body = &mut prompt["event"]["promptStart"];
        let tool = |name| json!({"toolSpec": {"name": name, "inputSchema": {"json": r#"{"type":"object"}"#}}});
        body["toolUseOutputConfiguration"] = json!({"mediaType": "application/json"});
        body["toolConfiguration"] = json!({"tools": [tool("one"), tool("two")]});
        if let Some(choice) = choice {
            body["toolConfiguration"]["toolChoice"] = choice;
        }
        for event in [session, prompt, audio, audio_input(&[0; 3_200])] {
            stream.event(&event);
        }
        let start = json!({"type": "TEXT", "interactive": true, "role": "USER",
            "textInputConfiguration": {"mediaType": "text/plain"}});
        block(&mut stream, "t", start, "textInput", "hello");
        let turn = match next(&mut notices).await {
            BrainNotice::Turn(turn) => turn,
            other => panic!("{other:?}"),
        };
        Self { emulator, notices, stream, turn }
    }

    fn call(&self, call_id: u64, name: &str) {
        let arguments = format!(r#"{{"call":{call_id}}}"#);
        assert!(self.emulator.act(self.turn.turn_id, BrainAction::Call { call_id, name: name.into(), arguments }));
    }

    /// Name, arguments and id of the next toolUse.
    async fn tool_use(&mut self) -> (String, String, String) {
        loop {
            match self.stream.next().await {
                Received::Event(event) => {
                    let body = &event["event"]["toolUse"];
                    if body.is_object() {
                        let text = |key: &str| body[key].as_str().unwrap().to_owned();
                        return (text("toolName"), text("content"), text("toolUseId"));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&mut self, block_name: &str, id: &str, content: &str) {
        let start = json!({"type": "TOOL", "interactive": false, "role": "TOOL",
            "toolResultInputConfiguration": {"toolUseId": id, "type": "TEXT",
                "textInputConfiguration": {"mediaType": "text/plain"}}});
        block(&mut self.stream, block_name, start, "toolResult", content);
    }

    async fn result(&mut self) -> (u64, String) {
        match next(&mut self.notices).await {
            BrainNotice::ToolResult { turn_id, call_id, content } => {
                assert_eq!(turn_id, self.turn.turn_id);
                (call_id, content)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The stream ends over what was sent last.
    async fn refused(mut self, words: &str) {
        let (name, message) = self.stream.rest().await.exception();
        assert_eq!(name, "validationException");
        assert!(message.contains(words), "{message}");
        self.stream.end_stream();
        assert!(ended(&self.emulator).await.ended.unwrap().contains(words));
    }
}

async fn next(notices: &mut mpsc::UnboundedReceiver<BrainNotice>) -> BrainNotice {
    timeout(Duration::from_secs(10), notices.recv()).await.unwrap().unwrap()
}

fn block(stream: &mut Stream, name: &str, mut start: Value, event: &str, content: &str) {
    let place = json!({"promptName": "p", "contentName": name});
    start.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
    let input = json!({"promptName": "p", "contentName": name, "content": content});
    for (event, body) in [("contentStart", start), (event, input), ("contentEnd", place)] {
        stream.event(&json!({"event": {event: body}}));
    }
}

#[tokio::test]
async fn two_calls_wait_at_once_and_each_gets_its_own_result() {
    let mut talk = Talk::begin(None).await;
    assert_eq!(talk.turn.tools, ["one", "two"]);
    talk.call(1, "one");
    talk.call(2, "two");
    let (name, arguments, first) = talk.tool_use().await;
    assert_eq!((name.as_str(), arguments.as_str()), ("one", r#"{"call":1}"#));
    let (name, _, second) = talk.tool_use().await;
    assert_eq!(name, "two");
    assert_ne!(first, second);
    talk.answer("r2", &second, r#"{"of":2}"#);
    assert_eq!(talk.result().await, (2, r#"{"of":2}"#.into()));
    // Audio flows while a call is pending.
    talk.stream.audio(&[0; 1_024]);
    talk.answer("r1", &first, r#"{"of":1}"#);
    assert_eq!(talk.result().await, (1, r#"{"of":1}"#.into()));
    assert!(talk.emulator.act(talk.turn.turn_id, BrainAction::Done));
    talk.stream.finish();
    assert!(matches!(talk.stream.rest().await, Received::End));
    assert_eq!(ended(&talk.emulator).await.ended.as_deref(), Some("clean"));
}

#[tokio::test]
async fn a_result_for_an_unknown_call_ends_the_stream_in_the_services_words() {
    let mut talk = Talk::begin(None).await;
    talk.call(1, "one");
    talk.tool_use().await;
    talk.answer("r", "0f0f0f0f-0000-0000-0000-000000000000", "{}");
    talk.refused("Invalid input request, please fix your input and try again.").await;
}

#[tokio::test]
async fn a_second_result_for_one_call_ends_the_stream() {
    let mut talk = Talk::begin(None).await;
    talk.call(1, "one");
    let (_, _, id) = talk.tool_use().await;
    talk.answer("r", &id, "{}");
    talk.answer("again", &id, "{}");
    talk.refused("Invalid input request, please fix your input and try again.").await;
}

#[tokio::test]
async fn a_result_that_is_no_object_ends_the_stream() {
    for content in ["21 degrees", "[1]", "21", r#""{\"t\":21}""#] {
        let mut talk = Talk::begin(None).await;
        talk.call(1, "one");
        let (_, _, id) = talk.tool_use().await;
        talk.answer("r", &id, content);
        talk.refused("Tool Response parsing error").await;
    }
}

#[tokio::test]
async fn a_brain_sees_what_it_should_call() {
    for (choice, seen) in [
        (None, ToolChoice::Auto),
        (Some(json!({"auto": {}})), ToolChoice::Auto),
        (Some(json!({"any": {}})), ToolChoice::Any),
        (Some(json!({"tool": {"name": "two"}})), ToolChoice::Tool("two".into())),
    ] {
        assert_eq!(Talk::begin(choice).await.turn.tool_choice, seen);
    }
}
