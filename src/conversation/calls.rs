//! Tool calls: each is told once and answered once, however often the service repeats it.

use std::{collections::VecDeque, time::Duration};

/// The service has repeated calls within a turn; this is many turns of them.
const MAX_REMEMBERED: usize = 256;

#[derive(Debug)]
struct Call {
    id: String,
    turn: u32,
    at: Duration,
    answered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Calls(VecDeque<Call>);

impl Calls {
    /// False: this call was told before.
    pub(super) fn begin(&mut self, id: &str, turn: u32, at: Duration) -> bool {
        if self.0.iter().any(|call| call.id == id) {
            return false;
        }
        if self.0.len() == MAX_REMEMBERED {
            let oldest = self.0.iter().position(|call| call.answered).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push_back(Call { id: id.to_owned(), turn, at, answered: false });
        true
    }

    /// The turn and age of a call that has its result now; None: no such call waits.
    pub(super) fn finish(&mut self, id: &str, at: Duration) -> Option<(u32, Duration)> {
        let call = self.0.iter_mut().find(|call| call.id == id && !call.answered)?;
        call.answered = true;
        Some((call.turn, at.saturating_sub(call.at)))
    }

    pub(super) fn any_waits(&self) -> bool {
        self.0.iter().any(|call| !call.answered)
    }

    /// Their stream is gone, and with it whoever knows their ids.
    pub(super) fn give_up(&mut self) {
        self.0.clear();
    }
}
