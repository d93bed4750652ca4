//! A conversation from stream to stream: wherever one is cut, and wherever the next is planned.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    Host, MS, audio_end, audio_output, audio_start, config, is_end, kind, live_on, peer::Heard, peer::Judge, service,
    settle, tool_use,
};
use crate::{
    conversation::{Continuation, EndReason, EventKind, Limits, Reason},
    error::{Error, ErrorKind, Recovery},
    session::{Reconfiguration, RequestKind, SessionConfig},
    transport::memory::{MemoryPeer, MemoryService, MemoryTransport},
};

pub(super) fn continuing(continuation: Continuation) -> SessionConfig {
    SessionConfig { continuation: Some(continuation), ..config() }
}

/// Both ends of a conversation whose first stream is open.
pub(super) struct Talk {
    pub(super) host: Host,
    pub(super) peer: MemoryPeer,
    /// Whose streams were replaced.
    pub(super) left: Vec<MemoryPeer>,
    pub(super) service: MemoryService,
    _transport: std::sync::Arc<MemoryTransport>,
}

impl Talk {
    async fn begin() -> Self {
        Self::with(continuing(Continuation::default())).await
    }

    pub(super) async fn with(config: SessionConfig) -> Self {
        let (transport, mut service) = service();
        let (host, peer) = live_on(&transport, &mut service, config).await;
        Self { host, peer, left: Vec::new(), service, _transport: transport }
    }

    /// The next stream, whose opening was read and judged and whose headers came. Gives what it was told and asked.
    pub(super) async fn next(&mut self) -> Vec<Heard> {
        let mut peer = self.service.accept().await.unwrap();
        let heard = opens(&mut peer).await;
        self.peer = peer;
        heard
    }

    pub(super) fn says(&self, value: u8, ms: usize) {
        assert!(self.host.session.try_send_audio(&vec![value; ms * MS]).unwrap());
    }

    pub(super) async fn understood(&mut self, text: &str) {
        for event in user_text(text) {
            self.peer.send(&event).await;
        }
        let said = |host: &Host| {
            let mut events = host.events.iter();
            events.any(|event| matches!(&event.kind, EventKind::Transcript { text: said, .. } if said == text))
        };
        self.host.until(said).await;
    }

    async fn replies(&mut self) {
        for event in [audio_start("a"), audio_output("a", &[1; 960]), audio_end("a", "END_TURN")] {
            self.peer.send(&event).await;
        }
        let ended = |host: &Host| host.kinds().ends_with(&["turn ended"]) || host.kinds().contains(&"turn ended");
        self.host.until(ended).await;
    }

    /// Goes on to an answered turn and closes; gives what was told of it all.
    pub(super) async fn ends_well(mut self) -> Vec<&'static str> {
        self.replies().await;
        self.host.session.close();
        settle().await;
        self.peer.end();
        assert_eq!(self.host.ended().await, (EndReason::Closed, None));
        self.host.kinds()
    }

    pub(super) fn renewed(&self) -> Vec<(Option<Reason>, Option<Duration>)> {
        let of = |kind: &EventKind| match kind {
            EventKind::Renewing { reason } => Some((Some(*reason), None)),
            EventKind::Renewed { replayed, .. } => Some((None, Some(*replayed))),
            _ => None,
        };
        self.host.events.iter().filter_map(|event| of(&event.kind)).collect()
    }
}

fn user_text(text: &str) -> [serde_json::Value; 3] {
    let block = format!("block {text}");
    [
        serde_json::json!({"event": {"contentStart": {"contentId": block, "type": "TEXT", "role": "USER",
            "additionalModelFields": "{\"generationStage\":\"FINAL\"}"}}}),
        serde_json::json!({"event": {"textOutput": {"contentId": block, "role": "USER", "content": text}}}),
        serde_json::json!({"event": {"contentEnd": {"contentId": block, "type": "TEXT", "stopReason": "PARTIAL_TURN"}}}),
    ]
}

/// Reads until nothing more comes; gives the headers at once.
pub(super) async fn opens(peer: &mut MemoryPeer) -> Vec<Heard> {
    peer.send_headers();
    reads(peer, &mut Judge::default()).await
}

pub(super) async fn reads(peer: &mut MemoryPeer, judge: &mut Judge) -> Vec<Heard> {
    while !judge.is_over()
        && let Ok(input) = tokio::time::timeout(Duration::from_millis(1), peer.next()).await
    {
        judge.hear(&input);
    }
    std::mem::take(&mut judge.heard)
}

pub(super) fn text(text: &str) -> Heard {
    Heard::Text(text.to_owned())
}

/// Texts, and how much audio that is no silence: (bytes, the value).
pub(super) fn asked(heard: &[Heard]) -> (Vec<Heard>, usize) {
    let (audio, words): (Vec<_>, Vec<_>) = heard.iter().cloned().partition(|heard| matches!(heard, Heard::Audio(_)));
    let voiced = |heard: &Heard| match heard {
        Heard::Audio(pcm) => pcm.iter().filter(|byte| **byte != 0).count(),
        _ => 0,
    };
    (words, audio.iter().map(voiced).sum())
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Reset,
    End,
    UplinkLost,
    Junk,
}

const CUTS: [Cut; 4] = [Cut::Reset, Cut::End, Cut::UplinkLost, Cut::Junk];

async fn cut(peer: &mut MemoryPeer, how: Cut) {
    match how {
        Cut::Reset => peer.fail(Error::new(ErrorKind::StreamLost, "reset", "Reset.")).await,
        Cut::End => peer.end(),
        Cut::UplinkLost => peer.refuse_input(),
        Cut::Junk => {
            peer.send_bytes(bytes::Bytes::from_static(b"{")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_was_understood_is_asked_again() {
    for how in CUTS {
        let mut talk = Talk::begin().await;
        talk.says(40, 500);
        talk.says(0, 600);
        reads(&mut talk.peer, &mut opened()).await;
        talk.understood("How warm?").await;
        // An uplink is found to be lost by what is to go up.
        cut(&mut talk.peer, how).await;
        talk.says(0, 20);
        let heard = talk.next().await;
        assert_eq!(asked(&heard), (vec![text("How warm?")], 0), "{how:?}");
        let kinds = talk.ends_well().await;
        let expected = ["turn started", "transcript", "renewing", "renewed", "audio", "turn ended", "ended"];
        assert_eq!(kinds, expected, "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_spoken_utterance_is_given_again_and_declared() {
    for how in CUTS {
        let mut talk = Talk::begin().await;
        talk.says(40, 500);
        reads(&mut talk.peer, &mut opened()).await;
        cut(&mut talk.peer, how).await;
        talk.says(40, 100);
        let heard = talk.next().await;
        assert_eq!(asked(&heard), (vec![], 600 * MS), "{how:?}");
        talk.host.drain();
        let [(Some(Reason::Lost), None), (None, Some(replayed))] = talk.renewed()[..] else { panic!("{how:?}") };
        assert!((500..=600).contains(&replayed.as_millis()), "{how:?}: {replayed:?}");
    }
}

/// A judge of a stream whose opening was read by `live_on`.
pub(super) fn opened() -> Judge {
    Judge::listening()
}

#[tokio::test(start_paused = true)]
async fn in_a_reply_the_question_is_asked_again_and_the_turn_goes_on() {
    let mut talk = Talk::begin().await;
    talk.understood("How warm?").await;
    talk.peer.send(&audio_start("x")).await;
    talk.peer.send(&audio_output("x", &[1; 960])).await;
    talk.host.until(|host| host.kinds().contains(&"audio")).await;
    talk.peer.end();
    assert_eq!(asked(&talk.next().await), (vec![text("How warm?")], 0));
    let kinds = talk.ends_well().await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "turn started").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tool_runs_once_whenever_the_stream_is_cut() {
    for result_first in [false, true] {
        let mut talk = Talk::begin().await;
        talk.understood("How warm?").await;
        talk.peer.send(&tool_use("t1")).await;
        talk.host.until(|host| !host.requests.is_empty()).await;
        if result_first {
            talk.host.session.send_tool_result("t1".into(), "{\"c\":21}".into(), true).unwrap();
            settle().await;
        }
        talk.peer.end();
        let (words, _) = asked(&talk.next().await);
        let note = "[The tool look was called with {\"at\":1} and returned {\"c\":21}]";
        let told = result_first.then(|| Heard::History("USER".into(), note.into()));
        assert_eq!(words, told.into_iter().chain([text("How warm?")]).collect::<Vec<_>>(), "{result_first}");
        talk.peer.send(&tool_use("t2")).await;
        settle().await;
        if !result_first {
            talk.host.session.send_tool_result("t1".into(), "{\"c\":21}".into(), true).unwrap();
        }
        let heard = reads(&mut talk.peer, &mut opened()).await;
        assert_eq!(heard, [Heard::Result("t2".into(), "{\"c\":21}".into())], "{result_first}");
        talk.host.drain();
        let calls = talk.host.requests.iter().filter(|request| matches!(request.kind, RequestKind::Tool { .. }));
        assert_eq!(calls.count(), 1);
        talk.ends_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_half_written_goes_up_whole_on_the_next() {
    let mut talk = Talk::begin().await;
    // The uplink holds four events; a text with its priming has four: its end is not taken.
    talk.says(0, 20);
    settle().await;
    talk.host.session.send_text("Hello?".into()).unwrap();
    settle().await;
    talk.peer.end();
    assert_eq!(asked(&talk.next().await).0, [text("Hello?")]);
    let kinds = talk.ends_well().await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "turn started").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_waits_is_given_to_the_next_and_its_caller_told() {
    let mut talk = Talk::begin().await;
    talk.understood("How warm?").await;
    talk.host.session.prompt(7, "Say goodbye.".into()).unwrap();
    settle().await;
    talk.peer.end();
    assert_eq!(asked(&talk.next().await).0, [text("How warm?")], "a turn runs");
    talk.replies().await;
    talk.host.until(|host| host.requests.iter().any(|r| r.kind == RequestKind::Prompted { token: 7, turn: 2 })).await;
    assert_eq!(asked(&reads(&mut talk.peer, &mut opened()).await).0, [text("Say goodbye.")]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_while_replaying_loses_nothing() {
    let mut talk = Talk::begin().await;
    talk.says(40, 3_000);
    reads(&mut talk.peer, &mut opened()).await;
    for _ in 0..4 {
        talk.peer.end();
        let mut next = talk.service.accept().await.unwrap();
        next.send_headers();
        settle().await;
        // It reads a few events, of which some are of the replay.
        for _ in 0..8 {
            next.next().await;
        }
        settle().await;
        talk.peer = next;
    }
    talk.peer.end();
    assert_eq!(asked(&talk.next().await).1, 3_000 * MS);
}

#[tokio::test(start_paused = true)]
async fn between_streams_audio_waits_and_the_next_attempt_backs_off() {
    let mut talk = Talk::begin().await;
    let begin = Instant::now();
    talk.peer.end();
    for _ in 0..3 {
        let mut refused = talk.service.accept().await.unwrap();
        refused.refuse(Error::new(ErrorKind::Connect, "refused", "Refused."));
        drop(refused);
        talk.says(40, 100);
    }
    let heard = talk.next().await;
    // 125 to 250, 250 to 500, 500 to 1,000 ms.
    let waited = begin.elapsed().as_millis();
    assert!((875..=1_760).contains(&waited), "{waited} ms");
    assert_eq!(asked(&heard).1, 300 * MS);
    talk.host.drain();
    let [(Some(Reason::Lost), None), (None, Some(_))] = talk.renewed()[..] else { panic!("{:?}", talk.renewed()) };
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_after_its_attempts() {
    let mut talk = Talk::with(continuing(Continuation { attempts: 3, ..Continuation::default() })).await;
    talk.peer.end();
    for _ in 0..3 {
        let mut refused = talk.service.accept().await.unwrap();
        refused.refuse(Error::new(ErrorKind::Connect, "refused", "Refused."));
    }
    let (reason, error) = talk.host.ended().await;
    assert_eq!((reason, error.unwrap().code.as_str()), (EndReason::Error, "refused"));
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_must_fix_ends_it() {
    let mut talk = Talk::begin().await;
    talk.peer.fail(Error::new(ErrorKind::AccessDenied, "AccessDeniedException", "Not you.")).await;
    assert_eq!(talk.host.ended().await.1.unwrap().kind, ErrorKind::AccessDenied);
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_breaks_is_tried_three_times() {
    for (broken, opens_at_last) in [(2, true), (3, false)] {
        let (transport, mut service) = service();
        let mut host = Host::spawn(&transport, continuing(Continuation::default()));
        for _ in 0..broken {
            let mut peer = service.accept().await.unwrap();
            peer.refuse(Error::new(ErrorKind::StreamLost, "stream_lost", "Broke."));
        }
        if opens_at_last {
            let mut peer = service.accept().await.unwrap();
            peer.send_headers();
            assert_eq!(host.session.opened().await, Ok(()));
            host.drain();
            assert_eq!(host.kinds(), [""; 0], "nothing was renewed");
        } else {
            assert_eq!(host.ended().await.1.unwrap().code, "stream_lost");
            assert_eq!(host.kinds(), ["ended"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_or_a_limit_between_streams_ends_it_at_once() {
    let limits = Limits { length: Some(Duration::from_mins(1)), ..Limits::default() };
    for limited in [false, true] {
        let settings = SessionConfig { limits: if limited { limits } else { Limits::default() }, ..config() };
        let mut talk = Talk::with(SessionConfig { continuation: Some(Continuation::default()), ..settings }).await;
        tokio::time::sleep(Duration::from_secs(59)).await;
        talk.peer.fail(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")).await;
        let mut refused = talk.service.accept().await.unwrap();
        refused.refuse(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down."));
        settle().await;
        if !limited {
            talk.host.session.close();
        }
        let reason = if limited { EndReason::Limit } else { EndReason::Closed };
        assert_eq!(talk.host.ended().await, (reason, None));
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_between_streams_lets_the_question_go() {
    let mut talk = Talk::begin().await;
    talk.understood("How warm?").await;
    talk.peer.fail(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")).await;
    settle().await;
    talk.host.session.interrupt();
    let heard = talk.next().await;
    assert_eq!(asked(&heard).0, [Heard::History("USER".into(), "How warm?".into())]);
    talk.host.drain();
    assert!(talk.host.kinds().contains(&"interrupted"));
}

pub(super) fn soon() -> Continuation {
    Continuation {
        renew_after: Duration::from_mins(1),
        force_after: Duration::from_secs(90),
        ..Continuation::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_planned_passage_tells_the_history_and_says_goodbye() {
    let mut talk = Talk::with(continuing(soon())).await;
    talk.understood("How warm?").await;
    talk.replies().await;
    let mut old_judge = opened();
    tokio::time::sleep(Duration::from_mins(1)).await;
    talk.says(41, 300);
    let mut next = talk.service.accept().await.unwrap();
    let mut judge = Judge::default();
    assert_eq!(reads(&mut next, &mut judge).await, [], "it waits");
    next.send_headers();
    let heard = reads(&mut next, &mut judge).await;
    assert_eq!(asked(&heard), (vec![Heard::History("USER".into(), "How warm?".into())], 300 * MS));
    // The old one hears the goodbye and says its last; what it heard last is the next one's to answer.
    reads(&mut talk.peer, &mut old_judge).await;
    assert!(old_judge.is_over());
    for event in
        user_text("A rustle.").into_iter().chain([audio_start("z"), audio_output("z", &[1; 960]), tool_use("t")])
    {
        talk.peer.send(&event).await;
    }
    settle().await;
    talk.host.drain();
    let [(Some(Reason::Age), None), (None, Some(replayed))] = talk.renewed()[..] else {
        panic!("{:?}", talk.renewed())
    };
    assert_eq!(replayed, Duration::from_millis(300));
    assert_eq!(talk.host.kinds().last(), Some(&"renewed"));
    assert!(talk.host.requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_running_turn_is_waited_for_and_by_force_finishes_on_the_old_stream() {
    let mut talk = Talk::with(continuing(soon())).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    talk.understood("How warm?").await;
    talk.peer.send(&audio_start("a")).await;
    talk.peer.send(&audio_output("a", &[1; 960])).await;
    let mut next = talk.service.accept().await.unwrap();
    next.send_headers();
    let mut judge = Judge::default();
    assert_eq!(reads(&mut next, &mut judge).await, []);
    tokio::time::sleep(Duration::from_secs(20)).await;
    talk.peer.send(&audio_output("a", &[1; 960])).await;
    reads(&mut next, &mut judge).await;
    assert!(!judge.has_begun(), "a turn runs");
    tokio::time::sleep(Duration::from_secs(12)).await;
    reads(&mut next, &mut judge).await;
    assert!(judge.has_begun(), "by force");
    let mut old = opened();
    reads(&mut talk.peer, &mut old).await;
    assert!(!old.is_over(), "it still replies");
    for _ in 0..3 {
        // Longer than it may be silent.
        tokio::time::sleep(Duration::from_secs(10)).await;
        talk.peer.send(&audio_output("a", &[1; 960])).await;
    }
    talk.peer.send(&audio_end("a", "END_TURN")).await;
    reads(&mut talk.peer, &mut old).await;
    assert!(old.is_over());
    talk.host.until(|host| host.kinds().contains(&"turn ended")).await;
    let audio = talk.host.events.iter().filter(|event| kind(event) == "audio").count();
    assert_eq!(audio, 5, "no piece of the reply is missing");
}

#[tokio::test(start_paused = true)]
async fn where_a_second_stream_is_refused_the_first_goes_before() {
    let mut talk = Talk::with(continuing(soon())).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut refused = talk.service.accept().await.unwrap();
    refused.refuse(Error::new(ErrorKind::Throttled, "ServiceQuotaExceededException", "One at a time."));
    drop(refused);
    let mut old = opened();
    reads(&mut talk.peer, &mut old).await;
    assert!(old.is_over());
    talk.says(40, 100);
    talk.peer.end();
    let began = Instant::now();
    assert_eq!(asked(&talk.next().await).1, 100 * MS);
    assert!(began.elapsed() < Duration::from_secs(1), "its place was free");
    talk.host.drain();
    assert_eq!(talk.renewed().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_end_are_a_reason_to_go_on_before() {
    let (transport, mut service) = service();
    let host = Host::spawn(&transport, continuing(Continuation::default()));
    let mut peer = service.accept().await.unwrap();
    peer.credentials_expire_at = Some(SystemTime::now() + Duration::from_mins(5));
    opens(&mut peer).await;
    host.session.opened().await.unwrap();
    let began = Instant::now();
    let mut talk = Talk { host, peer, left: Vec::new(), service, _transport: transport };
    talk.next().await;
    assert!((119..=120).contains(&began.elapsed().as_secs()), "three minutes before: {:?}", began.elapsed());
    talk.host.until(|host| host.kinds().contains(&"renewed")).await;
    assert_eq!(talk.renewed()[0].0, Some(Reason::Credentials));
}

pub(super) fn wish(token: u64, voice: &str) -> Reconfiguration {
    Reconfiguration { token, voice: Some(voice.to_owned()), ..Reconfiguration::default() }
}

fn told(host: &Host) -> Vec<(u64, bool)> {
    let of = |kind: &RequestKind| match kind {
        RequestKind::Reconfigured { token, error } => Some((*token, error.is_none())),
        _ => None,
    };
    host.requests.iter().filter_map(|request| of(&request.kind)).collect()
}

/// The next stream's voice; its headers come.
pub(super) async fn voice(talk: &mut Talk) -> String {
    let mut next = talk.service.accept().await.unwrap();
    let mut judge = Judge::default();
    next.send_headers();
    reads(&mut next, &mut judge).await;
    // The old one lives until the next has stood its trial.
    talk.left.push(std::mem::replace(&mut talk.peer, next));
    judge.voice
}

#[tokio::test(start_paused = true)]
async fn another_configuration_comes_with_another_stream() {
    let mut talk = Talk::begin().await;
    talk.host.session.reconfigure(wish(1, "matthew")).unwrap();
    assert_eq!(voice(&mut talk).await, "matthew");
    talk.host.until(|host| told(host) == [(1, true)]).await;
    assert_eq!(talk.renewed()[0].0, Some(Reason::Reconfigured));
    // Two wishes, of which the second comes while the next stream of the first opens.
    talk.host.session.reconfigure(wish(2, "amy")).unwrap();
    let first = talk.service.accept().await.unwrap();
    talk.host.session.reconfigure(wish(3, "ambre")).unwrap();
    assert_eq!(voice(&mut talk).await, "ambre");
    assert!(first.is_reset(), "it speaks with the wrong voice");
    talk.host.until(|host| told(host) == [(1, true), (2, true), (3, true)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_wish_between_streams_costs_no_second_passage() {
    let mut talk = Talk::begin().await;
    talk.peer.fail(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")).await;
    settle().await;
    talk.host.session.reconfigure(wish(1, "matthew")).unwrap();
    assert_eq!(voice(&mut talk).await, "matthew");
    talk.host.until(|host| told(host) == [(1, true)]).await;
    assert!(tokio::time::timeout(Duration::from_secs(100), talk.service.accept()).await.is_err());
    // One that comes while the next stream opens does.
    talk.peer.end();
    let mut next = talk.service.accept().await.unwrap();
    talk.host.session.reconfigure(wish(2, "amy")).unwrap();
    settle().await;
    opens(&mut next).await;
    assert_eq!(voice(&mut talk).await, "amy");
    talk.host.until(|host| told(host) == [(1, true), (2, true)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_the_service_refuses_leaves_all_as_it_was() {
    let mut talk = Talk::begin().await;
    talk.host.session.reconfigure(wish(1, "nobody")).unwrap();
    let mut next = talk.service.accept().await.unwrap();
    next.refuse(Error::new(ErrorKind::Validation, "invalid_voice", "No such voice."));
    talk.host.until(|host| told(host) == [(1, false)]).await;
    drop(next);
    talk.understood("How warm?").await;
    talk.peer.end();
    assert_eq!(voice(&mut talk).await, "tiffany");
    talk.ends_well().await;
}

#[tokio::test(start_paused = true)]
async fn without_continuation_a_stream_is_the_conversation_but_for_the_caller_s_wish() {
    let mut talk = Talk::with(config()).await;
    talk.host.session.reconfigure(wish(1, "matthew")).unwrap();
    assert_eq!(voice(&mut talk).await, "matthew");
    talk.host.until(|host| told(host) == [(1, true)]).await;
    talk.peer.end();
    assert_eq!(talk.host.ended().await.0, EndReason::Error);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_too_long_is_halved_and_stays_so() {
    let long = continuing(Continuation { history_bytes: 40, ..Continuation::default() });
    let mut talk = Talk::with(long).await;
    talk.understood("Tell me of the sea.").await;
    talk.host.session.interrupt();
    for event in [audio_start("a"), audio_end("a", "END_TURN")] {
        talk.peer.send(&event).await;
    }
    talk.host.until(|host| host.kinds().contains(&"turn ended")).await;
    talk.understood("And of the wind.").await;
    talk.host.session.interrupt();
    settle().await;
    let bytes = |heard: &[Heard]| match &asked(heard).0[..] {
        [Heard::History(_, text)] => text.len(),
        other => panic!("{other:?}"),
    };
    talk.peer.end();
    assert_eq!(bytes(&talk.next().await), 36);
    let long = Error::new(ErrorKind::Validation, "history_too_long", "Too long.").recovering(Recovery::TrimHistory);
    talk.peer.fail(long).await;
    assert_eq!(bytes(&talk.next().await), 20);
    talk.understood("Well?").await;
    talk.host.session.interrupt();
    settle().await;
    talk.peer.end();
    assert_eq!(bytes(&talk.next().await), 20);
}

#[tokio::test(start_paused = true)]
async fn a_microphone_does_not_stay_late_after_an_outage() {
    let settings = SessionConfig { realtime: true, ..continuing(Continuation::default()) };
    let mut talk = Talk::with(settings).await;
    talk.peer.fail(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down.")).await;
    for _ in 0..2 {
        let mut refused = talk.service.accept().await.unwrap();
        refused.refuse(Error::new(ErrorKind::Throttled, "ThrottlingException", "Slow down."));
    }
    let began = Instant::now();
    let mut next = loop {
        talk.host.session.try_send_audio(&[40; 100 * MS]).unwrap();
        tokio::select! {
            peer = &mut Box::pin(talk.service.accept()) => break peer.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    };
    assert!(began.elapsed() > Duration::from_secs(1));
    opens(&mut next).await;
    settle().await;
    assert_eq!(talk.host.session.stats().queued_input_ms, 0);
    assert!(!talk.host.events.iter().any(is_end));
}
