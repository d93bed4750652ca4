use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::{InputQueue, MAX_QUEUED_TEXTS, MAX_TEXT_BYTES, Taken, closed_error};
use crate::error::{Error, ErrorKind};

/// 16 kHz: 32 bytes a millisecond.
const MS: usize = 32;

fn queue(capacity_ms: u64) -> InputQueue {
    InputQueue::new(16_000, capacity_ms)
}

fn audio(queue: &InputQueue) -> Vec<u8> {
    let mut all = Vec::new();
    while let (Some(Taken::Audio(pcm)), _) = queue.pop(true) {
        all.extend_from_slice(&pcm);
    }
    all
}

#[test]
fn a_full_queue_refuses_whole_chunks_and_counts_them() {
    let queue = queue(100);
    assert_eq!(queue.try_audio(&[1; 90 * MS]), Ok(true));
    assert_eq!(queue.try_audio(&[2; 20 * MS]), Ok(false), "20 ms do not fit into 10");
    assert_eq!(queue.try_audio(&[3; 10 * MS]), Ok(true), "but 10 ms do");
    let counts = queue.counts();
    assert_eq!((counts.queued_ms, counts.refused_chunks, counts.refused_ms), (100, 1, 20));
    assert_eq!(audio(&queue), [vec![1; 90 * MS], vec![3; 10 * MS]].concat());
    assert_eq!(queue.counts().queued_ms, 0);
}

#[test]
fn the_bound_is_time_at_every_rate() {
    for (rate_hz, bytes) in [(8_000, 16_000), (16_000, 32_000), (24_000, 48_000), (44_100, 88_200), (192_000, 384_000)]
    {
        let queue = InputQueue::new(rate_hz, 1_000);
        assert_eq!(queue.try_audio(&vec![0; bytes]), Ok(true), "{rate_hz} Hz");
        assert_eq!(queue.try_audio(&[0; 2]), Ok(false), "{rate_hz} Hz");
        assert_eq!(queue.counts().queued_ms, 1_000, "{rate_hz} Hz");
    }
}

#[test]
fn unusable_chunks_are_errors_with_a_cure_and_change_nothing() {
    let queue = queue(100);
    for (bytes, code) in [(0, "empty_audio"), (3, "odd_audio"), (100 * MS + 2, "audio_too_long")] {
        let error = queue.try_audio(&vec![0; bytes]).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::AudioFormat, code));
        assert!(error.cure.is_some(), "{code}");
        assert_eq!(queue.has_room(bytes).unwrap_err(), error, "nobody waits for what can never be taken");
    }
    let counts = queue.counts();
    assert_eq!((counts.queued_ms, counts.refused_chunks), (0, 0));
}

#[test]
fn long_chunks_leave_in_pieces_and_the_rest_stays_counted() {
    let queue = queue(1_000);
    let pcm: Vec<u8> = (0..=255).cycle().take(250 * MS).collect();
    queue.try_audio(&pcm).unwrap();
    let lengths = [100, 100, 50].map(|ms| ms * MS);
    let mut seen = Vec::new();
    for (length, left) in lengths.into_iter().zip([150, 50, 0]) {
        let (Some(Taken::Audio(piece)), _) = queue.pop(true) else { panic!("a piece is due") };
        assert_eq!(piece.len(), length);
        assert_eq!(queue.counts().queued_ms, left);
        seen.extend_from_slice(&piece);
    }
    assert_eq!(seen, pcm);
    assert_eq!(queue.pop(true).0, None);
}

#[test]
fn tiny_chunks_that_wait_are_joined_and_usual_ones_are_not() {
    let queue = queue(30_000);
    for _ in 0..16_000 {
        assert!(queue.try_audio(&[7, 0]).unwrap());
    }
    queue.push_text("between".to_owned()).unwrap();
    queue.mute(true);
    for _ in 0..160 {
        assert!(queue.try_audio(&[7, 0]).unwrap());
    }
    queue.mute(false);
    for _ in 0..3 {
        assert!(queue.try_audio(&[8; 16 * MS]).unwrap());
    }
    let taken: Vec<_> = std::iter::from_fn(|| queue.pop(true).0).collect();
    let lengths: Vec<_> = taken
        .iter()
        .map(|taken| match taken {
            Taken::Audio(pcm) => pcm.len() / MS,
            Taken::Text(_) => 0,
        })
        .collect();
    assert_eq!(lengths, [vec![20; 50], vec![0, 10, 16, 16, 16]].concat());
    assert!(taken[..50].iter().all(|taken| *taken == Taken::Audio([7, 0].repeat(10 * MS).into())));
    assert_eq!(queue.counts().queued_ms, 0);
}

#[test]
fn text_keeps_its_place_among_audio() {
    let queue = queue(1_000);
    queue.try_audio(&[1; 150 * MS]).unwrap();
    queue.push_text("between".into()).unwrap();
    queue.try_audio(&[2; 10 * MS]).unwrap();
    let kinds: Vec<_> = std::iter::from_fn(|| queue.pop(true).0)
        .map(|taken| match taken {
            Taken::Audio(pcm) => format!("{} x {}", pcm[0], pcm.len() / MS),
            Taken::Text(text) => text,
        })
        .collect();
    assert_eq!(kinds, ["1 x 100", "1 x 50", "between", "2 x 10"]);
}

#[test]
fn texts_are_bounded() {
    let queue = queue(1_000);
    assert_eq!(queue.push_text(String::new()).unwrap_err().code, "empty_text");
    assert_eq!(queue.push_text("x".repeat(MAX_TEXT_BYTES + 1)).unwrap_err().code, "text_too_long");
    for _ in 0..MAX_QUEUED_TEXTS {
        queue.push_text("x".into()).unwrap();
    }
    let error = queue.push_text("x".into()).unwrap_err();
    assert_eq!((error.kind, error.retryable), (ErrorKind::Throttled, true));
    queue.pop(true);
    queue.push_text("x".into()).unwrap();
}

#[test]
fn a_muted_caller_sends_silence_of_equal_length() {
    let queue = queue(1_000);
    queue.try_audio(&[1; 10 * MS]).unwrap();
    queue.mute(true);
    queue.try_audio(&[2; 230 * MS]).unwrap();
    queue.mute(false);
    queue.try_audio(&[3; 10 * MS]).unwrap();
    assert_eq!(queue.counts().queued_ms, 250, "silence counts as the audio it stands for");
    assert_eq!(audio(&queue), [vec![1; 10 * MS], vec![0; 230 * MS], vec![3; 10 * MS]].concat());
}

#[test]
fn room_is_told_once_and_at_the_low_water_mark() {
    let queue = queue(400);
    queue.try_audio(&[0; 400 * MS]).unwrap();
    assert!(!queue.want_room(MS));
    let told: Vec<bool> = (0..4).map(|_| queue.pop(true).1).collect();
    assert_eq!(told, [false, false, true, false], "100 of 400 ms are left after the third piece; then nobody waits");
    assert!(queue.want_room(MS), "room already there is told at once");
}

#[test]
fn a_large_chunk_is_not_told_of_room_it_does_not_fit_into() {
    let queue = queue(400);
    queue.try_audio(&[0; 150 * MS]).unwrap();
    queue.pop(true);
    assert_eq!(queue.has_room(400 * MS), Ok(false));
    assert!(!queue.want_room(400 * MS), "50 ms are left: below the mark, yet the chunk does not fit");
    assert!(!queue.want_room(MS), "a smaller wish does not cancel the larger");
    assert!(queue.pop(true).1);
    assert_eq!(queue.has_room(400 * MS), Ok(true));
}

#[test]
fn the_end_answers_whoever_waits() {
    for end in [(|queue: &InputQueue| queue.close(closed_error())) as fn(&InputQueue) -> bool, |queue| {
        queue.end(Some(Error::new(ErrorKind::StreamLost, "stream_lost", "Gone.")))
    }] {
        let queue = queue(100);
        queue.try_audio(&[0; 100 * MS]).unwrap();
        assert!(!queue.want_room(MS));
        assert!(end(&queue));
        assert!(queue.want_room(MS), "and whoever comes later");
    }
}

#[test]
fn closing_keeps_what_was_taken_and_ending_says_why() {
    let queue = queue(100);
    queue.try_audio(&[7; 10 * MS]).unwrap();
    queue.close(closed_error());
    assert_eq!(queue.try_audio(&[7; MS]).unwrap_err().kind, ErrorKind::Closed);
    assert_eq!(queue.push_text("late".into()).unwrap_err().kind, ErrorKind::Closed);
    assert_eq!(audio(&queue), [7; 10 * MS]);

    let lost = Error::new(ErrorKind::StreamLost, "stream_lost", "Gone.");
    queue.end(Some(lost.clone()));
    assert_eq!(queue.try_audio(&[0; 3]), Err(lost.clone()), "the end comes before the format");
    assert_eq!(queue.has_room(MS), Err(lost));
}

/// Producers that wait only for notifications get everything through, whatever the interleaving.
#[test]
fn no_wake_up_is_lost() {
    const PRODUCERS: u8 = 4;
    const CHUNKS: usize = 2_000;
    // One chunk larger than three quarters of the buffer, so the low-water mark alone would not do.
    let sizes = [1, 3, 9, 16].map(|ms| ms * MS);
    let queue = Arc::new(queue(20));
    let bell = Arc::new((Mutex::new(0_u64), Condvar::new()));
    let ring = {
        let bell = bell.clone();
        move || {
            *bell.0.lock().unwrap() += 1;
            bell.1.notify_all();
        }
    };
    let producers: Vec<_> = (1..=PRODUCERS)
        .map(|number| {
            let (queue, bell, ring) = (queue.clone(), bell.clone(), ring.clone());
            let size = sizes[usize::from(number) - 1];
            thread::spawn(move || {
                for _ in 0..CHUNKS {
                    loop {
                        let heard = *bell.0.lock().unwrap();
                        if queue.try_audio(&vec![number; size]).unwrap() {
                            break;
                        }
                        if queue.want_room(size) {
                            ring();
                        }
                        let waited =
                            bell.1.wait_timeout_while(bell.0.lock().unwrap(), Duration::from_secs(20), |rings| {
                                *rings == heard
                            });
                        assert!(!waited.unwrap().1.timed_out(), "producer {number} was never told");
                    }
                }
            })
        })
        .collect();
    let expected: usize = sizes.iter().map(|size| size * CHUNKS).sum();
    let mut counts = [0_usize; PRODUCERS as usize];
    while counts.iter().sum::<usize>() < expected {
        let (taken, told) = queue.pop(true);
        if told {
            ring();
        }
        if let Some(Taken::Audio(pcm)) = taken {
            for chunk in pcm.chunk_by(|a, b| a == b) {
                counts[usize::from(chunk[0]) - 1] += chunk.len();
            }
        } else {
            assert!(!producers.iter().all(thread::JoinHandle::is_finished), "{counts:?} of {expected}");
            thread::yield_now();
        }
    }
    assert_eq!(counts, sizes.map(|size| size * CHUNKS));
    for producer in producers {
        producer.join().unwrap();
    }
}

#[derive(Debug, Clone)]
enum Op {
    Audio(u8, usize),
    Text,
    Mute(bool),
    Pop,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u8..=255, 1_usize..200).prop_map(|(value, ms)| Op::Audio(value, ms)),
        1 => Just(Op::Text),
        1 => any::<bool>().prop_map(Op::Mute),
        4 => Just(Op::Pop),
    ]
}

proptest! {
    /// Whatever was taken comes out, whole, in order, once, and the gauge is exact.
    #[test]
    fn what_goes_in_comes_out(ops in prop::collection::vec(op(), 1..200)) {
        let queue = queue(500);
        let (mut expected, mut seen, mut muted) = (Vec::<u8>::new(), Vec::<u8>::new(), false);
        let (mut texts, mut queued) = (0_u8, 0);
        let mark = |number: u8| vec![255, number, 255];
        let mut pop = |queued: &mut usize| match queue.pop(true).0 {
            Some(Taken::Audio(pcm)) => { *queued -= pcm.len(); seen.extend_from_slice(&pcm); true }
            Some(Taken::Text(text)) => { seen.extend(mark(text.parse().unwrap())); true }
            None => false,
        };
        for op in ops {
            match op {
                Op::Audio(value, ms) => {
                    let pcm = vec![value; ms * MS];
                    let taken = queue.try_audio(&pcm).unwrap();
                    prop_assert_eq!(taken, queued + pcm.len() <= 500 * MS);
                    if taken {
                        queued += pcm.len();
                        expected.extend(if muted { vec![0; pcm.len()] } else { pcm });
                    }
                }
                Op::Text if queue.push_text(texts.to_string()).is_ok() => { expected.extend(mark(texts)); texts += 1; }
                Op::Text => {}
                Op::Mute(on) => { muted = on; queue.mute(on); }
                Op::Pop => { pop(&mut queued); }
            }
            prop_assert_eq!(queue.counts().queued_ms, (queued / MS) as u64);
        }
        while pop(&mut queued) {}
        prop_assert_eq!(seen, expected);
    }
}
