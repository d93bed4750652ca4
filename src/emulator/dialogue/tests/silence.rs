//! Clients send silence all day: it keeps a stream alive, is never speech, and costs next to nothing.

use super::*;

/// Frames of 32 ms in real time, as a client sends them while nobody speaks.
fn silence(stage: &mut Stage, time: Duration) {
    let frame = Duration::from_millis(32);
    let pcm = audio_input("a", &[0; 1_024]);
    let end = stage.now + time;
    while stage.now < end {
        stage.send(&pcm);
        stage.wait(frame);
    }
}

#[test]
fn minutes_of_silence_keep_a_stream_alive_and_leave_its_ears_open() {
    // The limits shrink with the speed, what the client sends in real time does not.
    for (speed, seconds) in [(1.0, 420), (10.0, 42), (100.0, 4)] {
        let mut stage = Stage::open_with(Brain::Parrot, Settings { speed, ..Settings::default() });
        silence(&mut stage, Duration::from_secs(seconds));
        assert_eq!(stage.lines(), [""; 0], "speed {speed}");
        stage.hear(&spoken());
        silence(&mut stage, Duration::from_millis(600));
        let lines = stage.lines();
        for line in ["userSpeechStart", "userSpeechEnd", "TEXT USER FINAL", "AUDIO"] {
            assert!(lines.contains(&line.to_owned()), "speed {speed}: no {line} in {lines:?}");
        }
    }
}

/// Half a second where this was written, 4 µs a frame; a bound of ten seconds finds only what grows with time.
#[test]
fn an_hour_of_silence_costs_little() {
    let settings = Settings { stream_limit: Duration::MAX, ..Settings::default() };
    let mut stage = Stage::open_with(Brain::Parrot, settings);
    let began = Instant::now();
    silence(&mut stage, Duration::from_hours(1));
    let took = began.elapsed();
    println!("an hour of silence: {} ms", took.as_millis());
    assert_eq!(stage.lines(), [""; 0]);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A recording is paced in real time even where the emulator's clocks run faster: words are not cut at their pauses.
#[test]
fn speech_in_real_time_is_one_utterance_at_any_speed() {
    for speed in [1.0, 4.0, 20.0] {
        let mut stage = Stage::open_with(Brain::Host, Settings { speed, ..Settings::default() });
        let word = sound::tone(220.0, 320, 16_000);
        let pause = vec![0; 60 * 32];
        for part in [&word, &pause, &word, &pause, &word] {
            for frame in part.chunks(1_024) {
                stage.send(&audio_input("a", frame));
                stage.wait(Duration::from_millis(32));
            }
        }
        silence(&mut stage, Duration::from_secs(1));
        let turns: Vec<_> = stage.out.iter().filter(|emit| matches!(emit, Emit::Ask(_))).collect();
        assert_eq!(turns.len(), 1, "speed {speed}");
    }
}
