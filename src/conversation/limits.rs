//! What a conversation may cost its owner: length, silence, tokens, money.

use std::time::Duration;

use super::usage;
use crate::protocol::TokenCounts;

/// None: no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    pub length: Option<Duration>,
    /// Since anybody said anything: neither side spoke, typed or waited for a tool.
    pub idle: Option<Duration>,
    pub tokens: Option<u64>,
    pub usd: Option<f64>,
}

impl Limits {
    /// When a clock alone will have reached a bound; `active` is when something was said last.
    pub(super) fn deadline(&self, active: Duration) -> Option<Duration> {
        let idle = self.idle.map(|idle| active.saturating_add(idle));
        [self.length, idle].into_iter().flatten().min()
    }

    /// Whether a bound is reached.
    pub(super) fn reached(&self, at: Duration, active: Duration, tokens: TokenCounts, usd: f64) -> bool {
        self.deadline(active).is_some_and(|deadline| deadline <= at)
            || self.tokens.is_some_and(|most| usage::sum(tokens) >= most)
            || self.usd.is_some_and(|most| usd >= most)
    }
}
