use super::*;

/// One second.
#[expect(clippy::cast_possible_truncation, reason = "10,000 is far from the edge")]
fn tone(frequency_hz: f64, rate_hz: u32) -> Vec<i16> {
    (0..rate_hz)
        .map(|n| (10_000.0 * (2.0 * PI * frequency_hz * f64::from(n) / f64::from(rate_hz)).sin()) as i16)
        .collect()
}

/// Root mean square, the first and last twentieth left out (the filter's edges).
fn rms(samples: &[i16]) -> f64 {
    let edge = samples.len() / 20;
    let middle = &samples[edge..samples.len() - edge];
    (middle.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / ratio(middle.len(), 1)).sqrt()
}

const RATES: [(u32, u32); 7] = [
    (22_050, 24_000),
    (22_050, 16_000),
    (22_050, 8_000),
    (24_000, 16_000),
    (8_000, 16_000),
    (16_000, 24_000),
    (44_100, 16_000),
];

#[test]
fn a_tone_in_the_pass_band_keeps_its_level_and_length() {
    for (from, to) in RATES {
        for part in [0.05, 0.4, 0.8] {
            let frequency = part * f64::from(from.min(to)) / 2.0;
            let out = resample(&tone(frequency, from), from, to);
            assert_eq!(out.len(), to as usize, "{from} -> {to}");
            let level = rms(&out) / (10_000.0 / 2_f64.sqrt());
            assert!((level - 1.0).abs() < 0.01, "{from} -> {to}, {frequency} Hz: level {level}");
        }
    }
}

#[test]
fn a_tone_keeps_its_frequency_and_phase() {
    for (from, to) in RATES {
        let (out, wanted) = (resample(&tone(440.0, from), from, to), tone(440.0, to));
        let error: Vec<i16> = out.iter().zip(&wanted).map(|(a, b)| a - b).collect();
        assert!(rms(&error) < 20.0, "{from} -> {to}: error {}", rms(&error));
    }
}

#[test]
fn what_the_lower_rate_cannot_hold_is_removed() {
    for (from, to) in RATES.into_iter().filter(|(from, to)| from > to) {
        let out = resample(&tone(1.08 * f64::from(to) / 2.0, from), from, to);
        assert!(rms(&out) < 7.0, "{from} -> {to}: {} is left of 7071", rms(&out));
    }
}

#[test]
fn full_scale_saturates_instead_of_wrapping() {
    let square: Vec<i16> = (0..2_000).map(|n| if n / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
    let out = resample(&square, 8_000, 24_000);
    assert!(out[605..655].iter().all(|s| s.signum() == out[630].signum()), "a ripple above full scale wrapped");
}

#[test]
fn the_smallest_inputs_are_no_special_case() {
    assert!(resample(&[], 22_050, 24_000).is_empty());
    assert_eq!(resample(&[7], 16_000, 16_000), [7]);
    assert_eq!(resample(&[500], 8_000, 16_000).len(), 2);
    assert!(resample(&[1, 2, 3], 0, 16_000).is_empty());
    assert!(resample(&[1, 2, 3], 16_000, 0).is_empty());
}
