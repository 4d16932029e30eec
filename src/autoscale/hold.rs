//! When to take replicas away. More are given at once; fewer only when that is safe.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use super::size::Size;

/// What makes scale-down wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caution {
    /// The largest number that was wanted within this time counts.
    pub window: Duration,
    /// No scale-down while this share of the nodes, in percent, or more is not Ready. Above 100: never.
    pub unready_percent: u32,
}

impl Default for Caution {
    fn default() -> Self {
        Self { window: Duration::from_secs(300), unready_percent: 33 }
    }
}

impl Caution {
    /// As the original: fewer replicas at once.
    pub const NONE: Self = Self { window: Duration::ZERO, unready_percent: 101 };
}

/// What is to be done with a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has what it should have.
    Keep,
    /// Give it this number.
    Scale(i32),
    /// It has more than is wanted, and keeps it for now.
    Wait(Why),
}

/// Why a target keeps more than is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too many nodes are not Ready.
    Unready {
        /// Nodes that are not Ready.
        unready: i64,
        /// All nodes.
        all: i64,
    },
    /// No node is known.
    NoNodes,
    /// What was wanted is known for less than the window.
    Fresh {
        /// The window.
        window: Duration,
    },
    /// More was wanted within the window.
    Lately {
        /// The largest number.
        largest: i32,
        /// The window.
        window: Duration,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unready { unready, all } => write!(f, "{unready} of {all} nodes are not Ready"),
            Self::NoNodes => f.write_str("no node is known"),
            Self::Fresh { window } => write!(f, "the window of {} s began with this process", window.as_secs()),
            Self::Lately { largest, window } => {
                write!(f, "{largest} were wanted within the last {} s", window.as_secs())
            }
        }
    }
}

/// The numbers that were wanted lately.
#[derive(Debug)]
pub struct Hold {
    caution: Caution,
    began: Option<Instant>,
    /// Falling numbers: each is the largest since its time.
    wanted: VecDeque<(Instant, i32)>,
}

impl Hold {
    /// Nothing has been wanted yet.
    pub const fn new(caution: Caution) -> Self {
        Self { caution, began: None, wanted: VecDeque::new() }
    }

    /// This number is wanted now.
    pub fn note(&mut self, now: Instant, wanted: i32) {
        self.began.get_or_insert(now);
        while self.wanted.back().is_some_and(|(_, earlier)| *earlier <= wanted) {
            self.wanted.pop_back();
        }
        while self.wanted.front().is_some_and(|(when, _)| now.duration_since(*when) >= self.caution.window) {
            self.wanted.pop_front();
        }
        self.wanted.push_back((now, wanted));
    }

    /// What to do with a target that has `current` replicas when `wanted` has just been noted.
    pub fn decide(&self, now: Instant, size: Size, current: i32, wanted: i32) -> Decision {
        if wanted == current {
            return Decision::Keep;
        }
        if wanted > current {
            return Decision::Scale(wanted);
        }
        if let Some(why) = self.sick(size) {
            return Decision::Wait(why);
        }
        let window = self.caution.window;
        if self.began.is_none_or(|began| now.duration_since(began) < window) {
            return Decision::Wait(Why::Fresh { window });
        }
        match self.wanted.front().map_or(wanted, |(_, largest)| *largest) {
            largest if largest >= current => Decision::Wait(Why::Lately { largest, window }),
            largest => Decision::Scale(largest),
        }
    }

    /// Whether the nodes are in a state in which nothing should be taken away.
    fn sick(&self, size: Size) -> Option<Why> {
        let (all, unready, limit) = (size.nodes.all, size.unready, i64::from(self.caution.unready_percent));
        if limit > 100 {
            return None;
        }
        if all == 0 {
            return Some(Why::NoNodes);
        }
        (unready > 0 && unready * 100 >= limit * all).then_some(Why::Unready { unready, all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscale::size::Count;

    fn mk_size(nodes: i64, unready: i64) -> Size {
        Size { nodes: Count { all: nodes, schedulable: nodes - unready }, unready, ..Size::default() }
    }

    /// Wanted numbers over time, for a target that has what it was last given.
    fn play(caution: Caution, mut current: i32, story: &[(u64, i32, Size, i32)]) {
        let start = Instant::now();
        let mut hold = Hold::new(caution);
        for &(second, wanted, size, expected) in story {
            let now = start + Duration::from_secs(second);
            hold.note(now, wanted);
            if let Decision::Scale(replicas) = hold.decide(now, size, current, wanted) {
                current = replicas;
            }
            assert_eq!(current, expected, "after {second} s, when {wanted} are wanted");
        }
    }

    #[test]
    fn up_at_once_and_down_to_the_largest_number_of_the_window() {
        let fine = mk_size(100, 0);
        let caution = Caution { window: Duration::from_secs(60), unready_percent: 33 };
        play(
            caution,
            5,
            &[
                (0, 3, fine, 5),
                (30, 7, fine, 7),
                (40, 2, fine, 7),
                (50, 4, fine, 7),
                (89, 2, fine, 7),
                (90, 2, fine, 4),
                (109, 2, fine, 4),
                (110, 2, fine, 2),
                (112, 9, fine, 9),
            ],
        );
    }

    #[test]
    fn a_fresh_start_waits_a_whole_window() {
        let caution = Caution { window: Duration::from_secs(60), unready_percent: 33 };
        let fine = mk_size(100, 0);
        play(caution, 5, &[(0, 2, fine, 5), (59, 2, fine, 5), (60, 2, fine, 2)]);
    }

    #[test]
    fn nothing_is_taken_away_while_many_nodes_are_not_ready() {
        let caution = Caution { window: Duration::ZERO, unready_percent: 33 };
        play(
            caution,
            5,
            &[
                (0, 2, mk_size(100, 33), 5),
                (1, 6, mk_size(100, 90), 6),
                (2, 2, mk_size(0, 0), 6),
                (3, 2, mk_size(100, 32), 2),
            ],
        );
    }

    #[test]
    fn the_original_waits_for_nothing() {
        play(Caution::NONE, 5, &[(0, 2, mk_size(100, 100), 2), (1, 1, mk_size(0, 0), 1)]);
    }
}
