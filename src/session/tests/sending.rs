use std::time::Duration;

use super::{Host, MS, config, live, pcm, settle, text_block, unknown};
use crate::conversation::{EventKind, Speaker};

#[tokio::test(start_paused = true)]
async fn audio_and_text_go_up_as_the_caller_gave_them() {
    let (host, mut peer) = live(config()).await;
    host.session.try_send_audio(&[1; 100 * MS]).unwrap();
    host.session.send_text("Go on.".into()).unwrap();
    host.session.try_send_audio(&[2; 32 * MS]).unwrap();
    assert_eq!(pcm(&mut peer).await, [1; 100 * MS]);
    assert_eq!(text_block(&mut peer).await, "Go on.");
    assert_eq!(pcm(&mut peer).await, [2; 32 * MS]);
    settle().await;
    let stats = host.session.stats();
    assert_eq!((stats.sent_audio_ms, stats.queued_input_ms), (132, 0));
}

#[tokio::test(start_paused = true)]
async fn text_is_primed_with_silence_unless_a_microphone_runs() {
    let (host, mut peer) = live(config()).await;
    let say = |text: &str| host.session.send_text(text.into()).unwrap();

    say("never fed");
    assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    assert_eq!(text_block(&mut peer).await, "never fed");

    say("silence alone is no microphone");
    assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    text_block(&mut peer).await;

    host.session.try_send_audio(&[1; 32 * MS]).unwrap();
    assert_eq!(pcm(&mut peer).await, [1; 32 * MS]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    say("a microphone runs");
    assert_eq!(text_block(&mut peer).await, "a microphone runs");

    tokio::time::sleep(Duration::from_secs(1)).await;
    say("it has stopped");
    assert_eq!(pcm(&mut peer).await, [0; 100 * MS]);
    assert_eq!(text_block(&mut peer).await, "it has stopped");
    assert_eq!(host.session.stats().sent_audio_ms, 32, "silence of ours is not the caller's");
}

#[tokio::test(start_paused = true)]
async fn typed_text_opens_a_turn_once_it_is_sent() {
    let (mut host, mut peer) = live(config()).await;
    for _ in 0..4 {
        host.session.try_send_audio(&[1; 32 * MS]).unwrap();
    }
    host.session.send_text("Hello.".into()).unwrap();
    settle().await;
    host.drain();
    assert!(host.events.is_empty(), "the peer has not taken the block: {:?}", host.kinds());
    for _ in 0..4 {
        pcm(&mut peer).await;
    }
    text_block(&mut peer).await;
    host.until_events(2).await;
    assert_eq!(host.kinds(), ["turn started", "transcript"]);
    let EventKind::Transcript { speaker, text, is_final, .. } = &host.events[1].kind else { unreachable!() };
    assert_eq!((*speaker, text.as_str(), *is_final), (Speaker::User, "Hello.", true));
}

#[tokio::test(start_paused = true)]
async fn a_muted_caller_sends_silence() {
    let (host, mut peer) = live(config()).await;
    host.session.mute(true);
    host.session.try_send_audio(&[1; 32 * MS]).unwrap();
    host.session.mute(false);
    host.session.try_send_audio(&[2; 20 * MS]).unwrap();
    assert_eq!(pcm(&mut peer).await, [0; 32 * MS]);
    assert_eq!(pcm(&mut peer).await, [2; 20 * MS]);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_uplink_does_not_hold_up_reading() {
    let (mut host, peer) = live(config()).await;
    for _ in 0..50 {
        host.session.try_send_audio(&[1; 100 * MS]).unwrap();
    }
    settle().await;
    assert!(host.session.stats().queued_input_ms >= 4_000, "the peer takes nothing");
    for number in 0..20 {
        assert!(peer.send(&unknown(number)).await);
    }
    host.until_events(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_tells_when_there_is_room() {
    let mut small = config();
    small.buffers.input_ms = 1_000;
    let (host, mut peer) = live(small).await;
    let chunk = [1; 100 * MS];
    let mut taken = 0;
    // What the uplink holds and the piece on its way do not count against the queue.
    while taken < 100 {
        settle().await;
        if !host.session.try_send_audio(&chunk).unwrap() {
            break;
        }
        taken += 1;
    }
    assert!((10..20).contains(&taken), "{taken}");
    let stats = host.session.stats();
    assert_eq!((stats.refused_chunks, stats.refused_audio_ms, stats.queued_input_ms), (1, 100, 1_000));
    assert_eq!(host.session.has_room(chunk.len()), Ok(false));
    assert_eq!(host.session.stats().refused_chunks, 1, "asking is not being refused");

    host.session.want_room(chunk.len());
    settle().await;
    assert_eq!(host.session.stats().wakeups, 0);
    for _ in 0..taken {
        assert_eq!(pcm(&mut peer).await, chunk, "nothing that was taken is dropped");
    }
    settle().await;
    assert_eq!(host.session.stats().wakeups, 1, "one wish, one wake-up");
    host.told().await;
    assert_eq!(host.session.has_room(chunk.len()), Ok(true));

    host.session.want_room(chunk.len());
    host.told().await;
}

/// Two senders that wait for room by notification alone, on a runtime with threads: nothing is lost, nobody sleeps on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_room_never_misses_it() {
    let mut small = config();
    small.buffers.input_ms = 50;
    let (host, mut peer) = live(small).await;
    let Host { session, bell, .. } = host;
    let sender = tokio::spawn(async move {
        for number in 0..3_000_usize {
            let chunk = vec![u8::try_from(number % 200).unwrap() + 1; (number % 50 + 1) * MS];
            while !session.try_send_audio(&chunk).unwrap() {
                session.want_room(chunk.len());
                tokio::time::timeout(Duration::from_secs(20), bell.notified()).await.expect("never told of room");
            }
        }
        session
    });
    let expected: usize = (0..3_000).map(|number| (number % 50 + 1) * MS).sum();
    let mut heard = 0;
    while heard < expected {
        heard += pcm(&mut peer).await.len();
    }
    assert_eq!(heard, expected);
    assert_eq!(sender.await.unwrap().stats().queued_input_ms, 0);
}
