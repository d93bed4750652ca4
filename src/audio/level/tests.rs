use super::*;

#[test]
fn silence_and_nothing_are_silent() {
    assert_eq!(Level::of(std::iter::empty()), Level::default());
    assert_eq!(Level::of([0; 100].into_iter()), Level::default());
}

#[test]
fn full_scale_is_one_and_a_sine_three_decibels_below() {
    assert_eq!(Level::of([i16::MIN; 10].into_iter()), Level { rms: 1.0, peak: 1.0 });
    #[expect(clippy::cast_possible_truncation, reason = "within full scale")]
    let sine = (0..8_000).map(|n| (32_767.0 * (f64::from(n) * std::f64::consts::TAU / 80.0).sin()).round() as i16);
    let level = Level::of(sine);
    assert!((level.rms - 0.5_f64.sqrt()).abs() < 1e-4, "{level:?}");
    assert!((level.peak - 1.0).abs() < 1e-4, "{level:?}");
}

#[test]
fn one_click_raises_the_peak_alone() {
    let level = Level::of((0..1_000).map(|n| if n == 500 { -16_384 } else { 0 }));
    assert!((level.peak - 0.5).abs() < 1e-9 && level.rms < 0.02, "{level:?}");
}
