//! How large, how long and how lively the connections to one origin are.

use std::time::Duration;

use crate::transport::pings::Bounds;

/// Sizes and bounds of the connections to one origin.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Our own cap, whatever more the peer allows.
    pub streams_per_connection: usize,
    /// Bound on DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long others wait to hear a new connection's stream limit before they dial for themselves.
    pub settings_grace: Duration,
    /// Load balancers commonly drop what has been silent for a minute: be earlier.
    pub idle_timeout: Duration,
    /// Silence of the peer after which a ping is sent, while something goes up to it.
    pub ping_interval: Duration,
    /// How long a ping may go unanswered. Interval and timeout together bound how late a stopped peer is noticed.
    pub ping_timeout: Duration,
    /// Silence after which a ping is sent while streams are open and nothing goes up.
    pub idle_ping_interval: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            streams_per_connection: 16,
            connect_timeout: Duration::from_secs(5),
            settings_grace: Duration::from_millis(500),
            idle_timeout: Duration::from_secs(50),
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(1),
            idle_ping_interval: Duration::from_secs(15),
        }
    }
}

/// Whatever anybody asks for: more pings would be an attack.
const SHORTEST_PING: Duration = Duration::from_millis(100);

impl PoolSettings {
    /// The same, for who wants to notice a stopped peer within `bound`.
    #[must_use]
    pub(in crate::transport) fn noticing_within(self, bound: Duration) -> Self {
        // Two parts of five each: the fifth is for the way and for a busy machine.
        let part = (bound.saturating_mul(2) / 5).max(SHORTEST_PING);
        let idle_ping_interval = self.idle_ping_interval.max(part);
        Self { ping_interval: part, ping_timeout: part, idle_ping_interval, ..self }
    }

    pub(in crate::transport) fn pings(&self) -> Bounds {
        Bounds { talking: self.ping_interval, idle: self.idle_ping_interval, answer: self.ping_timeout }
    }
}
