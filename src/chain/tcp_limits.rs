use std::time::Duration;

/// Limits of clients' TCP connections (`timeouts`). What is not said is left to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpLimits {
    /// How long the first query, and each that has begun, may take to arrive.
    pub read: Option<Duration>,
    /// How long the client may take to accept answers.
    pub write: Option<Duration>,
    /// How long a connection may be silent between queries.
    pub idle: Option<Duration>,
    /// How many queries may come on one connection.
    pub queries: Option<u32>,
}

impl TcpLimits {
    /// These limits, and those of `earlier` where nothing is said.
    #[must_use]
    pub fn or(self, earlier: Self) -> Self {
        Self {
            read: self.read.or(earlier.read),
            write: self.write.or(earlier.write),
            idle: self.idle.or(earlier.idle),
            queries: self.queries.or(earlier.queries),
        }
    }
}
