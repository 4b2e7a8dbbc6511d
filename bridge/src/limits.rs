use std::time::Duration;

/// Everything that is bounded, and by how much; at each limit the client gets a typed error.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions_max: usize,
    /// Environments in a session.
    pub envs_per_session_max: usize,
    /// Environments of all sessions together.
    pub envs_total_max: usize,
    /// Environments in one engine that sessions share.
    pub envs_per_pool_max: usize,
    /// Requests of a session that are unanswered at a time.
    pub in_flight_max: usize,
    /// Bytes of a frame.
    pub frame_bytes_max: usize,
    /// How long a session lives without a message.
    pub lease: Duration,
    /// How long a step waits for the steps of other sessions.
    pub wait_max: Duration,
    /// Environments to step at which nobody is waited for.
    pub batch_max: usize,
    /// How long after its last step a session is no longer waited for.
    pub idle_after: Duration,
    /// Bytes of all engines and all shared memory together; no bound if `None`.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of a session's shared memory.
    pub shared_bytes_max: usize,
    /// How long a server that is told to end goes on serving the sessions that it has.
    pub drain: Duration,
    /// How long a peer may take to shake hands.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 256,
            envs_per_session_max: 8192,
            envs_total_max: 65_536,
            envs_per_pool_max: 16_384,
            in_flight_max: 2,
            frame_bytes_max: 1_000_000_000,
            lease: Duration::from_secs(300),
            wait_max: Duration::from_millis(2),
            batch_max: 4096,
            idle_after: Duration::from_secs(1),
            memory_bytes_max: None,
            shared_bytes_max: 256_000_000,
            drain: Duration::from_secs(10),
            handshake: Duration::from_secs(5),
        }
    }
}
