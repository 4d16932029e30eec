use std::time::Duration;

/// How long a query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection is there: TCP, and TLS or QUIC upon it.
    pub connect: Duration,
    /// From then on, or from the start over a kept connection.
    pub answer: Duration,
    /// In all.
    pub whole: Duration,
}

impl Patience {
    /// One of several attempts that share what is `left` of a query's time: a new connection gets half of it, or all
    /// if there is no other attempt.
    pub fn of_attempt(left: Duration, answer: Duration, is_only: bool) -> Self {
        Self { connect: if is_only { left } else { left / 2 }, answer: answer.min(left), whole: left }
    }
}

/// This long for the connection, and again this long for the answer.
impl From<Duration> for Patience {
    fn from(each: Duration) -> Self {
        Self { connect: each, answer: each, whole: each.saturating_mul(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_gets_half_of_what_is_left_or_all_of_it() {
        let seconds = Duration::from_secs;
        for (left, is_only, connect, answer) in [(4, false, 2, 2), (4, true, 4, 2), (1, true, 1, 1)] {
            let patience = Patience::of_attempt(seconds(left), seconds(2), is_only);
            let expected = Patience { connect: seconds(connect), answer: seconds(answer), whole: seconds(left) };
            assert_eq!(patience, expected, "{left} s left");
        }
    }
}
