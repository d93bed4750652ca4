//! How fast the user's audio goes up: as fast as it would be spoken, without gaps.
//!
//! The service expects a microphone that never stops. A recording sent whole is spread over its own length; where no
//! frame comes, silence goes in its place, so that the end of speech is heard, late texts come and the idle clock
//! (55 s in places) never runs out. Silence adds no tokens (measured on v2.5).

use std::time::Duration;

/// A burst may run so far ahead of the clock: a page that stalled, a recording's first second. Peers replay three
/// seconds unpaced.
const AHEAD: Duration = Duration::from_secs(1);
/// Pages send up to 256 ms at a time (4,096 samples at 16 kHz); after a longer gap than this no microphone runs.
const GAP: Duration = Duration::from_millis(500);
/// One event of silence.
pub(super) const SILENCE: Duration = Duration::from_millis(100);

pub(super) struct Pacer {
    realtime: bool,
    /// When all audio sent so far would have been spoken.
    until: Duration,
    /// Silence stands in since the last frame.
    filling: bool,
    /// What was said while nothing could go up, which may go at once.
    owed: Duration,
}

impl Pacer {
    /// `realtime` false: audio goes as it comes, and nothing stands in for it.
    pub(super) fn new(realtime: bool, now: Duration) -> Self {
        Self { realtime, until: now, filling: false, owed: Duration::ZERO }
    }

    pub(super) fn may_send(&self, now: Duration) -> bool {
        !self.realtime || self.until <= now + AHEAD || !self.owed.is_zero()
    }

    /// Nothing could go up for so long. A microphone went on meanwhile, and would stay late by that much for ever.
    pub(super) fn catch_up(&mut self, length: Duration) {
        self.owed += length;
    }

    pub(super) fn sent(&mut self, length: Duration, now: Duration) {
        let at_once = length.min(self.owed);
        self.owed -= at_once;
        self.until = self.until.max(now) + length.saturating_sub(at_once);
        self.filling = false;
    }

    pub(super) fn silence_due(&self, now: Duration) -> bool {
        self.realtime && self.silence_at() <= now
    }

    pub(super) fn filled(&mut self, now: Duration) {
        // From where it stood: the gap itself is made up for, so that the service hears a pause as long as it was, and
        // late timers do not slow the stream down. After a long stop (of the process, say) from now.
        let from = if now > self.until + GAP { now } else { self.until };
        self.until = from + SILENCE;
        self.filling = true;
        // Nothing waits any more.
        self.owed = Duration::ZERO;
    }

    /// When to look again.
    pub(super) fn deadline(&self, audio_waits: bool) -> Option<Duration> {
        let at = if audio_waits { self.until.saturating_sub(AHEAD) } else { self.silence_at() };
        self.realtime.then_some(at)
    }

    fn silence_at(&self) -> Duration {
        if self.filling { self.until } else { self.until + GAP }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_recording_is_spread_over_its_own_length() {
        let mut pacer = Pacer::new(true, MS(0));
        let mut now = MS(0);
        let mut sent = MS(0);
        while sent < MS(10_000) {
            if pacer.may_send(now) {
                pacer.sent(MS(100), now);
                sent += MS(100);
            } else {
                now = pacer.deadline(true).unwrap();
            }
            assert!(sent <= now + MS(1_100), "{sent:?} sent after {now:?}");
        }
        assert_eq!(now, MS(8_900));
    }

    #[test]
    fn a_microphone_is_never_held_up() {
        let mut pacer = Pacer::new(true, MS(0));
        for frame in 0..1_000 {
            // In bursts of ten, as a page under load sends them.
            let now = MS(frame / 10 * 320);
            assert!(pacer.may_send(now) && !pacer.silence_due(now));
            pacer.sent(MS(32), now);
        }
    }

    #[test]
    fn silence_stands_in_at_the_pace_of_speech_and_stops_with_the_first_frame() {
        let mut pacer = Pacer::new(true, MS(0));
        pacer.sent(MS(32), MS(0));
        assert!(!pacer.silence_due(MS(531)) && pacer.silence_due(MS(532)));
        let mut now = MS(532);
        let mut pieces = 0;
        while now < MS(10_532) {
            if pacer.silence_due(now) {
                pacer.filled(now);
                pieces += 1;
            }
            // A timer that is always a little late does not slow the stream down.
            now = pacer.deadline(false).unwrap().max(now) + MS(3);
        }
        assert!((100..=106).contains(&pieces), "{pieces} pieces of 100 ms in 10 s");
        pacer.sent(MS(32), now);
        assert!(!pacer.silence_due(now + MS(300)));
    }

    #[test]
    fn a_long_stop_is_not_made_up_for() {
        let mut pacer = Pacer::new(true, MS(0));
        pacer.filled(MS(500));
        pacer.filled(MS(60_000));
        assert!(!pacer.silence_due(MS(60_099)) && pacer.silence_due(MS(60_100)));
    }

    #[test]
    fn without_pacing_nothing_waits_and_nothing_is_added() {
        let mut pacer = Pacer::new(false, MS(0));
        pacer.sent(MS(60_000), MS(0));
        assert!(pacer.may_send(MS(0)) && !pacer.silence_due(MS(600_000)));
        assert_eq!((pacer.deadline(true), pacer.deadline(false)), (None, None));
    }
}
