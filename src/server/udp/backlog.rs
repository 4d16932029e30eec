use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Letter;

/// How many answers may wait for room in the kernel's send queue, for each socket: some milliseconds of what it sends.
const DEPTH: usize = 1024;

/// Answers that wait until the kernel takes them. Those that are asked for last leave first: whoever asked long ago has
/// asked somebody else by now.
#[derive(Default)]
pub(super) struct Backlog(Mutex<Stack>);

#[derive(Default)]
struct Stack {
    /// The oldest in front.
    answers: VecDeque<(Vec<u8>, Letter)>,
    /// Whether somebody sends them.
    drained: bool,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Nobody sends yet.
    First,
    Waits,
    /// It waits, and the oldest does no more.
    InPlaceOfAnother,
}

impl Backlog {
    pub(super) fn push(&self, bytes: Vec<u8>, letter: Letter) -> Pushed {
        let mut stack = self.stack();
        let full = stack.answers.len() >= DEPTH;
        if full {
            stack.answers.pop_front();
        }
        stack.answers.push_back((bytes, letter));
        match (std::mem::replace(&mut stack.drained, true), full) {
            (false, _) => Pushed::First,
            (true, false) => Pushed::Waits,
            (true, true) => Pushed::InPlaceOfAnother,
        }
    }

    /// The newest. After `None` nobody sends any more.
    pub(super) fn pop(&self) -> Option<(Vec<u8>, Letter)> {
        let mut stack = self.stack();
        let newest = stack.answers.pop_back();
        if newest.is_none() {
            // A burst is over; its memory goes.
            *stack = Stack::default();
        }
        newest
    }

    pub(super) fn is_full(&self) -> bool {
        self.stack().answers.len() >= DEPTH
    }

    fn stack(&self) -> MutexGuard<'_, Stack> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_leaves_first_and_the_oldest_gives_way() {
        let peer = "192.0.2.1:53".parse().unwrap();
        let letter = Letter { peer, local: peer };
        let number = |bytes: Vec<u8>| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
        let backlog = Backlog::default();
        let push = |number: usize| backlog.push(vec![(number >> 8) as u8, number as u8], letter);
        assert_eq!(push(0), Pushed::First);
        for other in 1..DEPTH {
            assert!(!backlog.is_full());
            assert_eq!(push(other), Pushed::Waits);
        }
        assert!(backlog.is_full());
        assert_eq!(push(DEPTH), Pushed::InPlaceOfAnother);
        let left: Vec<usize> = std::iter::from_fn(|| backlog.pop()).map(|(bytes, _)| number(bytes)).collect();
        assert_eq!(left, (1..=DEPTH).rev().collect::<Vec<_>>(), "all but the first");
        assert_eq!(push(7), Pushed::First, "nobody sends any more");
    }
}
