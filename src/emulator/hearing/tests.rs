use super::*;
use crate::emulator::sound::rms;

const RATE_HZ: u32 = 16_000;

/// Noise of one level, from a generator of our own so that every run hears the same.
fn noise(ms: u64, level: f32, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..u64::from(RATE_HZ) * ms / 1_000)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Uniform between -1 and 1 has an RMS of 1/sqrt(3).
            let value = f64::from(state >> 8) / f64::from(1 << 23) - 1.0;
            #[allow(clippy::cast_possible_truncation)] // `as` saturates
            let sample = (value * f64::from(level) * 3.0_f64.sqrt()) as i16;
            sample.to_le_bytes()
        })
        .collect()
}

/// Syllables of 140 ms with dips of 60 ms between them.
fn speech(ms: u32, level: f32) -> Vec<u8> {
    (0..ms / 200).flat_map(|n| [noise(140, level, n + 1), noise(60, level / 12.0, n + 77)].concat()).collect()
}

fn silence(ms: u64) -> Vec<u8> {
    vec![0; (u64::from(RATE_HZ) * ms / 500) as usize]
}

fn hear(hearing: &mut Hearing, pcm: &[u8], model_level: Option<f32>) -> Vec<Heard> {
    let mut heard = Vec::new();
    // 32 ms, and an odd number of samples now and then.
    for (chunk, n) in pcm.chunks(1_024).zip(0..) {
        let (left, right) = chunk.split_at(if n % 3 == 0 { chunk.len() / 4 * 2 } else { chunk.len() });
        hearing.feed(left, model_level, &mut heard);
        hearing.feed(right, model_level, &mut heard);
    }
    heard
}

fn medium() -> Hearing {
    Hearing::new(RATE_HZ, Sensitivity::Medium, 1.0)
}

#[test]
fn an_utterance_is_heard_once_with_its_sound_and_place() {
    for level in [300.0, 1_000.0, 8_000.0] {
        let said = speech(1_400, level);
        let heard = hear(&mut medium(), &[silence(1_000), said.clone(), silence(1_500)].concat(), None);
        let [Heard::Began { offset_ms }, Heard::Ended { offset_ms: end_ms, detected_ms, pcm }] = heard.as_slice()
        else {
            panic!("at {level}: {} events", heard.len());
        };
        assert!((980..=1_060).contains(offset_ms), "began at {offset_ms}");
        assert!((2_260..=2_420).contains(end_ms), "ended at {end_ms}");
        assert!((500..=600).contains(&(detected_ms - end_ms)), "noticed {detected_ms}");
        // Every sample of the speech is in it, bit for bit.
        let voiced = &said[..said.len() - 1_000 * 2];
        assert!(pcm.windows(voiced.len()).step_by(2).any(|window| window == voiced), "at {level}");
        let spoken_ms = crate::audio::duration_ms(pcm.len(), RATE_HZ);
        assert!((1_400..=2_000).contains(&spoken_ms), "{spoken_ms} ms kept");
    }
}

#[test]
fn speech_from_the_first_sample_is_heard() {
    let heard = hear(&mut medium(), &[speech(800, 2_000.0), silence(800)].concat(), None);
    assert!(matches!(heard.as_slice(), [Heard::Began { offset_ms: 0 }, Heard::Ended { .. }]));
}

#[test]
fn each_sensitivity_has_its_own_pause() {
    let pause = |sensitivity, speed| {
        let mut hearing = Hearing::new(RATE_HZ, sensitivity, speed);
        let heard = hear(&mut hearing, &[speech(600, 2_000.0), silence(2_000)].concat(), None);
        match heard.as_slice() {
            [_, Heard::Ended { offset_ms, detected_ms, .. }] => detected_ms - offset_ms,
            _ => panic!("{} events", heard.len()),
        }
    };
    assert_eq!(pause(Sensitivity::High, 1.0), 400);
    assert_eq!(pause(Sensitivity::Medium, 1.0), 540);
    assert_eq!(pause(Sensitivity::Low, 1.0), 800);
    assert_eq!(pause(Sensitivity::Low, 2.0), 400);
    assert_eq!(pause(Sensitivity::Low, 1_000.0), 100);
}

#[test]
fn a_short_gap_does_not_end_an_utterance_and_a_long_one_does() {
    let talk = |gap| [speech(600, 2_000.0), silence(gap), speech(600, 2_000.0), silence(1_000)].concat();
    assert_eq!(hear(&mut medium(), &talk(300), None).len(), 2);
    assert_eq!(hear(&mut medium(), &talk(900), None).len(), 4);
}

#[test]
fn clicks_hiss_and_silence_are_not_speech() {
    let click = [silence(500), noise(40, 12_000.0, 3), silence(500)].concat();
    let typing = [noise(30, 6_000.0, 4), silence(150)].concat();
    for (name, pcm) in [
        ("silence", silence(3_000)),
        ("clicks", click.repeat(4)),
        ("typing", typing.repeat(20)),
        ("hiss", noise(3_000, 100.0, 5)),
    ] {
        assert_eq!(hear(&mut medium(), &pcm, None), [], "{name}");
    }
}

#[test]
fn the_floor_learns_a_fan_and_a_speaker_above_it_is_still_heard() {
    let mut hearing = medium();
    // Until the floor knows it, the fan is taken for one utterance at most.
    assert!(hear(&mut hearing, &noise(8_000, 600.0, 1), None).len() <= 2);
    assert_eq!(hear(&mut hearing, &noise(4_000, 600.0, 2), None), []);
    let mixed: Vec<u8> = [speech(1_000, 5_000.0), noise(1_500, 600.0, 9)].concat();
    assert_eq!(hear(&mut hearing, &mixed, None).len(), 2);
}

#[test]
fn a_loudspeakers_echo_does_not_interrupt_and_a_talker_does() {
    let model = speech(3_000, 4_000.0);
    let level = crate::emulator::sound::loudest_window(&model, RATE_HZ);
    let echo: Vec<u8> = speech(3_000, 400.0);
    assert!((rms(&echo) / rms(&model) - 0.1).abs() < 0.01);
    assert_eq!(hear(&mut medium(), &echo, Some(level)), []);
    // The same sound with the model silent is speech: the bar made the difference.
    assert_eq!(hear(&mut medium(), &[echo, silence(1_000)].concat(), None).len(), 2);
    for level_of_talker in [4_000.0, 2_000.0, 1_000.0] {
        let heard = hear(&mut medium(), &speech(1_000, level_of_talker), Some(level));
        assert!(matches!(heard.as_slice(), [Heard::Began { offset_ms }] if *offset_ms < 300), "{level_of_talker}");
    }
}

#[test]
fn a_hesitant_beginning_is_kept_whole() {
    // Voiced four windows in ten: it takes long until this is sure to be speech.
    let syllable = [noise(80, 3_000.0, 6), noise(120, 50.0, 7)].concat();
    let heard = hear(&mut medium(), &[silence(1_000), syllable.repeat(10), silence(1_000)].concat(), None);
    let [Heard::Began { offset_ms }, Heard::Ended { pcm, .. }] = heard.as_slice() else {
        panic!("{} events", heard.len());
    };
    assert!((980..=1_020).contains(offset_ms), "began at {offset_ms}");
    assert!(pcm.windows(syllable.len()).step_by(2).any(|window| window == syllable));
    assert!(crate::audio::duration_ms(pcm.len(), RATE_HZ) >= 1_900);
}

#[test]
fn an_endless_talker_is_answered_and_memory_bounded() {
    let mut hearing = medium();
    let talk = speech(20_000, 3_000.0);
    let heard: Vec<Heard> = (0..4).flat_map(|_| hear(&mut hearing, &talk, None)).collect();
    assert!(matches!(heard.as_slice(), [Heard::Began { .. }, Heard::Ended { .. }, Heard::Began { .. }]));
    let Heard::Ended { pcm, .. } = &heard[1] else { unreachable!() };
    assert_eq!(crate::audio::duration_ms(pcm.len(), RATE_HZ).div_ceil(1_000), 60);
    let mut quiet = medium();
    hear(&mut quiet, &silence(20_000), None);
    assert!(quiet.kept.len() <= quiet.bytes_in(2 * (LONGEST_ONSET_MS + PRE_ROLL_MS)) + 1_024);
}
