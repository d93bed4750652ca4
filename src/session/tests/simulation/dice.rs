//! What happens in one simulated conversation, drawn from its seed alone.

use std::time::Duration;

use crate::{
    conversation::Continuation,
    error::{Error, ErrorKind, PEER_SILENT, Recovery, STREAM_LIMIT},
};

/// `SplitMix64`: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, of: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ of.wrapping_mul(0xD1B5_4A32_D192_ED03));
        dice.roll();
        dice
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.roll() % (to - from + 1)
    }

    pub(super) fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.within(from, to))
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll() % of.len() as u64).unwrap()]
    }
}

/// What holds for all streams of one conversation.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub(super) struct Weather {
    /// The build tells where in the audio the user spoke.
    pub(super) offsets: bool,
    /// The build says that it was interrupted.
    pub(super) markers: bool,
    /// The build repeats typed text.
    pub(super) echoes: bool,
    /// The service takes one stream at a time.
    pub(super) one_stream: bool,
    /// Percent of the service's events that come twice.
    pub(super) duplicates: u64,
    /// Percent of streams that meet a fault, and how many may.
    pub(super) faulty: u64,
    pub(super) most_faults: u32,
    /// Percent of utterances that make the model call a tool.
    pub(super) tools: u64,
    pub(super) continuation: Continuation,
    /// A microphone that always runs; else frames come while somebody speaks.
    pub(super) microphone: bool,
    pub(super) frame: Duration,
}

impl Weather {
    pub(super) fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, 0);
        let renews = dice.percent(60);
        let renew_after = if renews { dice.ms(1_500, 20_000) } else { Duration::from_mins(6) };
        let offsets = dice.percent(60);
        Self {
            offsets,
            // A build that gave no sign at all could not be understood by anybody.
            markers: !offsets || dice.percent(70),
            echoes: dice.percent(30),
            one_stream: dice.percent(25),
            duplicates: dice.pick(&[0, 0, 0, 5, 30]),
            faulty: dice.pick(&[0, 50, 90]),
            most_faults: u32::try_from(dice.within(1, 6)).unwrap(),
            tools: dice.pick(&[0, 30, 70]),
            continuation: Continuation {
                renew_after,
                force_after: renew_after + dice.ms(0, 12_000),
                idle_after: dice.ms(4_000, 150_000),
                history_bytes: dice.pick(&[30, 200, 200 * 1_024, 200 * 1_024]),
                restarts_per_hour: 1_000,
                ..Continuation::default()
            },
            microphone: dice.percent(70),
            frame: Duration::from_millis(dice.pick(&[20, 50, 100, 100])),
        }
    }
}

/// How a stream fails.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The end without a word.
    End,
    /// An exception, a reset: whatever becomes an error.
    Fails(Error),
    /// Neither reads nor says anything, until pings tell.
    Silence,
    /// Takes no more input; its end comes later, or never.
    Deaf {
        ends: bool,
    },
    Junk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    BeforeHeaders,
    /// After so many events of the client.
    Input(u64),
    /// After so many events of the service.
    Output(u64),
    After(Duration),
}

#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) headers_after: Duration,
    pub(super) fault: Option<(When, Fault)>,
}

impl Fate {
    pub(super) fn of(dice: &mut Dice, weather: &Weather, faults_so_far: u32) -> Self {
        let headers_after = dice.ms(0, 150);
        let fault = (dice.percent(weather.faulty) && faults_so_far < weather.most_faults).then(|| {
            let when = match dice.within(0, 9) {
                0 => When::BeforeHeaders,
                1..=3 => When::Input(dice.within(0, 120)),
                4..=7 => When::Output(dice.within(0, 40)),
                _ => When::After(dice.ms(0, 15_000)),
            };
            (when, fault(dice))
        });
        Self { headers_after, fault }
    }
}

pub(super) fn silent() -> Error {
    Error::new(ErrorKind::StreamLost, PEER_SILENT, "The peer is silent.")
}

pub(super) fn second_stream() -> Error {
    Error::new(ErrorKind::Throttled, "ServiceQuotaExceededException", "One stream at a time.")
}

fn fault(dice: &mut Dice) -> Fault {
    let error = |kind, code: &str| Error::new(kind, code, "Simulated.");
    match dice.within(0, 19) {
        0 | 1 => Fault::End,
        2 | 3 => Fault::Silence,
        4 => Fault::Deaf { ends: true },
        5 => Fault::Deaf { ends: false },
        6 => Fault::Junk,
        7 => Fault::Fails(error(ErrorKind::Service, "InternalServerException")),
        8 => Fault::Fails(error(ErrorKind::Service, "ModelStreamErrorException")),
        9 => Fault::Fails(error(ErrorKind::Throttled, "ThrottlingException")),
        10 => Fault::Fails(error(ErrorKind::StreamLost, STREAM_LIMIT)),
        11 => Fault::Fails(error(ErrorKind::StreamLost, "idle")),
        12 => Fault::Fails(error(ErrorKind::Validation, "invalid_input").recovering(Recovery::RestartOnce)),
        13 => Fault::Fails(error(ErrorKind::Validation, "history_too_long").recovering(Recovery::TrimHistory)),
        14 => Fault::Fails(error(ErrorKind::Validation, "content_filter").recovering(Recovery::WithoutHistory)),
        15 if dice.percent(30) => Fault::Fails(error(ErrorKind::AccessDenied, "AccessDeniedException")),
        _ => Fault::Fails(error(ErrorKind::StreamLost, "stream_lost")),
    }
}
