//! Tool calls: each is told once and answered once, however often the service repeats it.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// Calls that may be waiting for a result at a time; one more, and the oldest is given up.
const MAX_REMEMBERED: usize = 256;

#[derive(Debug)]
struct Call {
    id: String,
    turn: u32,
    at: Duration,
    answered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    latest: VecDeque<Call>,
    /// Hashes of the ids of all calls on this stream: the service refuses a second result, however late.
    told: HashSet<u64>,
    hasher: RandomState,
}

impl Calls {
    /// False: this call was told before.
    pub(super) fn begin(&mut self, id: &str, turn: u32, at: Duration) -> bool {
        if !self.told.insert(self.hasher.hash_one(id)) {
            return false;
        }
        if self.latest.len() == MAX_REMEMBERED {
            let oldest = self.latest.iter().position(|call| call.answered).unwrap_or(0);
            self.latest.remove(oldest);
        }
        self.latest.push_back(Call { id: id.to_owned(), turn, at, answered: false });
        true
    }

    /// The turn and age of a call that has its result now; None: no such call waits.
    pub(super) fn finish(&mut self, id: &str, at: Duration) -> Option<(u32, Duration)> {
        let call = self.latest.iter_mut().find(|call| call.id == id && !call.answered)?;
        call.answered = true;
        Some((call.turn, at.saturating_sub(call.at)))
    }

    pub(super) fn any_waits(&self) -> bool {
        self.latest.iter().any(|call| !call.answered)
    }

    /// Their stream is gone, and with it whoever knows their ids.
    pub(super) fn give_up(&mut self) {
        self.latest.clear();
        self.told.clear();
    }
}
