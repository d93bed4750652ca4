//! How long a listener is busy with the audio so far: it comes faster than real time and is played by the clock.

use std::time::Duration;

use crate::protocol::SAMPLE_BYTES;

#[derive(Debug, Default)]
pub(super) struct Playback {
    until: Duration,
}

impl Playback {
    /// Takes a piece of audio; gives its length.
    pub(super) fn receives(&mut self, bytes: usize, rate_hz: u32, at: Duration) -> Duration {
        let length = length(bytes, rate_hz);
        self.until = self.until.max(at) + length;
        length
    }

    pub(super) fn stops(&mut self, at: Duration) {
        self.until = at;
    }

    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// What is still ahead of the loudspeaker.
    pub(super) fn left(&self, at: Duration) -> Duration {
        self.until.saturating_sub(at)
    }

    pub(super) fn is_running(&self, at: Duration) -> bool {
        !self.left(at).is_zero()
    }
}

/// To the nanosecond: whole milliseconds, rounded up, would drift by 3 % over pieces of 1,024 bytes at 24 kHz.
fn length(bytes: usize, rate_hz: u32) -> Duration {
    let (samples, rate_hz) = ((bytes / SAMPLE_BYTES) as u64, u64::from(rate_hz.max(1)));
    Duration::from_secs(samples / rate_hz) + Duration::from_nanos(samples % rate_hz * 1_000_000_000 / rate_hz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (bytes, rate_hz, ns) in
            [(0, 8_000, 0), (2, 16_000, 62_500), (1_024, 24_000, 21_333_333), (144_002, 24_000, 3_000_041_666)]
        {
            assert_eq!(length(bytes, rate_hz), Duration::from_nanos(ns), "{bytes} bytes at {rate_hz} Hz");
        }
    }

    #[test]
    fn pieces_queue_up_and_gaps_do_not_count() {
        let ms = Duration::from_millis;
        let mut playback = Playback::default();
        playback.receives(3_200, 16_000, ms(0));
        playback.receives(3_200, 16_000, ms(10));
        assert!(playback.is_running(ms(199)) && !playback.is_running(ms(200)));
        playback.receives(3_200, 16_000, ms(500));
        assert!(playback.is_running(ms(599)) && !playback.is_running(ms(600)));
        playback.stops(ms(510));
        assert!(!playback.is_running(ms(511)));
    }
}
