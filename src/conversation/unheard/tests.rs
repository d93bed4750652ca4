use proptest::prelude::*;

use super::*;

const RATE_HZ: u32 = 8_000;
/// Of PCM, at this rate.
const BYTES_A_MS: u64 = 16;

/// A stream that is given audio in real time.
struct Given {
    unheard: Unheard,
    ms: u64,
}

impl Given {
    fn new() -> Self {
        Self { unheard: Unheard::new(RATE_HZ), ms: 0 }
    }

    fn pcm(ms: u64, level: i16) -> Bytes {
        level.to_le_bytes().repeat(usize::try_from(ms * BYTES_A_MS / 2).unwrap()).into()
    }

    /// In frames of 20 ms.
    fn says(mut self, ms: u64, level: i16) -> Self {
        for _ in 0..ms / 20 {
            self.ms += 20;
            let now = Duration::from_millis(self.ms);
            self.unheard.said(Self::pcm(20, level), self.ms * BYTES_A_MS, now);
        }
        self
    }

    fn speaks(self, ms: u64) -> Self {
        self.says(ms, 3_000)
    }

    fn rests(self, ms: u64) -> Self {
        self.says(ms, 0)
    }

    fn understood(mut self) -> Self {
        self.unheard.understood_the_last();
        self
    }

    fn understood_to(mut self, ms: u64) -> Self {
        self.unheard.understood_to(ms * BYTES_A_MS);
        self
    }

    /// Milliseconds of voice, and of all, that the next stream is given.
    fn again(&mut self) -> (u64, u64) {
        let (pieces, _) = self.unheard.take();
        let of = |voice: bool| {
            let bytes =
                pieces.iter().flat_map(|said| samples(&said.pcm)).filter(|sample| !voice || *sample != 0).count();
            bytes as u64 * 2 / BYTES_A_MS
        };
        (of(true), of(false))
    }
}

#[test]
fn what_was_not_understood_is_said_again_with_the_moment_before_it() {
    assert_eq!(Given::new().rests(2_000).speaks(400).again(), (400, 700));
    assert_eq!(Given::new().speaks(400).rests(600).again(), (400, 1_000));
    assert_eq!(Given::new().rests(2_000).again(), (0, 50), "a word may begin quietly");
    assert_eq!(Given::new().again(), (0, 0));
}

#[test]
fn its_length_is_declared_where_there_is_a_voice_in_it() {
    assert_eq!(Given::new().rests(1_000).unheard.take().1, Duration::ZERO);
    assert_eq!(Given::new().rests(1_000).speaks(500).unheard.take().1, Duration::from_millis(800));
}

#[test]
fn offsets_settle_to_the_sample() {
    let spoken = || Given::new().speaks(1_000).rests(500).speaks(400);
    assert_eq!(spoken().understood_to(1_500).again().0, 400);
    assert_eq!(spoken().understood_to(1_590).again().0, 310);
    assert_eq!(spoken().understood_to(900).again().0, 500);
    assert_eq!(spoken().understood_to(5_000).again().0, 0);
    // The rest of a piece whose voice was understood is no voice.
    assert_eq!(Given::new().speaks(990).rests(600).understood_to(1_000).unheard.voice(), Duration::ZERO);
}

#[test]
fn by_ear_an_utterance_ends_at_the_last_pause_that_is_over() {
    for (case, given, again) in [
        ("one utterance", Given::new().speaks(800).rests(500), 0),
        ("the next has begun", Given::new().speaks(800).rests(500).speaks(300), 300),
        ("with a breath in it", Given::new().speaks(400).rests(200).speaks(400).rests(500), 0),
        ("the next has paused for less", Given::new().speaks(800).rests(500).speaks(300).rests(320), 300),
        ("nothing has paused", Given::new().speaks(1_000), 1_000),
        ("nothing has paused for long", Given::new().speaks(9_000), 5_000),
    ] {
        assert_eq!(given.understood().again().0, again, "{case}");
    }
}

#[test]
fn by_ear_what_came_in_one_go_is_settled_one_by_one() {
    let mut given = Given::new();
    let mut end = 0;
    for (ms, level) in [(500, 3_000), (600, 0), (400, 3_000), (600, 0)] {
        end += ms * BYTES_A_MS;
        given.unheard.said(Given::pcm(ms, level), end, Duration::from_secs(1));
    }
    given = given.understood();
    let (again, _) = given.unheard.take();
    assert_eq!(again.iter().filter(|said| said.quiet_bytes.is_some()).count(), 1);
}

#[test]
fn a_voice_lasts_until_it_is_understood_or_was_none() {
    let mut given = Given::new().rests(1_000).speaks(400);
    assert_eq!(given.unheard.voice(), Duration::from_millis(400));
    given = given.rests(14_000);
    assert_eq!(given.unheard.voice(), Duration::from_millis(14_400));
    given = given.rests(1_100);
    assert_eq!(given.unheard.voice(), Duration::ZERO, "nobody understood it: a noise");
    assert_eq!(given.again().0, 0);
    // In one go it may take the service as long as ever: time counts, not audio.
    let mut given = Given::new().speaks(400);
    given.unheard.said(Given::pcm(20_000, 0), 400 * BYTES_A_MS + 20_000 * BYTES_A_MS, Duration::from_millis(500));
    assert_eq!(given.again().0, 400);
}

#[test]
fn silence_of_ours_is_a_pause_and_not_said_again() {
    let mut given = Given::new().speaks(400);
    given.unheard.paused(1_000 * BYTES_A_MS, Duration::from_secs(1));
    given.ms = 1_000;
    assert_eq!(given.speaks(200).understood().again().0, 200);
    let mut given = Given::new().speaks(400);
    given.unheard.paused(1_000 * BYTES_A_MS, Duration::from_secs(1));
    assert_eq!(given.again(), (400, 400));
    let mut given = Given::new().speaks(400);
    given.unheard.paused(1_000 * BYTES_A_MS, Duration::from_secs(17));
    assert_eq!(given.unheard.voice(), Duration::ZERO);
}

#[test]
fn nobody_s_voice_is_kept_for_ever() {
    let mut given = Given::new();
    for _ in 0..80 {
        given = given.speaks(1_500).rests(400);
    }
    assert_eq!(given.again().1, 120_000);
    // A hum is a room after a while.
    let mut given = Given::new().says(40_000, 2_000);
    assert_eq!(given.unheard.voice(), Duration::ZERO);
    given = given.rests(100).speaks(100);
    assert_eq!(given.unheard.voice(), Duration::from_millis(100));
}

#[test]
fn what_is_given_again_is_noted_as_it_was() {
    let mut given = Given::new().rests(1_000).speaks(400).rests(100);
    for now in 2..5 {
        let (pieces, length) = given.unheard.take();
        assert_eq!((given.unheard.voice(), length), (Duration::ZERO, Duration::from_millis(800)));
        let mut end = 0;
        for said in pieces {
            end += said.pcm.len() as u64;
            given.unheard.said_again(said, end, Duration::from_secs(now));
        }
        assert_eq!(given.unheard.voice(), Duration::from_millis(500));
    }
    given.unheard.understood_to(800 * BYTES_A_MS);
    assert_eq!(given.again().0, 0);
}

#[derive(Debug, Clone)]
enum Act {
    Speak(u64),
    Quiet(u64),
    /// The service has understood the oldest utterance that it has not, and says where it had listened to.
    Understand,
    /// The stream breaks, and the next is given all anew.
    Lose,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1_u64..60).prop_map(|n| Act::Speak(n * 20)),
        3 => (30_u64..80).prop_map(|n| Act::Quiet(n * 20)),
        2 => Just(Act::Understand),
        1 => Just(Act::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing voiced is dropped before it was understood, and nothing is kept that was.
    #[test]
    fn what_was_not_understood_is_what_is_said_again(acts in prop::collection::vec(act(), 1..25)) {
        let mut given = Given::new();
        // Milliseconds of each utterance that was not understood, and where the pause after it stood.
        let mut open: Vec<(u64, u64)> = Vec::new();
        let mut spoke_at = 0;
        for act in acts {
            // What nobody understands for 15 s is no voice: not this test's affair.
            if given.ms.saturating_sub(spoke_at) > 12_000 {
                break;
            }
            match act {
                Act::Speak(ms) => {
                    given = given.speaks(ms);
                    spoke_at = given.ms;
                    // Without a pause between them they are one.
                    match open.last_mut() {
                        Some(last) if last.1 == u64::MAX => last.0 += ms,
                        _ => open.push((ms, u64::MAX)),
                    }
                }
                Act::Quiet(ms) => {
                    given = given.rests(ms);
                    if let Some(last) = open.last_mut() && last.1 == u64::MAX {
                        last.1 = given.ms;
                    }
                }
                Act::Understand => {
                    if let Some((_, end)) = open.first().copied().filter(|(_, end)| *end != u64::MAX) {
                        given.unheard.understood_to(end * BYTES_A_MS);
                        open.remove(0);
                    }
                }
                Act::Lose => {
                    let (pieces, _) = given.unheard.take();
                    let voiced: usize =
                        pieces.iter().flat_map(|said| samples(&said.pcm)).filter(|sample| *sample != 0).count();
                    let expected: u64 = open.iter().map(|(ms, _)| ms).sum();
                    prop_assert_eq!(voiced as u64 * 2 / BYTES_A_MS, expected);
                    return Ok(());
                }
            }
        }
        let expected: u64 = open.iter().map(|(ms, _)| ms).sum();
        prop_assert_eq!(given.again().0, expected);
    }

    /// By ear alone the utterance that is being spoken survives the text of the one before it.
    #[test]
    fn by_ear_the_next_utterance_survives(
        first in 10_u64..100, pause in 25_u64..60, next in 1_u64..60, breath in 0_u64..12, rest in 0_u64..30
    ) {
        let given = Given::new().speaks(first * 20).rests(pause * 20).speaks(next * 20);
        let given = if rest > 0 { given.rests(breath * 20).speaks(rest * 20) } else { given };
        prop_assert_eq!(given.understood().again().0, (next + rest) * 20);
    }
}
