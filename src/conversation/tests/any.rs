//! Whatever the service sends, in whatever order, the promises to the reader hold.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Hears(OutputEvent),
    Types(&'static str),
    Interrupts,
    Prompts(&'static str),
    Answers(String),
    LosesStream,
}

fn id() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "c", "d", "e"]).prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "One.", "Two.", "One. Two.", "Three", r#"{ "interrupted" : true }"#])
        .prop_map(str::to_owned)
}

fn role() -> impl Strategy<Value = Option<Role>> {
    prop::sample::select(vec![None, Some(Role::User), Some(Role::Assistant), Some(Role::Tool)])
}

fn stage() -> impl Strategy<Value = Option<GenerationStage>> {
    prop::sample::select(vec![None, Some(GenerationStage::Speculative), Some(GenerationStage::Final)])
}

fn content() -> impl Strategy<Value = OutputContent> {
    prop_oneof![
        (role(), stage()).prop_map(|(role, stage)| OutputContent::Text { role, stage }),
        Just(OutputContent::Audio { rate_hz: None }),
        Just(OutputContent::Tool),
        Just(OutputContent::Other("VIDEO".to_owned())),
    ]
}

fn content_end() -> impl Strategy<Value = OutputEvent> {
    let kinds = vec![None, Some(ContentKind::Text), Some(ContentKind::Audio), Some(ContentKind::Tool)];
    let reasons = vec![PARTIAL, END, INTERRUPTED, StopReason::ToolUse];
    (id(), prop::sample::select(kinds), prop::sample::select(reasons))
        .prop_map(|(content_id, kind, stop_reason)| OutputEvent::ContentEnd { content_id, kind, stop_reason })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (id(), content())
            .prop_map(|(content_id, content)| Act::Hears(OutputEvent::ContentStart { content_id, content })),
        3 => (id(), role(), words())
            .prop_map(|(content_id, role, text)| Act::Hears(OutputEvent::TextOutput { content_id, role, text })),
        4 => id().prop_map(|id| Act::Hears(audio_output(&id))),
        3 => content_end().prop_map(Act::Hears),
        1 => Just(Act::Hears(speech_start())),
        1 => Just(Act::Hears(speech_end())),
        1 => Just(Act::Types("Three")),
        1 => Just(Act::Interrupts),
        1 => Just(Act::Prompts("One.")),
        2 => (id(), id()).prop_map(|(content_id, tool_use_id)| Act::Hears(OutputEvent::ToolUse {
            content_id, tool_use_id, name: "look".to_owned(), arguments: "{}".to_owned()
        })),
        2 => id().prop_map(Act::Answers),
        1 => Just(Act::LosesStream),
    ]
}

impl Act {
    fn on(self, conversation: &mut Conversation, now: Duration, out: &mut Vec<Event>) {
        match self {
            Self::Hears(event) => conversation.on_output(event, now, out),
            Self::Types(text) => conversation.on_typed(text.to_owned(), now, out),
            Self::Interrupts => conversation.interrupt(now, out),
            Self::Prompts(text) => {
                let turn = conversation.on_prompted(text.to_owned(), now, out);
                assert_eq!(conversation.turn(), Some(turn));
            }
            Self::Answers(id) => {
                conversation.on_tool_result(id, "{}".to_owned(), true, now, out);
            }
            Self::LosesStream => conversation.on_lost(now, out),
        }
    }
}

/// What the reader was promised, checked event by event without a look at how it is kept.
#[derive(Default)]
struct Reader {
    started: BTreeSet<u32>,
    ended: BTreeSet<u32>,
    interrupted: BTreeSet<u32>,
    /// On the present stream.
    called: BTreeSet<String>,
    /// Without a result yet; a call outlives its stream.
    waiting: Vec<String>,
    /// Final ones; a plan may not follow its final.
    segments: BTreeSet<(u32, bool, u32)>,
}

impl Reader {
    fn reads(&mut self, event: &Event) {
        let Some(turn) = event.turn else {
            assert!(matches!(event.kind, EventKind::Unknown { .. } | EventKind::Usage { .. }), "no turn: {event:?}");
            return;
        };
        match &event.kind {
            EventKind::TurnStarted => {
                assert_eq!(turn, self.started.last().map_or(1, |last| last + 1), "numbers grow by one");
                assert_eq!(self.started.len(), self.ended.len(), "turn {turn} began in another");
                self.started.insert(turn);
            }
            EventKind::TurnEnded { interrupted, .. } => {
                assert!(self.started.contains(&turn) && self.ended.insert(turn), "turn {turn} ended twice or unbegun");
                assert_eq!(*interrupted, self.interrupted.contains(&turn));
            }
            EventKind::Interrupted { .. } => {
                assert!(self.interrupted.insert(turn), "turn {turn} interrupted twice");
            }
            EventKind::Audio { .. } => {
                assert!(!self.interrupted.contains(&turn), "audio of turn {turn} after its interruption");
            }
            EventKind::Transcript { speaker, text, is_final, segment } => {
                assert!(!text.contains("interrupted") || *speaker == Speaker::User, "a marker was shown");
                let place = (turn, *speaker == Speaker::User, *segment);
                if *is_final {
                    assert!(self.segments.insert(place), "segment {place:?} final twice");
                } else {
                    assert!(!self.segments.contains(&place), "segment {place:?} planned after it was final");
                }
            }
            EventKind::ToolCall { id, .. } => {
                assert!(self.called.insert(id.clone()), "{id} called twice");
                self.waiting.push(id.clone());
            }
            EventKind::ToolFinished { id, .. } => {
                let waits = self.waiting.iter().position(|waiting| waiting == id);
                self.waiting.remove(waits.unwrap_or_else(|| panic!("{id} finished twice or uncalled")));
            }
            _ => {}
        }
        assert!(self.started.contains(&turn), "{event:?} before its turn");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold(acts in prop::collection::vec((act(), 0_u64..200), 0..60)) {
        let mut conversation = conversation();
        let mut reader = Reader::default();
        let mut now = Duration::ZERO;
        let mut out = Vec::new();
        for (act, pause_ms) in acts {
            now += Duration::from_millis(pause_ms);
            if matches!(act, Act::LosesStream) {
                // The next one may give an old id anew.
                reader.called.clear();
            }
            act.on(&mut conversation, now, &mut out);
            out.drain(..).for_each(|event| reader.reads(&event));
            prop_assert_eq!(conversation.turn().is_some(), reader.started.len() > reader.ended.len());
        }
        conversation.on_end(now, &mut out);
        for event in &out {
            reader.reads(event);
        }
        prop_assert_eq!(reader.started, reader.ended);
    }

    /// A conversation that began elsewhere is the same one, but for the numbers of its turns.
    #[test]
    fn turns_count_on_from_the_first(
        before in prop_oneof![1_u32..5, Just(i32::MAX as u32 - 1)],
        acts in prop::collection::vec((act(), 0_u64..200, 0_u32..4), 0..60),
    ) {
        let counted_on = SharedHistory::counting_from(before + 1);
        let (mut one, mut other) = (conversation(), Conversation::new(terms(), counted_on));
        let (mut told, mut told_on) = (Vec::new(), Vec::new());
        let mut now = Duration::ZERO;
        for (act, pause_ms, played) in acts {
            now += Duration::from_millis(pause_ms);
            act.clone().on(&mut one, now, &mut told);
            act.on(&mut other, now, &mut told_on);
            // Of turn 0 nobody has heard; a turn of the other process is none of ours.
            one.history.lock().played(played, now / 2);
            other.history.lock().played(before + played, now / 2);
            other.history.lock().played(before, now);
            prop_assert_eq!(one.retold(&[], usize::MAX), other.retold(&[], usize::MAX));
            prop_assert_eq!(one.question(), other.question());
        }
        for event in &mut told {
            event.turn = event.turn.map(|turn| turn + before);
        }
        prop_assert_eq!(told, told_on);
        let (history, counted_on) = (one.history.lock(), other.history.lock());
        prop_assert_eq!(history.turns().len(), counted_on.turns().len());
        prop_assert!(counted_on.turn(before).is_none(), "that one is not ours");
        for (turn, later) in history.turns().iter().zip(counted_on.turns()) {
            let mut turn = turn.clone();
            turn.number += before;
            prop_assert_eq!(Some(&turn), counted_on.turn(turn.number));
            prop_assert_eq!(&turn, later);
        }
    }
}

/// Hours of talk without a stream's end: what is remembered does not grow.
#[test]
fn memory_is_bounded() {
    let mut conversation = conversation();
    let mut out = Vec::new();
    for n in 0..2_000 {
        let answer = format!("Answer {n}.");
        let events = [user(&format!("u{n}"), "Well?"), plan(&format!("p{n}"), &answer), audio(&format!("a{n}"), END)];
        for event in events.into_iter().flatten() {
            conversation.on_output(event, Duration::from_secs(n), &mut out);
        }
        // Not one FINAL comes.
        out.clear();
    }
    let remembered = format!("{:?}{:?}", conversation.blocks, conversation.turns);
    assert!(remembered.len() < 32_768, "{} bytes of memory", remembered.len());
}
