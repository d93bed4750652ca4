use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

/// Device rates to and from the three of the service, and pairs without a table of their own (`MAX_EXACT_TAPS`).
const DEVICES_HZ: [u32; 12] =
    [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000];
const SERVICE_HZ: [u32; 3] = [8_000, 16_000, 24_000];
const ODD: [(u32, u32); 6] =
    [(44_056, 16_000), (8_001, 24_000), (16_000, 37_801), (191_999, 8_000), (24_000, 47_952), (176_401, 24_000)];

fn pairs() -> Vec<(u32, u32)> {
    let mut pairs: Vec<_> = DEVICES_HZ
        .iter()
        .flat_map(|device| SERVICE_HZ.iter().flat_map(|service| [(*device, *service), (*service, *device)]))
        .filter(|(from, to)| from != to)
        .chain(ODD)
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

/// A tone of amplitude 1 through the filter, without the rounding to 16 bits (98 dB down by itself); the edges left out.
fn through(from_hz: u32, to_hz: u32, frequency_hz: f64) -> Vec<f64> {
    let mut filter = Filter::new(Kernel::between(from_hz, to_hz));
    let mut out = Vec::new();
    #[expect(clippy::cast_possible_truncation, reason = "24 bits of mantissa are what the filter takes")]
    let tone = (0..from_hz / 8).map(|n| (TAU * frequency_hz * f64::from(n) / f64::from(from_hz)).cos() as f32);
    filter.push(tone, &mut |value| out.push(f64::from(value)));
    out.drain(..(to_hz / 50) as usize);
    out
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn rms(samples: &[f64]) -> f64 {
    (samples.iter().map(|s| s * s).sum::<f64>() / samples.len() as f64).sqrt()
}

/// Amplitude of the component at `frequency_hz`, by least squares, and the RMS of what is left without it.
#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn split(samples: &[f64], rate_hz: u32, frequency_hz: f64) -> (f64, f64) {
    let basis = |n: usize| (TAU * frequency_hz * n as f64 / f64::from(rate_hz)).sin_cos();
    let (mut ss, mut cc, mut sc, mut ys, mut yc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, y) in samples.iter().enumerate() {
        let (s, c) = basis(n);
        (ss, cc, sc, ys, yc) = (ss + s * s, cc + c * c, sc + s * c, ys + y * s, yc + y * c);
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((ys * cc - yc * sc) / determinant, (yc * ss - ys * sc) / determinant);
    let rest: Vec<f64> = samples.iter().enumerate().map(|(n, y)| y - a * basis(n).0 - b * basis(n).1).collect();
    (a.hypot(b), rms(&rest))
}

/// What the filter adds to or leaves of one tone, in dB of it: what folded back or was mirrored.
fn unwanted(from_hz: u32, to_hz: u32, frequency_hz: f64) -> f64 {
    let out = through(from_hz, to_hz, frequency_hz);
    let nyquist = f64::from(from_hz.min(to_hz)) / 2.0;
    let rest = if frequency_hz < nyquist { split(&out, to_hz, frequency_hz).1 } else { rms(&out) };
    decibels(rest / 0.5_f64.sqrt())
}

fn gain(from_hz: u32, to_hz: u32, frequency_hz: f64) -> f64 {
    decibels(split(&through(from_hz, to_hz, frequency_hz), to_hz, frequency_hz).0)
}

/// Seconds between an input sample and the output that stands for it, the longest of all.
fn delay(from_hz: u32, to_hz: u32) -> f64 {
    let mut filter = Filter::new(Kernel::between(from_hz, to_hz));
    let (mut said, mut longest) = (0_u32, 0.0_f64);
    for taken in 0..from_hz / 20 {
        let now = f64::from(taken) / f64::from(from_hz);
        filter.push(std::iter::once(0.0), &mut |_| {
            longest = longest.max(now - f64::from(said) / f64::from(to_hz));
            said += 1;
        });
    }
    longest
}

/// Tones over the whole input band, closest around the lower Nyquist frequency, where a filter fails first.
fn tones(from_hz: u32, to_hz: u32) -> Vec<f64> {
    let (nyquist, top) = (f64::from(from_hz.min(to_hz)) / 2.0, f64::from(from_hz) / 2.0);
    let around = [-300.0, -200.0, -100.0, -30.0, -3.0, 1.0, 5.0, 20.0, 60.0, 150.0, 400.0, 1_000.0];
    let spread = [0.02, 0.13, 0.31, 0.52, 0.71, 0.83, 0.94, 0.998];
    let mut tones: Vec<f64> =
        around.iter().map(|off| nyquist + off).chain(spread.iter().map(|part| part * top)).collect();
    tones.retain(|tone| *tone < top - 1.0);
    tones
}

#[test]
fn nothing_folds_back_and_nothing_is_mirrored() {
    for (from, to) in pairs() {
        for tone in tones(from, to) {
            let level = unwanted(from, to, tone);
            assert!(level <= -94.0, "{from} -> {to}, {tone} Hz: {level:.1} dB");
        }
    }
}

#[test]
fn the_pass_band_is_flat_up_to_350_hz_below_the_lower_nyquist_frequency() {
    for (from, to) in pairs() {
        let nyquist = f64::from(from.min(to)) / 2.0;
        for part in [0.01, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9] {
            let tone = part * (nyquist - 450.0);
            let ripple = gain(from, to, tone);
            assert!(ripple.abs() <= 0.001, "{from} -> {to}, {tone} Hz: {ripple:.5} dB");
        }
        let edge = gain(from, to, nyquist - 350.0);
        assert!((-0.1..=0.001).contains(&edge), "{from} -> {to} at the edge: {edge:.3} dB");
    }
}

#[test]
fn the_delay_is_below_10_ms() {
    for (from, to) in pairs() {
        let delay = delay(from, to);
        assert!((0.008..=0.010).contains(&delay), "{from} -> {to}: {:.3} ms", delay * 1e3);
    }
}

#[test]
fn a_click_stays_where_it_was() {
    for (from, to) in pairs() {
        // At a sample of both grids, a tenth of a second in.
        let (at, wanted) = ((from / 10) as usize, (u64::from(from / 10) * u64::from(to)).div_ceil(u64::from(from)));
        let mut click = vec![0; from as usize / 5];
        click[at] = 32_000;
        let out = resample(&click, from, to);
        let loudest = out.iter().enumerate().max_by_key(|(_, s)| s.unsigned_abs()).map(|(n, _)| n as u64).unwrap();
        assert!(loudest.abs_diff(wanted) <= 1, "{from} -> {to}: at {loudest}, not {wanted}");
    }
}

#[test]
fn a_full_tone_in_16_bits_is_as_clean_as_16_bits_are() {
    for (from, to) in pairs() {
        #[expect(clippy::cast_possible_truncation, reason = "within full scale")]
        let tone = |rate: u32| -> Vec<i16> {
            (0..rate / 4)
                .map(|n| (32_000.0 * (TAU * 997.0 * f64::from(n) / f64::from(rate)).sin()).round() as i16)
                .collect()
        };
        let out = resample(&tone(from), from, to);
        let middle: Vec<f64> =
            out[to as usize / 50..out.len() - to as usize / 50].iter().map(|s| f64::from(*s)).collect();
        let (amplitude, rest) = split(&middle, to, 997.0);
        assert!((amplitude / 32_000.0 - 1.0).abs() < 1e-4, "{from} -> {to}: {amplitude}");
        // Rounding once on either side: 2 * 1/12.
        assert!(rest < 0.5, "{from} -> {to}: {rest}");
        let wanted = tone(to);
        let last = out.len().min(wanted.len()) - to as usize / 50;
        let off = (to as usize / 50..last).map(|n| (i32::from(out[n]) - i32::from(wanted[n])).abs()).max().unwrap();
        assert!(off <= 4, "{from} -> {to}: off by {off}");
    }
}

#[test]
fn a_minute_loses_and_gains_nothing() {
    for (from, to) in [(44_100, 16_000), (24_000, 44_100), (11_025, 24_000), (44_056, 16_000), (191_999, 8_000)] {
        let (mut resampler, mut out) = (Resampler::new(from, to).unwrap(), Vec::new());
        let (mut taken, mut said) = (0_u64, 0_u64);
        let piece = vec![0; from as usize / 31];
        for _ in 0..60 * 31 {
            resampler.push(&piece, &mut out);
            (taken, said) = (taken + piece.len() as u64, said + out.len() as u64);
            out.clear();
        }
        resampler.flush(&mut out);
        said += out.len() as u64;
        assert_eq!(said, (taken * u64::from(to)).div_ceil(u64::from(from)), "{from} -> {to}");
        assert!(resampler.filter.unwrap().wave.capacity() < 20_000, "{from} -> {to}: the past is kept");
    }
}

#[test]
fn equal_rates_pass_untouched_and_at_once() {
    let (mut resampler, mut out) = (Resampler::new(16_000, 16_000).unwrap(), Vec::new());
    resampler.push(&[7, i16::MIN, i16::MAX], &mut out);
    assert_eq!(out, [7, i16::MIN, i16::MAX]);
    resampler.flush(&mut out);
    assert_eq!(out.len(), 3);
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
    assert_eq!(resample(&[500], 192_000, 8_000).len(), 1);
}

#[test]
fn the_widest_rates_work_and_others_are_refused() {
    for (from, to) in [(1_000, 384_000), (384_000, 1_000), (384_000, 383_999), (1_000, 1_001), (1_001, 1_000)] {
        let tone = vec![1_000; from as usize / 4];
        let out = resample(&tone, from, to);
        assert_eq!(out.len(), (from as usize / 4 * to as usize).div_ceil(from as usize));
        assert!((out[out.len() / 2] - 1_000).abs() <= 2, "{from} -> {to}: {}", out[out.len() / 2]);
    }
    for (from, to) in [(0, 16_000), (16_000, 0), (999, 16_000), (16_000, 384_001), (u32::MAX, u32::MAX)] {
        assert!(Resampler::new(from, to).is_none());
        assert!(resample(&[1, 2, 3], from, to).is_empty());
    }
}

#[test]
fn after_a_flush_or_a_reset_it_begins_anew() {
    let noise: Vec<i16> = (0..5_000).map(|n| i16::try_from(n * 7_919 % 20_011 - 10_000).unwrap()).collect();
    for (from, to) in [(44_100, 16_000), (16_000, 48_000), (44_056, 16_000)] {
        let (mut resampler, wanted) = (Resampler::new(from, to).unwrap(), resample(&noise, from, to));
        for again in 0..2 {
            let mut out = Vec::new();
            resampler.push(&noise, &mut out);
            resampler.flush(&mut out);
            assert_eq!(out, wanted, "{from} -> {to}, time {again}");
        }
        resampler.push(&noise[..777], &mut Vec::new());
        resampler.reset();
        let mut out = Vec::new();
        resampler.push(&noise, &mut out);
        resampler.flush(&mut out);
        assert_eq!(out, wanted, "{from} -> {to} after a reset");
    }
}

proptest! {
    #[test]
    fn however_the_input_is_cut_the_output_is_the_same(
        pair in proptest::sample::select(pairs()),
        pcm in proptest::collection::vec(any::<i16>(), 0..6_000),
        cuts in proptest::collection::vec(0..4_000_usize, 0..12),
    ) {
        let (from, to) = pair;
        let (mut resampler, mut out) = (Resampler::new(from, to).unwrap(), Vec::new());
        let mut rest = pcm.as_slice();
        for cut in cuts {
            let (piece, later) = rest.split_at(cut.min(rest.len()));
            resampler.push(piece, &mut out);
            rest = later;
        }
        resampler.push(rest, &mut out);
        resampler.flush(&mut out);
        prop_assert_eq!(&out, &resample(&pcm, from, to));
        prop_assert_eq!(out.len(), (pcm.len() * to as usize).div_ceil(from as usize));
    }

    #[test]
    fn one_sample_at_a_time_is_a_way_to_cut(
        pair in proptest::sample::select(pairs()),
        pcm in proptest::collection::vec(any::<i16>(), 0..3_000),
    ) {
        let (mut resampler, mut out) = (Resampler::new(pair.0, pair.1).unwrap(), Vec::new());
        for sample in &pcm {
            resampler.push(std::slice::from_ref(sample), &mut out);
        }
        resampler.flush(&mut out);
        prop_assert_eq!(out, resample(&pcm, pair.0, pair.1));
    }
}

/// Not a check: `cargo test --release --lib figures -- --ignored --nocapture` prints what the documentation quotes.
#[test]
#[ignore = "prints figures"]
fn figures() {
    let ms = |began: std::time::Instant| began.elapsed().as_secs_f64() * 1e3;
    for (from, to) in pairs() {
        let began = std::time::Instant::now();
        let kernel = Kernel::between(from, to);
        let built = ms(began);
        let nyquist = f64::from(from.min(to)) / 2.0;
        let stop = tones(from, to).into_iter().map(|tone| unwanted(from, to, tone)).fold(f64::MIN, f64::max);
        let ripple =
            (1..30).map(|part| gain(from, to, f64::from(part) / 30.0 * (nyquist - 450.0)).abs()).fold(0.0, f64::max);
        let edge = (200..450).map(f64::from).find(|off| gain(from, to, nyquist - off) > -0.1).unwrap_or(f64::NAN);
        let second = vec![0_i16; from as usize];
        let began = std::time::Instant::now();
        resample(&second, from, to);
        println!(
            "{from:>6} -> {to:>6}: stop {stop:7.1} dB, ripple {ripple:.5} dB, -0.1 dB at {:.0} Hz of {nyquist:.0}, delay \
             {:.2} ms, {:.2} ms of CPU a second, built in {built:.1} ms{}",
            nyquist - edge,
            delay(from, to) * 1e3,
            ms(began),
            if kernel.lookahead() == kernel.lookbehind() { "" } else { ", cubic" },
        );
    }
}
