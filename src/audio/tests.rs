use super::*;

#[test]
fn durations() {
    for (bytes, rate_hz, ms) in [
        (0, 8_000, 0),
        (2, 16_000, 1),
        (1_024, 16_000, 32),
        (1_024, 24_000, 22),
        (48_000, 24_000, 1_000),
        (144_002, 24_000, 3_001),
    ] {
        assert_eq!(duration_ms(bytes, rate_hz), ms, "{bytes} bytes at {rate_hz} Hz");
    }
}
