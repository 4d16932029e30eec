//! What the two watches share: the error of a watcher in words, and how long to wait after it.

use std::time::Duration;

use kube::runtime::watcher;

use super::{
    api::{self, Thing, with_causes},
    trouble::{Reason, Trouble},
};

/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// The next pause; not the same for all copies.
    pub(super) fn next(&mut self) -> Duration {
        let pause = (PAUSE.0 * 2u32.saturating_pow(self.0.min(8))).min(PAUSE.1);
        self.0 += 1;
        pause.mul_f64(0.5 + rand::random::<f64>() / 2.)
    }

    /// It works again.
    pub(super) const fn reset(&mut self) {
        self.0 = 0;
    }
}

/// What a watcher's error means; `None` for what belongs to the daily round.
pub(super) fn explain(thing: &Thing, error: &watcher::Error) -> Option<Trouble> {
    let (verb, source) = match error {
        watcher::Error::WatchError(status) if status.code == 410 => return None,
        watcher::Error::InitialListFailed(source) => ("list", source),
        watcher::Error::WatchStartFailed(source) | watcher::Error::WatchFailed(source) => ("watch", source),
        other => {
            return Some(Trouble::new(
                Reason::Server,
                format!("cannot watch {}: {}", thing.resource, with_causes(other)),
            ));
        }
    };
    Some(api::explain(verb, thing, source))
}
