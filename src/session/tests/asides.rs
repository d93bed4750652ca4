//! Tool results and prompts: beside the queue, at the right moment.

use std::time::Duration;

use super::{
    Host, MS, audio_end, audio_output, audio_start, config, event_name, live, names, pcm, settle, text_block, tool_use,
    unknown,
};
use crate::{
    conversation::EndReason,
    session::RequestKind,
    transport::memory::{MemoryPeer, PeerInput},
};

fn kinds(host: &Host) -> Vec<RequestKind> {
    host.requests.iter().map(|request| request.kind.clone()).collect()
}

async fn result_block(peer: &mut MemoryPeer) -> (String, String) {
    let PeerInput::Event(start) = peer.next().await else { panic!("no block") };
    let PeerInput::Event(result) = peer.next().await else { panic!("no result") };
    assert_eq!(event_name(&peer.next().await), "contentEnd");
    let id = &start["event"]["contentStart"]["toolResultInputConfiguration"]["toolUseId"];
    (id.as_str().unwrap().to_owned(), result["event"]["toolResult"]["content"].as_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_asked_of_the_host_and_its_result_overtakes_audio() {
    let (mut host, mut peer) = live(config()).await;
    peer.send(&tool_use("use-1")).await;
    host.until(|host| !host.requests.is_empty()).await;
    let tool = RequestKind::Tool { id: "use-1".into(), name: "look".into(), arguments: "{\"at\":1}".into(), turn: 1 };
    assert_eq!(kinds(&host), [tool]);
    // Ten seconds wait, and the peer takes four events at a time.
    host.session.try_send_audio(&vec![1; 10_000 * MS]).unwrap();
    settle().await;
    host.session.send_tool_result("use-1".into(), r#"{"sun":true}"#.into(), true).unwrap();
    let mut audio = 0;
    let result = loop {
        let PeerInput::Event(json) = peer.next().await else { panic!("no event") };
        if json["event"]["audioInput"].is_null() {
            break json;
        }
        audio += 1;
    };
    assert!(audio <= 6, "{audio} pieces went before the result");
    assert_eq!(result["event"]["contentStart"]["toolResultInputConfiguration"]["toolUseId"], "use-1");
    for name in ["toolResult", "contentEnd"] {
        assert_eq!(event_name(&peer.next().await), name);
    }
    host.until_events(3).await;
    assert_eq!(host.kinds(), ["turn started", "tool call", "tool finished"]);
    let again = host.session.send_tool_result("use-1".into(), "{}".into(), true).unwrap_err();
    assert_eq!(again.code, "unknown_tool_call");
    assert_eq!(host.session.stats().tool_calls, 1);
}

#[tokio::test(start_paused = true)]
async fn two_results_go_in_the_order_of_their_coming() {
    let (mut host, mut peer) = live(config()).await;
    peer.send(&tool_use("a")).await;
    peer.send(&tool_use("b")).await;
    host.until(|host| host.requests.len() == 2).await;
    host.session.send_tool_result("b".into(), "{}".into(), true).unwrap();
    host.session.send_tool_result("a".into(), r#"{"error":"no"}"#.into(), false).unwrap();
    assert_eq!(result_block(&mut peer).await, ("b".to_owned(), "{}".to_owned()));
    assert_eq!(result_block(&mut peer).await, ("a".to_owned(), r#"{"error":"no"}"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_call_dies_with_its_session() {
    let (mut host, mut peer) = live(config()).await;
    peer.send(&tool_use("a")).await;
    host.until(|host| !host.requests.is_empty()).await;
    peer.end();
    let (_, error) = host.ended().await;
    assert_eq!(host.session.send_tool_result("a".into(), "{}".into(), true).unwrap_err(), error.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_prompt_begins_a_turn_of_nobodys_words() {
    let (mut host, mut peer) = live(config()).await;
    host.session.prompt(7, "Greet the caller.".into()).unwrap();
    assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    assert_eq!(text_block(&mut peer).await, "Greet the caller.");
    host.until(|host| !host.requests.is_empty()).await;
    assert_eq!(kinds(&host), [RequestKind::Prompted { token: 7, turn: 1 }]);
    host.until_events(1).await;
    assert_eq!(host.kinds(), ["turn started"]);
    assert_eq!(host.session.prompt(8, String::new()).unwrap_err().code, "empty_text");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_waits_until_the_reply_was_heard_and_holds_up_no_audio() {
    let (mut host, mut peer) = live(config()).await;
    // 2 s of reply, delivered at once.
    peer.send(&audio_start("a")).await;
    peer.send(&audio_output("a", &vec![1; 96_000])).await;
    host.until_events(2).await;
    host.session.prompt(1, "Ask for more.".into()).unwrap();
    host.session.try_send_audio(&[5; 32 * MS]).unwrap();
    assert_eq!(pcm(&mut peer).await, [5; 32 * MS]);
    peer.send(&audio_end("a", "END_TURN")).await;
    let begin = tokio::time::Instant::now();
    // The microphone went silent meanwhile.
    assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    assert_eq!(text_block(&mut peer).await, "Ask for more.");
    assert!((1_990..2_100).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_prompt_does_not_wait_for_ever() {
    let (mut host, mut peer) = live(config()).await;
    peer.send(&audio_start("a")).await;
    peer.send(&audio_output("a", &[1; 960])).await;
    host.until_events(2).await;
    host.session.prompt(1, "Go on.".into()).unwrap();
    let begin = tokio::time::Instant::now();
    pcm(&mut peer).await;
    assert_eq!(text_block(&mut peer).await, "Go on.");
    assert_eq!(begin.elapsed().as_secs(), Duration::from_secs(15).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_result_that_meets_the_closing_events_ends_nothing() {
    let (mut host, mut peer) = live(config()).await;
    peer.send(&tool_use("a")).await;
    host.until(|host| !host.requests.is_empty()).await;
    // The peer takes four events at a time: when seven of ten are read, the first closing event is taken, two wait.
    host.session.try_send_audio(&vec![1; 1_000 * MS]).unwrap();
    host.session.close();
    names(&mut peer, 7).await;
    settle().await;
    // Handed over by a thread that saw the session open: only the handle can tell it that it is not.
    let shared = &host.session.handle.shared;
    shared.asides.push_result("a".into(), "{}".into(), true).unwrap();
    shared.wake.notify_one();
    let last = loop {
        match peer.next().await {
            PeerInput::Event(_) => {}
            other => break other,
        }
    };
    assert_eq!(last, PeerInput::Ended);
    peer.end();
    assert_eq!(host.ended().await, (EndReason::Closed, None));
}

/// The second result of a call ends the stream, so the second telling of one must not come through, however late.
#[tokio::test(start_paused = true)]
async fn a_call_repeated_after_hundreds_of_others_is_not_made_again() {
    let (mut host, mut peer) = live(config()).await;
    for number in 0..300 {
        let id = format!("use-{number}");
        peer.send(&tool_use(&id)).await;
        host.until(|host| host.requests.len() == number + 1).await;
        host.session.send_tool_result(id.clone(), "{}".into(), true).unwrap();
        while result_block(&mut peer).await.0 != id {}
    }
    peer.send(&tool_use("use-0")).await;
    peer.send(&unknown(0)).await;
    host.until(|host| host.kinds().last() == Some(&"unknown")).await;
    assert_eq!(host.requests.len(), 300);
    host.session.send_tool_result("use-0".into(), "{}".into(), true).unwrap_err();
}
