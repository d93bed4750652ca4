//! A wish for room in a bounded queue, granted once.

/// Wishes that wait together are granted together, when the largest comes true.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Somebody waits until the queue holds no more than this.
    mark: Option<usize>,
}

impl Room {
    /// Remembers that `size` shall fit. Asked of a queue at most a quarter full, so that a sender who waits is not woken
    /// for each piece that leaves.
    pub(super) fn want(&mut self, capacity: usize, size: usize) {
        // What is larger than three quarters of the queue does not fit yet when a quarter is held.
        let mark = (capacity / 4).min(capacity.saturating_sub(size));
        self.mark = Some(self.mark.map_or(mark, |other| other.min(mark)));
    }

    /// True once for each wish that has come true, or never will.
    pub(super) fn grant(&mut self, held: usize, closed: bool) -> bool {
        let granted = self.mark.is_some_and(|mark| held <= mark || closed);
        if granted {
            self.mark = None;
        }
        granted
    }
}
