use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Chain, Context, Sent};
use crate::versions::{Seen, Versions};

/// What a plugin says to whoever wants to give an answer once more, to an equal query from anywhere, without a walk.
pub enum Again {
    /// Ask me each time.
    Never,
    /// I have no part in it.
    Always,
    /// On these terms.
    On(Terms),
}

/// On which terms an answer may be given once more.
#[derive(Default)]
pub struct Terms {
    /// As long as nothing of this has changed.
    pub source: Option<(Arc<Versions>, Seen)>,
    /// Until then.
    pub until: Option<Instant>,
    /// The TTL of all records is what is left until then, parts of a second counting as a whole one.
    pub aging: bool,
    /// Its addresses in another order each time.
    pub shuffle: bool,
    /// To be called for each time.
    pub tally: Option<Tally>,
}

/// Counts answers that are given once more.
pub struct Tally {
    /// Equal for tallies of one plugin that count the same, so that one is enough for all of them.
    pub identity: u64,
    /// Counts them.
    pub count: Box<dyn Fn(&Recurrence)>,
}

/// Answers that were given once more, all of which one tally counts.
pub struct Recurrence {
    /// How many.
    pub times: u64,
    /// How long each took.
    pub took: Duration,
    /// Octets of all their queries together.
    pub request_octets: u64,
    /// Octets of all of them together.
    pub response_octets: u64,
}

impl Chain {
    /// The terms of all plugins that had a part in an answer. `None` if one of them must be asked each time.
    pub fn again(&self, cx: &Context, sent: &Sent<'_>) -> Option<Vec<Terms>> {
        let mut terms = Vec::new();
        for plugin in self.links.get(..=cx.passed)? {
            match plugin.again(cx, sent) {
                Again::Never => return None,
                Again::Always => {}
                Again::On(its) => terms.push(its),
            }
        }
        Some(terms)
    }
}
