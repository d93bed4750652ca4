//! What one simulated conversation knows of itself on both sides of the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use super::dice::{Dice, Weather};
use crate::error::{Error, Recovery};

/// 10 ms at 8 kHz, all samples of the same value, which no other unit has: audio says which audio it is.
pub(super) const UNIT_SAMPLES: usize = 80;
pub(super) const MS: usize = 16;

pub(super) type SharedWorld = Arc<Mutex<World>>;

#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) weather: Weather,
    pub(super) streams: Vec<StreamState>,
    pub(super) faults: u32,
    /// The host is asked before there are two streams, and has allowed it.
    pub(super) asks: bool,
    pub(super) leave: bool,
    /// Utterances by number: the values of their units.
    pub(super) spoken: BTreeMap<u32, Range<i16>>,
    /// Which one stream at least heard from beginning to end.
    pub(super) whole: BTreeSet<u32>,
    /// Whose result reached the model, in whichever way.
    pub(super) told: BTreeSet<u32>,
    /// Why the conversation may end by itself.
    pub(super) may_end: Vec<String>,
    /// Faults that are tried against once in a row.
    once: u32,
}

#[derive(Debug, Default, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each comes true by itself")]
pub(super) struct StreamState {
    pub(super) alive: bool,
    pub(super) begun: bool,
    /// The client has said goodbye, or is gone.
    pub(super) left: bool,
    pub(super) opened: bool,
    pub(super) voice: String,
}

impl World {
    pub(super) fn shared(seed: u64) -> SharedWorld {
        Arc::new(Mutex::new(Self {
            seed,
            weather: Weather::of(seed),
            streams: Vec::new(),
            faults: 0,
            asks: Dice::new(seed, 3).percent(33),
            leave: false,
            spoken: BTreeMap::new(),
            whole: BTreeSet::new(),
            told: BTreeSet::new(),
            may_end: Vec::new(),
            once: 0,
        }))
    }

    pub(super) fn dice(&self, of: u64) -> Dice {
        Dice::new(self.seed, of)
    }

    /// Tells what happens, where one seed is played again.
    #[expect(clippy::unused_self, reason = "it reads better")]
    pub(super) fn note(&self, at: std::time::Duration, what: impl FnOnce() -> String) {
        if super::is_replay() {
            eprintln!("{:>9.3} {}", at.as_secs_f64(), what());
        }
    }

    pub(super) fn utterance(&self, unit: i16) -> u32 {
        *self.spoken.iter().find(|(_, units)| units.contains(&unit)).expect("audio that nobody spoke").0
    }

    /// A stream meets `error`: does that excuse an end of the conversation?
    pub(super) fn meets(&mut self, error: &Error) {
        self.faults += 1;
        let once = matches!(error.recovery(), Recovery::RestartOnce | Recovery::TrimHistory | Recovery::WithoutHistory);
        self.once += u32::from(once);
        let before_any = !self.streams.iter().any(|stream| stream.opened);
        if error.recovery() == Recovery::Never || (once && self.once > 1) || before_any {
            self.may_end.push(error.code.clone());
        }
        // Nothing to leave out, so nothing to try.
        if matches!(error.recovery(), Recovery::TrimHistory | Recovery::WithoutHistory) {
            self.may_end.push(error.code.clone());
        }
    }
}

pub(super) fn lock(world: &SharedWorld) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

/// Words such as `u3`: what they name, by kind and number.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let is_token = |word: &&str| {
        let (kind, number) = word.split_at_checked(1).unwrap_or_default();
        matches!(kind, "u" | "t" | "p") && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split_whitespace().filter(is_token).map(str::to_owned).collect()
}

/// The results of tools that a text tells of.
pub(super) fn results(text: &str) -> Vec<u32> {
    let after = |(at, sign): (usize, &str)| {
        let digits = text.get(at + sign.len()..)?;
        digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    text.match_indices("\"result\":").filter_map(after).collect()
}
