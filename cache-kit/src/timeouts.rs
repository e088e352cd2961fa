//! [`Timeouts`]: how long a server may take, for all backends.

use std::time::Duration;

/// How long to wait for a server.
///
/// A request without an answer in time is sent [twice](crate::RetryPolicy), and a body that stalls is resumed once: a
/// server that accepts a connection and sends nothing is given up after a minute, one that stops within a body after
/// two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// The time to connect.
    pub connect: Option<Duration>,
    /// The time from the request to the first byte of the answer.
    pub answer: Option<Duration>,
    /// The time without progress in a body, in either direction, and until the answer to a body that was sent.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 s, 30 s and 60 s.
    fn default() -> Self {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Self { connect: seconds(10), answer: seconds(30), idle: seconds(60) }
    }
}

impl Timeouts {
    /// No timeouts.
    #[must_use]
    pub fn none() -> Self {
        Self { connect: None, answer: None, idle: None }
    }

    /// The same limit for a connection, an answer, and the next bytes of a body.
    #[must_use]
    pub fn all(limit: Duration) -> Self {
        Self { connect: Some(limit), answer: Some(limit), idle: Some(limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_less_time_than_a_body() {
        let Timeouts { connect, answer, idle } = Timeouts::default();
        assert!(connect < answer && answer < idle);
    }
}
