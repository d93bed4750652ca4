use super::*;

/// ITU-T G.711, tables 1a and 2a: the first quantised value of each segment and the last two of all, A-law's 13 bits
/// times 8 and mu-law's 14 bits times 4.
const MU_POSITIVE: [(u8, i16); 10] = [
    (0xFF, 0),
    (0xEF, 132),
    (0xDF, 396),
    (0xCF, 924),
    (0xBF, 1_980),
    (0xAF, 4_092),
    (0x9F, 8_316),
    (0x8F, 16_764),
    (0x81, 31_100),
    (0x80, 32_124),
];
const A_POSITIVE: [(u8, i16); 10] = [
    (0xD5, 8),
    (0xC5, 264),
    (0xF5, 528),
    (0xE5, 1_056),
    (0x95, 2_112),
    (0x85, 4_224),
    (0xB5, 8_448),
    (0xA5, 16_896),
    (0xAB, 31_232),
    (0xAA, 32_256),
];

#[test]
fn known_codes() {
    for (law, positive) in [(Law::Mu, MU_POSITIVE), (Law::A, A_POSITIVE)] {
        for (code, sample) in positive {
            assert_eq!(law.decode(code), sample, "{law:?} {code:#04x}");
            // The sign is the first bit, on both lines.
            assert_eq!(law.decode(code ^ 0x80), -sample, "{law:?} {:#04x}", code ^ 0x80);
            assert_eq!(law.encode(sample), code, "{law:?} {sample}");
        }
        assert_eq!(law.encode(i16::MAX), positive[9].0);
        assert_eq!(law.encode(i16::MIN), positive[9].0 ^ 0x80);
    }
}

#[test]
fn every_code_survives_the_round_trip() {
    for law in [Law::Mu, Law::A] {
        for code in 0..=u8::MAX {
            let again = law.encode(law.decode(code));
            // mu-law has two zeros; the negative one becomes the positive.
            let wanted = if (law, code) == (Law::Mu, 0x7F) { 0xFF } else { code };
            assert_eq!(again, wanted, "{law:?} {code:#04x}");
        }
    }
}

#[test]
fn every_sample_lies_within_half_a_step_of_its_code() {
    // Clipped above the last decision value of mu-law, 8,159 * 4. The coders look at 14 and 13 bits.
    for (law, clip, left_out) in [(Law::Mu, 32_636, 4), (Law::A, 32_768, 8)] {
        for sample in (i16::MIN..=i16::MAX).map(i32::from).filter(|sample| sample.abs() <= clip) {
            let code = law.encode(i16::try_from(sample).unwrap());
            let decoded = |code| i32::from(law.decode(code));
            // The last bit stays within the segment.
            let step = (decoded(code) - decoded(code ^ 1)).abs();
            let off = (decoded(code) - sample).abs();
            assert!(off <= step / 2 + left_out, "{law:?} {sample}: off by {off} at a step of {step}");
        }
    }
}
