use super::*;

#[test]
fn durations() {
    for (bytes, rate_hz, ms, ns) in [
        (0, 8_000, 0, 0),
        (2, 16_000, 1, 62_500),
        (1_024, 16_000, 32, 32_000_000),
        (1_024, 24_000, 22, 21_333_333),
        (48_000, 24_000, 1_000, 1_000_000_000),
        (144_002, 24_000, 3_001, 3_000_041_666),
    ] {
        assert_eq!(duration_ms(bytes, rate_hz), ms, "{bytes} bytes at {rate_hz} Hz");
        assert_eq!(duration(bytes, rate_hz), Duration::from_nanos(ns), "{bytes} bytes at {rate_hz} Hz");
    }
}
