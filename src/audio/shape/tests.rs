use proptest::prelude::*;

use super::*;
use crate::audio::samples;

fn mono(form: Form, data: &[u8], channels: usize) -> Vec<i16> {
    samples(&form.to_mono(data, channels).unwrap()).collect()
}

fn of_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn floats_saturate_and_what_is_no_number_is_silence() {
    let loud = [0.0, 1.0, -1.0, 0.999_97, 1.5, -7e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-9, -0.0];
    let wanted = [0, i16::MAX, i16::MIN, i16::MAX, i16::MAX, i16::MIN, i16::MAX, i16::MIN, 0, 0, 0];
    assert_eq!(mono(Form::F32, &of_f32(&loud), 1), wanted);
    let doubles: Vec<u8> = loud.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
    assert_eq!(mono(Form::F64, &doubles, 1), wanted);
    assert_eq!(mono(Form::F32, &of_f32(&[f32::INFINITY, f32::NEG_INFINITY, 0.5, f32::NAN]), 2), [0, 0]);
}

#[test]
fn whole_numbers_of_other_widths_keep_their_level() {
    assert_eq!(mono(Form::U8, &[0, 128, 255, 129], 1), [-32_768, 0, 32_512, 256]);
    let wide = [i32::MIN, 0, i32::MAX, 65_536, -65_536, 32_768];
    let bytes: Vec<u8> = wide.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(mono(Form::I32, &bytes, 1), [-32_768, 0, 32_767, 1, -1, 1]);
    let packed: Vec<u8> = wide.iter().flat_map(|value| value.to_le_bytes()[1..].to_vec()).collect();
    assert_eq!(mono(Form::I24, &packed, 1), [-32_768, 0, 32_767, 1, -1, 1]);
}

#[test]
fn channels_are_folded_into_their_mean() {
    let stereo: Vec<u8> = [100_i16, 300, -5, -6, i16::MAX, i16::MAX, i16::MIN, i16::MIN, i16::MAX, i16::MIN]
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    assert_eq!(mono(Form::I16, &stereo, 2), [200, -6, i16::MAX, i16::MIN, -1]);
    assert_eq!(mono(Form::I16, &stereo[..12], 6), [10_987]);
    assert_eq!(mono(Form::F32, &of_f32(&[1.0, 0.0, -0.5, -0.5]), 2), [16_384, -16_384]);
}

#[test]
fn half_frames_and_no_channels_are_refused() {
    for (form, bytes, channels) in [
        (Form::I16, 3, 1),
        (Form::I16, 6, 2),
        (Form::I24, 4, 1),
        (Form::F32, 12, 2),
        (Form::U8, 4, 0),
        (Form::F64, 7, 1),
    ] {
        assert_eq!(form.to_mono(&vec![0; bytes], channels), None, "{form:?} {bytes} {channels}");
    }
    assert_eq!(Form::F32.to_mono(&[], 2), Some(vec![]));
    assert_eq!(Form::F64.to_mono(&[0; 16], usize::MAX), None);
}

proptest! {
    #[test]
    fn pcm16_as_float_comes_back_bit_for_bit(pcm in proptest::collection::vec(any::<i16>(), 0..200)) {
        let floats: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        prop_assert_eq!(mono(Form::F32, &of_f32(&floats), 1), pcm.clone());
        // The same in every channel is the same in the fold.
        let twice: Vec<f32> = floats.iter().flat_map(|value| [*value, *value]).collect();
        prop_assert_eq!(mono(Form::F32, &of_f32(&twice), 2), pcm);
    }
}
