use std::time::Duration;

use bytes::Bytes;

use super::EventQueue;
use crate::conversation::{EndReason, Event, EventKind, InterruptSource};

fn event(turn: Option<u32>, kind: EventKind) -> Event {
    Event { at: Duration::ZERO, turn, raw_type: "test".into(), kind }
}

fn audio(turn: u32, ms: usize) -> Event {
    event(Some(turn), EventKind::Audio { pcm: Bytes::from(vec![1; ms * 48]), rate_hz: 24_000 })
}

fn interrupted(turn: u32) -> Event {
    event(Some(turn), EventKind::Interrupted { source: InterruptSource::Model })
}

fn unknown() -> Event {
    event(None, EventKind::Unknown { name: "new".into(), raw: "{}".into() })
}

fn ended() -> Event {
    event(None, EventKind::SessionEnded { reason: EndReason::Closed, error: None })
}

fn drain(queue: &EventQueue, max: usize) -> (Vec<Event>, bool, bool) {
    let mut out = Vec::new();
    let drained = queue.drain(max, &mut out);
    (out, drained.more, drained.room)
}

#[test]
fn one_edge_one_wake_up() {
    let queue = EventQueue::new(1_000);
    assert!(!queue.push(&mut vec![]), "nothing is no news");
    assert!(queue.push(&mut vec![unknown(), unknown()]));
    assert!(!queue.push(&mut vec![unknown()]), "the host has been told");
    let (events, more, _) = drain(&queue, 2);
    assert_eq!((events.len(), more), (2, true));
    assert!(!queue.push(&mut vec![unknown()]), "the host knows that more waits");
    let (events, more, _) = drain(&queue, 10);
    assert_eq!((events.len(), more), (2, false));
    assert!(queue.push(&mut vec![unknown()]));
}

#[test]
fn only_audio_counts_and_the_reader_is_told_when_it_may_go_on() {
    let queue = EventQueue::new(100);
    queue.push(&mut (0..1_000).map(|_| unknown()).collect());
    assert!(!queue.is_full());
    drain(&queue, 1_000);
    queue.push(&mut vec![audio(1, 60), audio(1, 40), unknown()]);
    assert!(queue.is_full());
    let (_, more, room) = drain(&queue, 1);
    assert!(more && room && !queue.is_full());
    let (_, _, room) = drain(&queue, 9);
    assert!(!room, "it was not full any more");
}

#[test]
fn short_pieces_are_not_rounded_up_one_by_one() {
    let queue = EventQueue::new(10_000);
    // 100 pieces of 1 sample: 4.2 ms, not 100.
    let piece = event(Some(1), EventKind::Audio { pcm: Bytes::from_static(&[0, 0]), rate_hz: 24_000 });
    queue.push(&mut vec![piece; 100]);
    assert!((4_000..5_000).contains(&queue.counts().queued_us), "{}", queue.counts().queued_us);
}

#[test]
fn an_interruption_purges_its_turns_audio_and_nothing_else() {
    let queue = EventQueue::new(1_000);
    let mut batch =
        vec![audio(1, 10), event(Some(1), EventKind::TurnStarted), audio(2, 20), unknown(), audio(2, 30), audio(1, 5)];
    queue.push(&mut batch);
    assert!(queue.push(&mut vec![interrupted(2)]), "told although events wait: the host may be leaving them");
    assert_eq!(queue.interrupted_turn(), Some(2));
    let counts = queue.counts();
    assert_eq!((counts.queued_us, counts.purged_us, counts.received_us), (15_000, 50_000, 65_000));
    let (events, _, _) = drain(&queue, 10);
    let expected = [audio(1, 10), event(Some(1), EventKind::TurnStarted), unknown(), audio(1, 5), interrupted(2)];
    assert_eq!(events, expected);
    assert_eq!(queue.counts().queued_us, 0);
}

#[test]
fn a_batch_with_audio_and_its_interruption_is_purged_too() {
    let queue = EventQueue::new(1_000);
    queue.push(&mut vec![audio(1, 10), interrupted(1)]);
    assert_eq!(drain(&queue, 10).0, [interrupted(1)]);
}

#[test]
fn a_session_ends_once_and_last() {
    let queue = EventQueue::new(1_000);
    queue.push(&mut vec![unknown()]);
    assert!(queue.end(ended()));
    assert!(!queue.end(ended()));
    let mut late = vec![unknown()];
    assert!(!queue.push(&mut late));
    assert!(late.is_empty());
    assert_eq!(drain(&queue, 10).0, [unknown(), ended()]);
    assert_eq!((queue.counts().events, queue.counts().unknown), (2, 1));
}

#[test]
fn a_flood_of_anything_stops_the_reading_and_loses_nothing() {
    let queue = EventQueue::new(120_000);
    let mut pushed = 0;
    let sample = event(Some(1), EventKind::Audio { pcm: Bytes::from_static(&[0, 0]), rate_hz: 24_000 });
    let words = event(None, EventKind::Unknown { name: "new".into(), raw: "x".repeat(1_000) });
    while !queue.is_full() {
        queue.push(&mut vec![words.clone(), sample.clone()]);
        pushed += 2;
    }
    assert!((10_000..40_000).contains(&pushed), "{pushed}");
    let (some, more, room) = drain(&queue, 256);
    assert!(more && room);
    queue.push(&mut vec![interrupted(1)]);
    let (rest, _, _) = drain(&queue, usize::MAX);
    let words_seen = [&some[..], &rest].concat().iter().filter(|event| **event == words).count();
    assert_eq!(words_seen, pushed / 2);
    assert_eq!(queue.lock().held_bytes, 0);
}
