use super::*;

#[test]
fn a_murmur_is_audible_and_paced_like_speech() {
    for rate_hz in [8_000, 16_000, 24_000] {
        let pcm = murmur("Hello", rate_hz);
        assert!(crate::audio::duration_ms(pcm.len(), rate_hz) >= 300);
        assert!(rms(&pcm) > 1_500.0, "{}", rms(&pcm));
        let sentence = murmur("this is a sentence of eight plain words", rate_hz);
        // 120 to 240 words a minute.
        assert!((2_000..4_000).contains(&crate::audio::duration_ms(sentence.len(), rate_hz)));
    }
    assert!(murmur("", 16_000).is_empty());
}

#[test]
fn equal_rates_are_bit_exact_and_others_keep_length_and_pitch() {
    let pcm = Bytes::from(tone(440.0, 500, 16_000));
    assert_eq!(resample(&pcm, 16_000, 16_000), pcm);
    for rate_hz in [8_000_u32, 24_000, 11_025] {
        let other = resample(&pcm, 16_000, rate_hz);
        assert!(crate::audio::duration_ms(other.len(), rate_hz).abs_diff(500) <= 1);
        let crossings = samples(&other).zip(samples(&other).skip(1)).filter(|(a, b)| *a < 0 && *b >= 0).count();
        assert!(crossings.abs_diff(220) <= 2, "{crossings} at {rate_hz}");
        assert!((rms(&other) / rms(&pcm) - 1.0).abs() < 0.05);
    }
    assert!(resample(&Bytes::new(), 16_000, 8_000).is_empty());
}

#[test]
fn the_loudest_window_is_a_part_of_the_whole() {
    let mut pcm = vec![0; 16_000];
    pcm.extend(tone(300.0, 200, 16_000));
    let loudest = loudest_window(&pcm, 16_000);
    assert!(loudest > 4_000.0 && loudest > 1.5 * rms(&pcm), "{loudest}");
    assert!(loudest_window(&[], 16_000) < 0.1);
}
